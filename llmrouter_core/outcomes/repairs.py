"""What was mended or left out while reading, counted by sentence."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

_KEPT = 20  # line numbers remembered of each sentence


@define(eq=False)
class Repairs:
    """A count of what was repaired or dropped.

    Attributes:
        counts: How often each sentence was noted.
        lines: The first lines each sentence was noted for.
    """

    counts: dict[str, int] = field(factory=dict)
    lines: dict[str, list[int]] = field(factory=dict)

    def note(self, what: str, line: int | None = None) -> None:
        """Count *what*, a short sentence without the particulars of the row.

        Args:
            what: What was done, such as "a failed call, its row is kept as error".
            line: Number of the row in its file, where it has one.
        """
        self.counts[what] = self.counts.get(what, 0) + 1
        if line is not None:
            first = self.lines.setdefault(what, [])
            if len(first) < _KEPT:
                first.append(line)

    def total(self, prefix: str = "") -> int:
        """Return how often anything was noted whose sentence begins with *prefix*."""
        return sum(count for what, count in self.counts.items() if what.startswith(prefix))

    def sentences(self) -> Iterator[str]:
        """Yield each sentence with its count and its first lines, in the order of appearance."""
        for what, count in self.counts.items():
            listed = [f"{line:,}" for line in self.lines.get(what, ())]
            if not listed:
                yield f"{count:,} x {what}"
                continue
            more = ", …" if count > len(listed) else ""
            yield f"{count:,} x {what} (row{'s' * (count > 1)} {', '.join(listed)}{more})"
