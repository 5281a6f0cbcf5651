"""Reading a streamed answer: nothing is given before the first word, nothing is cut silently."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from llmrouter_core import BadResponse, CallError, Chunk, IncompleteStream

from llmrouter_plugin_openai.events import chunk_of, speaks
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.reading import Body
from llmrouter_plugin_openai.sse import EventParser, LineTooLong

_LINGER = 0.05  # seconds a finished stream is given to end, so that its connection is reused


async def chunks_of(place: Place, body: Body) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of a stream; what precedes the first word waits for it.

    Until a chunk is out, another model can still answer instead. Once a finish reason is out,
    the answer is whole, and whatever breaks after it is no error.

    Raises:
        IncompleteStream: The stream ended or broke without a finish reason.
        CallError: It reported an error, broke the protocol or passed a limit.
    """
    held: list[Chunk] = []
    spoken = finished = False
    try:
        async with aclosing(_events(place, body)) as events:
            async for data in events:
                chunk = chunk_of(place, data)
                finished = finished or chunk.finish is not None
                spoken = spoken or speaks(chunk)
                held.append(chunk)
                while spoken and held:
                    yield held.pop(0)
    except CallError:
        if not finished:
            raise
    if not finished:
        raise place.error(IncompleteStream, "the answer ended without a finish_reason")


async def _events(place: Place, body: Body) -> AsyncGenerator[str, None]:
    """Yield the data of each event before `[DONE]`."""
    parser = EventParser()
    try:
        while piece := await body.read():
            for data in parser.feed(piece):
                if data.strip() == "[DONE]":
                    await body.start(1, _LINGER)
                    return
                yield data
    except LineTooLong as error:
        raise place.error(BadResponse, f"sent {error}") from error
