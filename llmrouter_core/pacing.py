"""Where a decision is taken: on the event loop while that blocks nobody, else in a thread.

Handing a decision of a fifth of a millisecond to a thread costs more than the decision. One that
waits, for a network or a large encoder, must never hold up everybody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_QUICK = 0.002  # seconds of work that nobody notices
_SLOW = 0.010  # seconds that others do notice
_PROOF = 30  # quick decisions that make a proof; each long one takes `_DOUBT` of them away
_DOUBT = 10
_MOST = 5  # slow ones on the event loop; one may be a pause of the machine
_FORGIVEN = 10_000  # quick ones in a row that make up for a slow one
_SHORT = 300_000  # characters; what reads more is not like what was measured


class Pace:
    """Whether the decisions of one router are quick, by what they took.

    They are once thirty were, and hardly any was long. If one on the event loop is slow
    nevertheless, it has to be proved again; if that happens a few times, then what was seen says
    nothing, as behind a cache, and none is taken there again.
    """

    def __init__(self) -> None:
        self._proof = 0
        self._calm = 0
        self._slips = 0

    async def run(self, size: int, decide: Callable[[], T]) -> T:
        """Return what *decide* returns, computed here or in a thread.

        Args:
            size: Characters that it reads.
            decide: What computes it.
        """
        if self._proof >= _PROOF and self._slips < _MOST and size <= _SHORT:
            started = time.perf_counter()
            try:
                return decide()
            finally:
                self._note(time.perf_counter() - started)
        import asyncio

        return await asyncio.to_thread(self._timed, decide)

    def _note(self, seconds: float) -> None:
        """Count a decision that was taken on the event loop."""
        if seconds >= _SLOW:
            self._slips += 1
            self._proof = self._calm = 0
            return
        self._calm += 1
        if self._calm % _FORGIVEN == 0:
            self._slips = max(0, self._slips - 1)

    def _timed(self, decide: Callable[[], T]) -> T:
        started, worked = time.perf_counter(), time.thread_time()
        found = decide()
        if time.thread_time() - worked >= _QUICK:
            self._proof = max(0, self._proof - _DOUBT)
        elif time.perf_counter() - started < _SLOW:
            self._proof += 1
        # Else it waited, and who knows for what: beside a busy loop a thread waits for its turn.
        return found
