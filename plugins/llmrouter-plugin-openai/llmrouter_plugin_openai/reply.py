"""Reading an answer: nothing is given before the first word, nothing is cut silently."""

from __future__ import annotations

from llmrouter_core import BadResponse, CallError, Chunk, IncompleteStream

from llmrouter_plugin_openai.events import answer_of, chunk_of, speaks
from llmrouter_plugin_openai.faults import refusal
from llmrouter_plugin_openai.reading import Body, Clock
from llmrouter_plugin_openai.sse import LONGEST, EventParser
from llmrouter_plugin_openai.transport import Response

_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 2.0
_SHORT = 32  # bytes of a line that may be `[DONE]`
_LINGER = 0.05  # seconds a finished stream is given to end, so that its connection is reused


class Reply:
    """One response as chunks, whichever way it answers.

    What precedes the first word waits for it: until a chunk is out, another model can still
    answer instead. Once a finish reason is out, the answer is whole, and whatever breaks after it
    is no error.

    Args:
        response: The response, which closes with the reply.
        clock: The time that is left.
        idle: Seconds that may pass within the response without a byte.
        largest: Bytes that the answer may have.
    """

    def __init__(self, response: Response, clock: Clock, *, idle: float, largest: int) -> None:
        self._response = response
        self._clock = clock
        self._place = clock.place
        self._idle = idle
        self._largest = largest
        self._body: Body | None = None
        self._parser = EventParser()
        self._held: list[Chunk] = []
        self._failure: CallError | None = None
        self._spoken = self._finished = self._done = self._over = False

    async def more(self) -> list[Chunk]:
        """Return the chunks that came, none at the end. In lists they pass through fewer hands.

        Raises:
            IncompleteStream: The answer ended or broke without a finish reason.
            CallError: It reported an error, broke the protocol or passed a limit.
        """
        body = self._body or await self._begin()
        while not (self._over or (self._spoken and self._held)):
            try:
                self._take(await body.read())
            except CallError as error:
                self._over, self._failure = True, error
        if self._spoken and self._held:  # what was said before a failure is given first
            said, self._held = self._held, []
            return said
        if self._done:
            await body.start(1, _LINGER)
        if not self._finished:
            unfinished = "the answer ended without a finish_reason"
            raise self._failure or self._place.error(IncompleteStream, unfinished)
        return []

    async def aclose(self) -> None:
        """Close the response, and the connection at once unless it was read to its end."""
        await self._response.aclose()

    async def _begin(self) -> Body:
        """Return the body of a stream, or hold the answer that came in one piece."""
        place, response = self._place, self._response
        body = self._body = Body(response, self._clock, idle=self._idle, largest=self._largest)
        if response.status_code != 200:
            start = await body.start(_ERROR_BYTES, _ERROR_SECONDS)
            raise refusal(place, response.status_code, response.headers, start)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            self._held.append(answer_of(place, await body.whole()))
            self._spoken = self._finished = self._over = True
        elif kind != "text/event-stream":
            what = place.quote(kind) or "no content type"
            raise place.error(BadResponse, f"answered with {what}; check its base_url")
        return body

    def _take(self, piece: bytes) -> None:
        """Hold the chunks that *piece* completes."""
        self._over = not piece
        for data in self._parser.feed(piece):
            if len(data) < _SHORT and data.strip() == b"[DONE]":
                self._over = self._done = True
                return
            chunk = chunk_of(self._place, data)
            if chunk.finish is not None:
                self._finished = True
            if not self._spoken:
                self._spoken = speaks(chunk)
            self._held.append(chunk)
        if self._parser.overlong:
            raise self._place.error(BadResponse, f"sent a line of more than {LONGEST} bytes")
