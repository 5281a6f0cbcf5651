"""Several keys of one provider: asked in turn, and left alone while they are turned away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from llmrouter_core import CallError, RateLimited, Refused, Secret

_LIMITED = 30.0  # seconds of rest for a key that is rate limited, where nobody says how long
_REFUSED = 300.0  # seconds for one that is unknown or has no credit; somebody may mend it
_OF_THE_KEY = (401, 402, 429)


class Keys:
    """The keys in the order in which they are due: whoever was used last comes last.

    Args:
        secrets: The keys; with none, calls are made without.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._due: list[Secret | None] = [*secrets] or [None]
        self._rests: dict[Secret | None, float] = {}

    def turns(self) -> Iterator[Secret | None]:
        """Yield the keys worth trying for one call: those that do not rest, each once.

        If all of them rest, it is the one that will be ready first: a call says best what is
        wrong.
        """
        if len(self._due) == 1:
            yield self._due[0]
            return
        tried: set[Secret | None] = set()
        while True:
            now = time.monotonic()
            ready = [key for key in self._due if self._rests.get(key, 0.0) <= now]
            fresh = [key for key in ready if key not in tried]
            if not fresh and tried:
                return
            key = fresh[0] if fresh else min(self._due, key=lambda one: self._rests[one])
            self._due.remove(key)
            self._due.append(key)
            tried.add(key)
            yield key

    def rest(self, key: Secret | None, error: CallError) -> bool:
        """Leave *key* alone for a while if *error* is about it; return whether it is."""
        refused = isinstance(error, Refused) and error.status in _OF_THE_KEY
        if len(self._due) == 1 or not (refused or isinstance(error, RateLimited)):
            return False
        wait = error.retry_after
        if wait is None:
            wait = _REFUSED if refused else _LIMITED
        self._rests[key] = time.monotonic() + wait
        return True


def soonest(failures: Sequence[CallError]) -> CallError:
    """Return the failure that passes first: the shortest wait, else a rate limit."""
    return min(failures, key=_passes)


def _passes(error: CallError) -> tuple[bool, float]:
    wait = error.retry_after
    return isinstance(error, Refused), _LIMITED if wait is None else wait
