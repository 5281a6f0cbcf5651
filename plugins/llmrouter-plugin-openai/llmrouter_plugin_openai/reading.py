"""Reading a response: every wait is limited, every byte is counted."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen
from llmrouter_core import BadResponse, CallError, IncompleteStream, TimedOut

from llmrouter_plugin_openai.faults import Place

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_ZIPPED = ("gzip", "x-gzip", "deflate")


@frozen
class Clock:
    """The time that is left to one call.

    Attributes:
        place: Whom the call asks.
        deadline: Seconds the whole call may take.
        ends: When they are over, in the running loop's time.
    """

    place: Place
    deadline: float
    ends: float

    async def within(self, seconds: float, limit: str, result: Awaitable[T]) -> T:
        """Return *result* if it comes within *seconds* and before the deadline.

        Raises:
            TimedOut: It does not; the message names the limit.
        """
        import asyncio

        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(min(until, self.ends)):
                return await result
        except TimeoutError:
            reason = (
                f"nothing within {seconds:g} s (limit '{limit}')"
                if until < self.ends
                else f"not finished within {self.deadline:g} s (limit 'deadline')"
            )
            raise self.place.error(TimedOut, reason) from None


class Body:
    """The body of one response, decompressed.

    Args:
        response: Whose body it is; the caller closes it.
        clock: The time that is left.
        idle: Seconds that may pass without a byte.
        largest: Bytes that may arrive, and bytes that they may decompress to.
    """

    def __init__(
        self, response: httpx.Response, clock: Clock, *, idle: float, largest: int
    ) -> None:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", *_ZIPPED):
            raise clock.place.error(
                BadResponse,
                f"answered in an encoding that was not asked for: {clock.place.quote(encoding)}",
            )
        self._inflater = zlib.decompressobj(wbits=47) if encoding in _ZIPPED else None
        self._pieces = response.aiter_raw()
        self._clock = clock
        self._idle = idle
        self._largest = largest
        self._arrived = self._given = 0

    async def read(self) -> bytes:
        """Return the next piece, `b""` at the end.

        Raises:
            TimedOut: A limit passed.
            IncompleteStream: The connection broke.
            BadResponse: The body is too large, or not what its encoding says.
        """
        import httpx

        while True:
            try:
                piece = await self._clock.within(self._idle, "idle", anext(self._pieces, b""))
            except httpx.HTTPError as error:
                reason = f"the connection broke within the answer ({type(error).__name__})"
                raise self._clock.place.error(IncompleteStream, reason) from error
            if not piece:
                return b""
            self._arrived += len(piece)
            if self._arrived > self._largest:
                raise self._too_large()
            if self._inflater is not None:
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
        pieces: list[bytes] = []

        async def collect() -> None:
            while sum(map(len, pieces)) < size and (piece := await self.read()):
                pieces.append(piece)

        with suppress(CallError):
            await self._clock.within(seconds, "idle", collect())
        return b"".join(pieces)[:size]

    async def aclose(self) -> None:
        """Stop reading, so that nothing is left to the garbage collector.

        httpx nests generators, and closing the outermost leaves the inner ones suspended; a
        read that is cancelled at once ends them all.
        """
        import asyncio

        import httpx

        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(0):
                while await anext(self._pieces, b""):
                    pass
