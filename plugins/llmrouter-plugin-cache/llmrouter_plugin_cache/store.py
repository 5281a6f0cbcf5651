"""A bounded memory: what was used longest ago goes first, and nothing outlives its time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class Store(Generic[V]):
    """Values by key, safe to use from any thread.

    Args:
        entries: How many values are kept.
        seconds: How long a value is kept.
        room: How large all values together may be, in whatever unit they are stored with.
        clock: Seconds that never run backwards.

    Attributes:
        hits: Lookups that found their value.
        misses: Lookups that did not.
    """

    def __init__(
        self,
        entries: int,
        seconds: float = math.inf,
        room: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries, self._seconds, self._room, self._clock = entries, seconds, room, clock
        self._kept: OrderedDict[str, tuple[V, int, float]] = OrderedDict()  # value, size, end
        self._used = 0
        self._lock = Lock()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, keys: Sequence[str]) -> list[V] | None:
        """Return the values of all *keys*, or None if any is missing: all hit or all miss."""
        with self._lock:
            now, found = self._clock(), []
            for key in keys:
                kept = self._kept.get(key)
                if kept is None or kept[2] <= now:
                    self.misses += len(keys)
                    return None
                found.append(kept[0])
            for key in keys:
                self._kept.move_to_end(key)
            self.hits += len(keys)
            return found

    def put(self, key: str, value: V, size: int = 0) -> None:
        """Keep *value*, unless it alone is larger than the room there is."""
        with self._lock:
            self._drop(key)
            if size > self._room:
                return
            self._kept[key] = value, size, self._clock() + self._seconds
            self._used += size
            while len(self._kept) > self._entries or self._used > self._room:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._used -= kept[1]
