"""Where a decision is taken: on the event loop while that blocks nobody, else in a thread.

Handing a decision of a fifth of a millisecond to a thread costs more than the decision. One that
waits, for a network or a large encoder, must not hold up everybody else.

Queries that are ready in the same turn of the loop are decided as one batch: sixteen together
cost about a quarter of what they cost one by one, because numpy charges by the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from llmrouter_core.errors import NoEligibleModel
from llmrouter_core.types import Decision, Payload, Query

try:
    import resource
except ImportError:  # not on this system
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

Found: TypeAlias = Decision | NoEligibleModel
Decide: TypeAlias = Callable[[Sequence[Query]], list[Found]]

_QUICK = 0.002  # seconds of work on a query that nobody notices
_IDLE = 0.001  # seconds of waiting, beyond which it waits for something
_SLOW = 0.010  # seconds that others do notice
_PROOF = 30  # quick decisions that make a proof; each that is not takes `_DOUBT` of them away
_DOUBT = 10
_MOST = 12  # times that the proof is doubled at most
_WAITED = 4  # times that it is doubled by a decision that waited while everybody else did
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

    They are quick once thirty were, and hardly any was not. If one on the event loop is slow
    nevertheless, it has to be proved again, with twice as many each time: what is quick now and
    then, as behind a cache, is soon not believed any more.

    Args:
        decide: What computes a decision for each query, or why there is none. It sees the context
            variables of whoever asked, but for queries that it decides together, which have none
            in common.
    """

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._proof = 0
        self._calm = 0
        self._slips = 0
        self._lines: dict[AbstractEventLoop, list[_Asked]] = {}

    async def decide(self, queries: Sequence[Query]) -> list[Decision]:
        """Return one decision per query.

        Raises:
            NoEligibleModel: There is none for one of them.
        """
        import asyncio

        many = len(queries) > _TOGETHER or sum(map(_size, queries)) > _SHORT
        if many or self._proof < _PROOF << self._slips:
            return decisions_of(await asyncio.to_thread(self._proved, queries))
        if len(queries) != 1:
            return decisions_of(self._noted(queries))
        loop = asyncio.get_running_loop()
        asked = _Asked(queries[0], loop.create_future(), copy_context())
        line = self._lines.get(loop)
        if line is None:
            for other in [one for one in self._lines if one.is_closed()]:
                del self._lines[other]  # it ended before its turn
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
            size += _size(asked.query)
            if count and size > _SHORT:
                break
            count += 1
        if rest := line[count:]:
            self._lines[loop] = rest
            loop.call_soon(self._next, loop, len(rest))
        else:
            del self._lines[loop]
        if count:
            self._settle(loop, line[:count])

    def _settle(self, loop: AbstractEventLoop, batch: Sequence[_Asked]) -> None:
        """Tell everybody in *batch* what is decided; where that fails, each one for itself."""
        context = batch[0].context if len(batch) == 1 else Context()
        try:
            found = context.run(self._noted, [asked.query for asked in batch])
        except BaseException as error:  # the loop would swallow most, and everybody would wait
            stops = isinstance(error, KeyboardInterrupt | SystemExit)
            for asked in batch:
                if len(batch) > 1 and not stops:
                    loop.call_soon(self._settle, loop, [asked])
                else:
                    _tell(asked.found, error)
            if stops:
                raise
            return
        for asked, one in zip(batch, found, strict=True):
            _tell(asked.found, one)

    def _noted(self, queries: Sequence[Query]) -> list[Found]:
        """Decide on the event loop, and count whether that was quick."""
        started, before = time.perf_counter(), _spent()
        try:
            return self._decide(queries)
        finally:
            limit = _SLOW * max(1, len(queries))
            slow = time.perf_counter() - started >= limit
            if slips := _fault(before, limit) if slow else 0:
                self._slips = min(self._slips + slips, _MOST)
                self._proof = self._calm = 0
            else:
                self._calm += 1
                if self._calm % _FORGIVEN == 0:
                    self._slips = max(0, self._slips - 1)

    def _proved(self, queries: Sequence[Query]) -> list[Found]:
        """Decide in a thread, and count whether that was quick."""
        started, worked, all_worked = time.perf_counter(), time.thread_time(), time.process_time()
        found = self._decide(queries)
        took, count = time.perf_counter() - started, max(1, len(queries))
        worked, all_worked = time.thread_time() - worked, time.process_time() - all_worked
        # Beside a busy loop a thread waits for its turn, which says nothing of the decision.
        waited = took - max(worked, all_worked)
        if worked >= _QUICK * count or waited >= _IDLE * count:
            self._proof = max(0, self._proof - _DOUBT)
        elif took < _SLOW * count:
            self._proof += 1
        return found


def _size(query: Query) -> int:
    """Return how many characters may be read to decide *query*."""
    payload = query.payload
    return len(payload.source) if isinstance(payload, Payload) else len(query.text)


def decisions_of(found: Sequence[Found]) -> list[Decision]:
    """Return *found*, where every query has its decision.

    Raises:
        NoEligibleModel: One has none; the message says which.
    """
    decisions = []
    for place, one in enumerate(found, start=1):
        if isinstance(one, NoEligibleModel):
            raise one if len(found) == 1 else NoEligibleModel(f"query {place}: {one}")
        decisions.append(one)
    return decisions


def _tell(asked: Future[Decision], found: Found | BaseException) -> None:
    if asked.done():  # whoever asked has left
        return
    if isinstance(found, BaseException):
        asked.set_exception(found)
    else:
        asked.set_result(found)


def _spent() -> tuple[float, int] | None:
    """Return the seconds this thread has worked and how often it has waited; None if unknown."""
    if not hasattr(resource, "RUSAGE_THREAD"):
        return None
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime, used.ru_nvcsw


def _fault(before: tuple[float, int] | None, limit: float) -> int:
    """Return how much of a slip it was that more time than *limit* passed since *before*.

    None, if there was neither work nor waiting: then the machine was busy with others, or a
    container had used up its share.
    """
    after = _spent()
    if before is None or after is None or after[0] - before[0] >= limit / 2:
        return 1
    return _WAITED if after[1] != before[1] else 0
