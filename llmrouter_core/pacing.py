"""Where a decision is taken: on the event loop while that blocks nobody, else in a thread.

Handing a decision of a fifth of a millisecond to a thread costs more than the decision. One that
waits, for a network or a large encoder, must never hold up everybody else.

Queries that are ready in the same turn of the loop are decided as one batch: sixteen together
cost about a quarter of what they cost one by one, because numpy charges by the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from llmrouter_core.types import Decision, Query

try:
    import resource
except ImportError:  # not on this system
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

Decide: TypeAlias = Callable[[Sequence[Query]], list[Decision]]

_QUICK = 0.002  # seconds of work on a query that nobody notices
_SLOW = 0.010  # seconds that others do notice
_PROOF = 30  # quick decisions that make a proof; each long one takes `_DOUBT` of them away
_DOUBT = 10
_MOST = 5  # slow ones on the event loop; one may be a pause of the machine
_FORGIVEN = 10_000  # quick ones in a row that make up for a slow one
_SHORT = 300_000  # characters; what reads more is not like what was measured
_TOGETHER = 16  # queries of a batch, at most; more gain little and hold the loop for long


@frozen(eq=False)
class _Asked:
    """A query that waits for its decision, and the context of whoever asked."""

    query: Query
    found: Future[Decision]
    context: Context


class Pace:
    """Takes the decisions of one router where they hold nobody up, by what earlier ones took.

    They are quick once thirty were, and hardly any was long. If one on the event loop is slow
    nevertheless, it has to be proved again; if that happens a few times, then what was seen says
    nothing, as behind a cache, and none is taken there again.

    Args:
        decide: What computes one decision per query. It sees the context variables of whoever
            asked, but for queries that it decides together, which have none in common.
    """

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._proof = 0
        self._calm = 0
        self._slips = 0
        self._lines: dict[AbstractEventLoop, list[_Asked]] = {}

    async def decide(self, queries: Sequence[Query]) -> list[Decision]:
        """Return one decision per query; what `decide` raises is raised here."""
        import asyncio

        size = sum([len(query.text) for query in queries])
        if self._proof < _PROOF or self._slips >= _MOST or size > _SHORT:
            return await asyncio.to_thread(self._proved, queries)
        if len(queries) != 1:
            return self._noted(queries)
        loop = asyncio.get_running_loop()
        asked = _Asked(queries[0], loop.create_future(), copy_context())
        line = self._lines.get(loop)
        if line is None:
            self._lines[loop] = [asked]
            loop.call_soon(self._next, loop, 0)
        else:
            line.append(asked)
        return [await asked.found]

    def _next(self, loop: AbstractEventLoop, before: int) -> None:
        """Decide the first queries in line; the others wait a turn, so that answers pass.

        While more come with every turn, they are waited for: the loop has other work meanwhile.

        Args:
            loop: Whose line it is.
            before: How many stood there a turn ago.
        """
        line = self._lines[loop]
        if before < len(line) < _TOGETHER:
            loop.call_soon(self._next, loop, len(line))
            return
        line = [asked for asked in line if not asked.found.done()]  # not cancelled
        size = count = 0
        for asked in line[:_TOGETHER]:
            size += len(asked.query.text)
            if count and size > _SHORT:
                break
            count += 1
        if rest := line[count:]:
            self._lines[loop] = rest
            loop.call_soon(self._next, loop, len(rest))
        else:
            del self._lines[loop]
        self._settle(line[:count])

    def _settle(self, batch: Sequence[_Asked]) -> None:
        """Tell everybody in *batch* what is decided; where that fails, each one for itself."""
        context = batch[0].context if len(batch) == 1 else Context()
        try:
            decisions = context.run(self._noted, [asked.query for asked in batch]) if batch else []
        except Exception as error:  # noqa: BLE001 - raised again where it was asked
            if len(batch) == 1:
                batch[0].found.set_exception(error)
                return
            for asked in batch:
                self._settle([asked])
            return
        for asked, decision in zip(batch, decisions, strict=True):
            asked.found.set_result(decision)

    def _noted(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide on the event loop, and count whether that was quick."""
        started, before = time.perf_counter(), _spent()
        try:
            return self._decide(queries)
        finally:
            limit = _SLOW * max(1, len(queries))
            if time.perf_counter() - started >= limit and not _paused(before, limit):
                self._slips += 1
                self._proof = self._calm = 0
            else:
                self._calm += 1
                if self._calm % _FORGIVEN == 0:
                    self._slips = max(0, self._slips - 1)

    def _proved(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide in a thread, and count whether that was quick."""
        started, worked = time.perf_counter(), time.thread_time()
        found = self._decide(queries)
        count = max(1, len(queries))
        if time.thread_time() - worked >= _QUICK * count:
            self._proof = max(0, self._proof - _DOUBT)
        elif time.perf_counter() - started < _SLOW * count:
            self._proof += 1
        # Else it waited, and who knows for what: beside a busy loop a thread waits for its turn.
        return found


def _spent() -> tuple[float, int] | None:
    """Return the seconds this thread has worked and how often it has waited; None if unknown."""
    if not hasattr(resource, "RUSAGE_THREAD"):
        return None
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime, used.ru_nvcsw


def _paused(before: tuple[float, int] | None, limit: float) -> bool:
    """Return whether time passed since *before* with neither work nor waiting.

    Then the machine was busy with others, or a container had used up its share.
    """
    after = _spent()
    if before is None or after is None:  # what takes long is taken for slow
        return False
    return after[0] - before[0] < limit / 2 and after[1] == before[1]
