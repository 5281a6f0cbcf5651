"""A gateway of one protocol on loopback, for the clients that people have."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field
from hypothesis import strategies as st
from llmrouter_core import BadRequest, Chunk, Usage
from llmrouter_plugin_server.protocols.events import encoded
from llmrouter_plugin_server.protocols.gathering import Gathering

ROUTED = {"id": "abc", "model": "small", "reason": "ranked first"}
ERROR = {"message": "no model answered", "type": "server_error", "param": None, "code": None}

NAMES = """
    type role content text source data title id name index function custom arguments input
    messages system tools tool_choice tool_use_id call_id output instructions reasoning effort
    thinking metadata output_config format prompt echo logprobs top_logprobs token choices delta
    message tool_calls finish_reason usage prompt_tokens refusal reasoning_content
    reasoning_details thinking_blocks signature summary
"""
KINDS = """
    text image document tool_result tool_use user assistant function custom message input_text
    input_image function_call function_call_output reasoning
"""
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES.split()), inner | st.sampled_from(KINDS.split()), max_size=5
        )
    ),
    max_leaves=20,
)
"""Any JSON, much of it with the names that the protocols use."""


def piece(
    delta: Mapping[str, Any] | None = None,
    finish: str | None = None,
    usage: Mapping[str, Any] | None = None,
    **more: Any,
) -> Chunk:
    """Return the chunk of one event of a stream."""
    choice = {"index": 0, "delta": dict(delta or {}), "finish_reason": finish, **more}
    event: dict[str, Any] = {"choices": [choice]}
    if usage is not None:
        event["usage"] = usage
    return Chunk(text=(delta or {}).get("content") or "", finish=finish, event=event)


def counted(**usage: Any) -> Chunk:
    """Return the chunk that only says what was used."""
    return Chunk(event={"choices": [], "usage": usage})


def called(index: int, arguments: str, **more: Any) -> Chunk:
    """Return the chunk of a piece of a tool call."""
    name, identifier = more.get("name"), more.get("id")
    function = {"arguments": arguments} | ({"name": name} if name else {})
    call = {"index": index, "function": function} | ({"id": identifier} if identifier else {})
    return piece({"tool_calls": [call]})


@define
class Desk:
    """Answers every request with the same chunks, whole or streamed as asked.

    Attributes:
        protocol: The module that translates.
        chunks: What the model says.
        fails: Whether the answer breaks off after the chunks.
        status: The status of a refusal instead of an answer; 200 for an answer.
        asked: The chat payloads of the requests so far.
        url: Where it is.
    """

    protocol: Any
    chunks: Sequence[Chunk] = ()
    fails: bool = False
    status: int = 200
    asked: list[Mapping[str, Any]] = field(factory=list)
    url: str = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Desk"]:
        """Serve on a free port of loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r")[0])
        body = json.loads(await reader.readexactly(length))
        status, kind, answer = self._answer(body)
        start = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
        writer.write(start.encode() + answer)
        await writer.drain()
        writer.close()

    def _answer(self, body: Mapping[str, Any]) -> tuple[int, str, bytes]:
        if self.status != 200:
            return self.status, "application/json", encoded(self._refusal(self.status, ERROR))
        try:
            self.asked.append(self.protocol.payload_of(body))
        except BadRequest as error:
            found = {**ERROR, "message": str(error)}
            return 400, "application/json", encoded(self._refusal(400, found))
        if not body.get("stream"):
            gathering = Gathering("small", "abc")
            for chunk in self.chunks:
                gathering.feed(chunk)
            whole = gathering.completion(Usage(input_tokens=1, output_tokens=1))
            named = {"model": "small", "identifier": "abc"}
            answer = self.protocol.answer_of(whole, body, **named, llmrouter=ROUTED)
            return 200, "application/json", encoded(answer)
        return 200, "text/event-stream", told(self.protocol, self.chunks, body, fails=self.fails)

    def _refusal(self, status: int, error: Mapping[str, Any]) -> Any:
        return self.protocol.error_of(error, status=status, identifier="abc")


def told(
    protocol: Any,
    chunks: Sequence[Chunk],
    body: Mapping[str, Any] | None = None,
    *,
    fails: bool = False,
) -> bytes:
    """Return the whole stream that *chunks* become."""
    stream = protocol.Stream(body or {}, model="small", identifier="abc")
    found = b"".join([stream.feed(chunk) for chunk in chunks])
    if fails:
        return found + bytes(stream.end(ERROR, status=503))
    return found + bytes(
        stream.end(usage=Usage(input_tokens=1, output_tokens=1), llmrouter=ROUTED)
    )


def events(stream: bytes) -> list[dict[str, Any]]:
    """Return the data of every event; the name of each must be its type."""
    found = []
    for block in stream.decode().split("\n\n")[:-1]:
        *name, data = block.split("\n")
        if data == "data: [DONE]":
            continue
        found.append(json.loads(data.removeprefix("data: ")))
        assert name in ([], [f"event: {found[-1].get('type')}"])
    return found
