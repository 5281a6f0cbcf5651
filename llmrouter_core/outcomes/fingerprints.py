"""A map from 64-bit keys to one or two 64-bit values: 16 or 24 bytes a slot, not 200."""

from __future__ import annotations

from array import array

_FIRST = 1 << 12  # slots
_MASK = (1 << 64) - 1


class Fingerprints:
    """Remembers what was seen of each key by its hash: open addressing over plain arrays.

    Two keys of equal hash count as one: with 5 million keys the chance that this happens at all
    is below one in a million.

    Args:
        wide: Whether a second value is kept of each key.
    """

    def __init__(self, *, wide: bool = False) -> None:
        self._wide = wide
        self._allot(_FIRST)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def first(self, key: object, one: int, two: int = 0) -> tuple[int, int] | None:
        """Return the values stored for *key*; store *one* and *two* if there are none yet."""
        mark = hash(key) & _MASK or 1
        at = self._slot(mark)
        if self._marks[at]:
            return self._ones[at], self._twos[at] if self._wide else 0
        self._put(at, mark, one & _MASK, two & _MASK)
        self._count += 1
        if 3 * self._count > 2 * len(self._marks):
            self._grow()
        return None

    def _slot(self, mark: int) -> int:
        """Return where *mark* stands, or the free slot where it would."""
        marks, last = self._marks, len(self._marks) - 1
        at = mark & last
        while marks[at] and marks[at] != mark:
            at = (at + 1) & last
        return at

    def _put(self, at: int, mark: int, one: int, two: int) -> None:
        self._marks[at], self._ones[at] = mark, one
        if self._wide:
            self._twos[at] = two

    def _allot(self, slots: int) -> None:
        empty = bytes(8 * slots)
        self._marks, self._ones = array("Q", empty), array("Q", empty)
        self._twos = array("Q", empty if self._wide else b"")

    def _grow(self) -> None:
        old = (self._marks, self._ones, self._twos if self._wide else self._ones)
        self._allot(2 * len(self._marks))
        for mark, one, two in zip(*old, strict=True):
            if mark:
                self._put(self._slot(mark), mark, one, two)
