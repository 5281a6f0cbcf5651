"""Reading an answer: nothing is given before the first word, nothing is cut silently."""

from __future__ import annotations

from llmrouter_core import BadResponse, CallError, Chunk, IncompleteStream, Model
from llmrouter_plugin_openai.reading import Body, Clock
from llmrouter_plugin_openai.sse import LONGEST, EventParser
from llmrouter_plugin_openai.transport import Response

from llmrouter_plugin_anthropic.events import Translator, answer_of
from llmrouter_plugin_anthropic.faults import refused

_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 2.0
_LINGER = 0.05  # seconds a finished stream is given to end, so that its connection is reused


class Reply:
    """One response as chunks, whichever way it answers.

    Args:
        response: The response, which closes with the reply.
        clock: The time that is left.
        model: The model that was asked.
        idle: Seconds that may pass without a byte.
        largest: Bytes that the answer may have.
    """

    def __init__(
        self, response: Response, clock: Clock, model: Model, *, idle: float, largest: int
    ) -> None:
        self._response = response
        self._place = clock.place
        self._clock = clock
        self._model = model
        self._idle = idle
        self._largest = largest
        self._body: Body | None = None
        self._translator: Translator | None = None
        self._parser = EventParser()
        self._held: list[Chunk] = []  # until the first word
        self._failure: CallError | None = None
        self._ends = False

    async def more(self) -> list[Chunk]:
        """Return the next chunks, none at the end.

        Raises:
            IncompleteStream: The answer ended or broke without a stop reason.
            CallError: This is no answer, it reports an error, or a limit passed.
        """
        if self._body is None:
            body = self._body = Body(
                self._response, self._clock, idle=self._idle, largest=self._largest
            )
            if (whole := await self._begin(body)) is not None:
                return [whole]
        if self._translator is None:
            return []
        return await self._stream(self._body, self._translator)

    async def _begin(self, body: Body) -> Chunk | None:
        """Return the answer if it is whole; make ready to read a stream."""
        response = self._response
        if response.status_code != 200:
            start = await body.start(_ERROR_BYTES, _ERROR_SECONDS)
            raise refused(self._place, response.status_code, response.headers, start)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return answer_of(self._place, self._model, await body.whole())
        if kind != "text/event-stream":
            what = self._place.quote(kind) or "no content type"
            raise self._place.error(BadResponse, f"answered with {what}; check its base_url")
        self._translator = Translator(self._place, self._model)
        return None

    async def _stream(self, body: Body, translator: Translator) -> list[Chunk]:
        while not (self._ends or (translator.spoken and self._held)):
            try:
                self._take(await body.read(), translator)
            except CallError as error:
                self._ends, self._failure = True, error
        if translator.spoken and self._held:  # what was said before a failure is given first
            said, self._held = self._held, []
            return said
        if translator.over:
            await body.start(1, _LINGER)
        if not translator.finished:
            unfinished = "the answer ended without a stop_reason"
            raise self._failure or self._place.error(IncompleteStream, unfinished)
        return []

    def _take(self, piece: bytes, translator: Translator) -> None:
        """Hold the chunks that *piece* completes."""
        self._ends = not piece
        for data in self._parser.feed(piece):
            self._held += translator.feed(data)
            if translator.over:
                self._ends = True
                return
        if self._parser.overlong:
            raise self._place.error(BadResponse, f"sent a line of more than {LONGEST} bytes")

    async def aclose(self) -> None:
        """Close the response, and the connection at once unless it was read to its end."""
        await self._response.aclose()
