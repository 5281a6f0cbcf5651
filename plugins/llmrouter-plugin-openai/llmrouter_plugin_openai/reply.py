"""Reading an answer: nothing is given before the first word, nothing is cut silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from llmrouter_core import BadResponse, CallError, Chunk, IncompleteStream

from llmrouter_plugin_openai.reading import Body, Clock
from llmrouter_plugin_openai.sse import LONGEST, EventParser
from llmrouter_plugin_openai.transport import Response

_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 2.0
_LINGER = 0.05  # seconds a finished stream is given to end, so that its connection is reused


class Reply:
    """One response as chunks, whichever way it answers; a class that derives from it translates.

    That class adds `reason`, `refused`, `whole` and `take`; limits, and what is given when, are
    here. What precedes the first word waits for it: until a chunk is out, another model can still
    answer instead. Once a finish reason is out, the answer is whole, and whatever breaks after it
    is no error.

    Args:
        response: The response, which closes with the reply.
        clock: The time that is left.
        idle: Seconds that may pass within the response without a byte.
        largest: Bytes that the answer may have.

    Attributes:
        place: Whom the call asks.
        held: Chunks that were not given yet.
        spoken: Whether something was said.
        finished: Whether the answer said why it ended.
        done: Whether the stream said that nothing more will come.
    """

    reason: ClassVar[str]
    """The field in which an answer says why it ended."""

    def __init__(self, response: Response, clock: Clock, *, idle: float, largest: int) -> None:
        self.place = clock.place
        self.held: list[Chunk] = []
        self.spoken = self.finished = self.done = False
        self._response = response
        self._clock = clock
        self._idle = idle
        self._largest = largest
        self._body: Body | None = None
        self._parser = EventParser()
        self._failure: CallError | None = None
        self._over = False

    # ------------------------------------------------------------------ what a protocol adds

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
        """Return what a status other than 200 stands for, of whose body this is the start."""
        raise NotImplementedError

    def whole(self, body: bytes) -> Chunk:
        """Return an answer that came in one piece.

        Raises:
            CallError: It reports an error, breaks the protocol or is not finished.
        """
        raise NotImplementedError

    def take(self, events: Sequence[bytes]) -> None:
        """Hold the chunks of *events*, and set `spoken`, `finished` and `done`.

        Raises:
            CallError: An event reports an error or breaks the protocol; what came before it is
                held all the same.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ reading

    async def more(self) -> list[Chunk]:
        """Return the chunks that came, none at the end. In lists they pass through fewer hands.

        Raises:
            IncompleteStream: The answer ended or broke without a finish reason.
            CallError: It reported an error, broke the protocol or passed a limit.
        """
        body = self._body or await self._begin()
        parser = self._parser
        while not (self._over or (self.spoken and self.held)):
            try:
                piece = await body.read()
                self.take(parser.feed(piece))
                if parser.overlong and not self.done:
                    long = f"sent a line of more than {LONGEST} bytes"
                    raise self.place.error(BadResponse, long)
                self._over = self.done or not piece
            except CallError as error:
                self._over, self._failure = True, error
        if self.spoken and self.held:  # what was said before a failure is given first
            said, self.held = self.held, []
            return said
        if self.done:
            await body.start(1, _LINGER)
        if not self.finished:
            unfinished = f"the answer ended without a {self.reason}"
            raise self._failure or self.place.error(IncompleteStream, unfinished)
        return []

    async def aclose(self) -> None:
        """Close the response, and the connection at once unless it was read to its end."""
        await self._response.aclose()

    async def _begin(self) -> Body:
        """Return the body of a stream, or hold the answer that came in one piece."""
        response = self._response
        body = self._body = Body(response, self._clock, idle=self._idle, largest=self._largest)
        if response.status_code != 200:
            start = await body.start(_ERROR_BYTES, _ERROR_SECONDS)
            raise self.refused(response.status_code, response.headers, start)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            self.held.append(self.whole(await body.whole()))
            self.spoken = self.finished = self._over = True
        elif kind != "text/event-stream":
            what = self.place.quote(kind) or "no content type"
            raise self.place.error(BadResponse, f"answered with {what}; check its base_url")
        return body
