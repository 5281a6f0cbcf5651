"""Reading a response: every wait is limited, every byte is counted."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field
from llmrouter_core import BadResponse, CallError, IncompleteStream, TimedOut

from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.transport import Response

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, TimerHandle

T = TypeVar("T")

_ZIPPED = ("gzip", "x-gzip", "deflate")


@define(eq=False)
class Clock:
    """The time that is left to one call.

    All waits of a call, of which there is one at a time, share one timer. A wait only notes when
    it is due; a timer that rings too early is set anew. A stream of short waits so costs no timer
    each, and 30 s without a byte are noticed all the same.

    Attributes:
        place: Whom the call asks.
        deadline: Seconds the whole call may take.
        ends: When they are over, in the running loop's time.
    """

    place: Place
    deadline: float
    ends: float
    _loop: AbstractEventLoop | None = field(init=False, default=None)
    _timer: TimerHandle | None = field(init=False, default=None)
    _rings: float = field(init=False, default=0.0)
    _due: float = field(init=False, default=0.0)
    _task: Task[Any] | None = field(init=False, default=None)
    _late: bool = field(init=False, default=False)

    async def within(self, seconds: float, limit: str, result: Awaitable[T]) -> T:
        """Return *result* if it comes within *seconds* and before the deadline.

        Raises:
            TimedOut: It does not; the message names the limit.
        """
        import asyncio

        loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        until = loop.time() + seconds
        self._due = due = min(until, self.ends)
        if self._timer is None or due < self._rings:
            self._set(due)
        others = task.cancelling()
        self._task = task
        try:
            return await result
        except asyncio.CancelledError:
            # As in asyncio.timeout: whoever else cancelled the task comes before the clock.
            late, self._late = self._late, False
            if not late or task.uncancel() > others:
                raise
        finally:
            self._task = None
            if self._late:  # and something else came of it
                self._late = False
                task.uncancel()
        reason = (
            f"nothing within {seconds:g} s (limit '{limit}')"
            if until < self.ends
            else f"not finished within {self.deadline:g} s (limit 'deadline')"
        )
        raise self.place.error(TimedOut, reason)

    def stop(self) -> None:
        """Leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings = self._loop.call_at(when, self._ring), when

    def _ring(self) -> None:
        self._timer = None
        if self._task is None or self._loop is None:
            return  # nobody waits; the next wait sets it
        if self._loop.time() < self._due:
            self._set(self._due)
        else:
            self._late = True
            self._task.cancel()


class Body:
    """The body of one response, decompressed.

    Args:
        response: Whose body it is; the caller closes it.
        clock: The time that is left.
        idle: Seconds that may pass without a byte.
        largest: Bytes that may arrive, and bytes that they may decompress to.
    """

    def __init__(self, response: Response, clock: Clock, *, idle: float, largest: int) -> None:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", *_ZIPPED):
            raise clock.place.error(
                BadResponse,
                f"answered in an encoding that was not asked for: {clock.place.quote(encoding)}",
            )
        self._inflater = zlib.decompressobj(wbits=47) if encoding in _ZIPPED else None
        self._response = response
        self._clock = clock
        self._idle = idle
        self._largest = largest
        self._arrived = self._given = 0

    async def read(self, seconds: float | None = None) -> bytes:
        """Return the next piece, `b""` at the end.

        Args:
            seconds: How long to wait at most, where that is less than usual.

        Raises:
            TimedOut: A limit passed.
            IncompleteStream: The connection broke.
            BadResponse: The body is too large, or not what its encoding says.
        """
        wait = self._idle if seconds is None else min(seconds, self._idle)
        while True:
            try:
                piece = await self._clock.within(wait, "idle", self._response.read())
            except CallError:
                raise
            except Exception as error:  # each library has its own
                piece = self._response.left()
                if not piece:
                    reason = f"the connection broke within the answer ({type(error).__name__})"
                    raise self._clock.place.error(IncompleteStream, reason) from error
            if not piece:
                return b""
            self._arrived += len(piece)
            if self._arrived > self._largest:
                raise self._too_large()
            if self._inflater is None:
                return piece
            piece = self._inflate(self._inflater, piece)
            self._given += len(piece)
            if self._given > self._largest:
                raise self._too_large()
            if piece:
                return piece

    def _inflate(self, inflater: zlib._Decompress, piece: bytes) -> bytes:
        room = self._largest - self._given + 1  # one byte more tells that it is too large
        try:
            return inflater.decompress(piece, room)
        except zlib.error as error:
            raise self._clock.place.error(BadResponse, f"broken compression ({error})") from error

    def _too_large(self) -> CallError:
        reason = f"the answer is larger than {self._largest} bytes (limit 'largest_response')"
        return self._clock.place.error(BadResponse, reason)

    async def whole(self) -> bytes:
        """Return everything that is left."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def start(self, size: int, seconds: float) -> bytes:
        """Return at most *size* bytes, as many as come within *seconds*; never fail."""
        import asyncio

        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        pieces: list[bytes] = []
        with suppress(CallError):
            while sum(map(len, pieces)) < size:
                piece = await self.read(until - loop.time())
                if not piece:
                    break
                pieces.append(piece)
        return b"".join(pieces)[:size]
