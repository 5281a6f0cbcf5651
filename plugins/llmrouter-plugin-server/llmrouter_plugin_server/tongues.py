"""The protocols a client may speak: each reads a request and words its answer.

A tongue has a chat payload of what was asked, and then either words one whole answer, or makes a
`Voice` that words it chunk by chunk. OpenAI's chat completions are spoken natively: the bytes of
the provider pass through as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, TypeAlias

import msgspec
from llmrouter_core import BadRequest, Chunk, Payload, Usage

from llmrouter_plugin_server import names
from llmrouter_plugin_server.faults import Fault, refuse
from llmrouter_plugin_server.notes import Note
from llmrouter_plugin_server.protocols.gathering import Gathering
from llmrouter_plugin_server.reading import without
from llmrouter_plugin_server.replies import encode, openai_error

DONE = b"data: [DONE]\n\n"


Read: TypeAlias = "Callable[[dict[str, Any], bytes], Tongue]"
Shape: TypeAlias = Callable[[Fault], dict[str, Any]]


class Voice(Protocol):
    """Words one streamed answer."""

    def feed(self, chunk: Chunk) -> bytes:
        """Return the bytes to send for *chunk*; none where nothing is to be sent yet."""

    def end(self, note: Note | None, usage: Usage | None) -> bytes:
        """Return the bytes that end an answer that is complete."""

    def fail(self, fault: Fault) -> bytes:
        """Return the bytes that end an answer that broke off; never a clean end."""


class Tongue(Protocol):
    """Reads one request, and words what is answered.

    Attributes:
        payload: The chat payload.
        streamed: Whether the client wants the answer in pieces.
    """

    payload: Mapping[str, Any]
    streamed: bool

    def voice(self, model: str, identifier: str) -> Voice:
        """Return who words a streamed answer."""

    def whole(self, chunks: list[Chunk], note: Note, usage: Usage, *, annotate: bool) -> bytes:
        """Return the body of an answer that is complete."""


def streamed_of(fields: Mapping[str, Any]) -> bool:
    """Return whether *fields* ask for a stream.

    Raises:
        Refusal: They say something that is neither yes nor no.
    """
    stream = fields.get("stream")
    if stream is None or type(stream) is bool:
        return bool(stream)
    raise refuse(400, "'stream' must be true or false", "bad_request", param="stream")


# ---------------------------------------------------------------------------- chat completions


class Chat:
    """OpenAI's chat completions."""

    error = staticmethod(openai_error)

    def __init__(self, fields: dict[str, Any], body: bytes) -> None:
        self.streamed = streamed_of(fields)
        options = fields.get("stream_options")
        if options is not None and not isinstance(options, dict):
            message = "'stream_options' must be an object"
            raise refuse(400, message, "bad_request", param="stream_options")
        self._usage = bool(options and options.get("include_usage"))
        fields["stream"] = self.streamed
        if names.FIELD in fields:
            del fields[names.FIELD]
            body = without(body, names.FIELD)
        self.payload: Mapping[str, Any] = Payload(fields, body)

    def voice(self, model: str, identifier: str) -> ChatVoice:
        """Return who passes the provider's events on."""
        return ChatVoice(model, identifier, usage=self._usage)

    def whole(self, chunks: list[Chunk], note: Note, usage: Usage, *, annotate: bool) -> bytes:
        """Return the provider's own body where there is one, else a completion put together."""
        body = _passed(chunks)
        if body is None:
            gathering = Gathering(model=note.model, identifier=note.id)
            for chunk in chunks:
                gathering.feed(chunk)
            body = encode(gathering.completion(usage))
        return noted(body, note) if annotate else body


def _passed(chunks: list[Chunk]) -> bytes | None:
    """Return the body of the one completion that *chunks* are, if they are one as it came."""
    said = [chunk for chunk in chunks if chunk.kind == "text"]
    if len(said) != 1 or said[0].data is None or said[0].event is None:
        return None
    choices = said[0].event.get("choices")
    whole = isinstance(choices, list) and choices and "message" in choices[0]
    return said[0].data if whole else None


def noted(data: bytes, note: Note) -> bytes:
    """Return the JSON object *data* with the field `llmrouter` at its end."""
    bare = data.rstrip()
    comma = b"," if bare[:-1].rstrip() != b"{" else b""
    return b'%b%b"%b":%b}' % (bare[:-1], comma, names.FIELD.encode(), encode(note.field()))


class ChatVoice:
    """Passes events on as they came, and adds the note to the last of them.

    From the finish reason on one event is held back, so that the last is known when it goes.
    """

    def __init__(self, model: str, identifier: str, *, usage: bool) -> None:
        self._model = model
        self._identifier = identifier
        self._usage = usage
        self._finished = False
        self._held: bytes | None = None
        self._made = 0.0

    def feed(self, chunk: Chunk) -> bytes:
        """Return the event of *chunk*."""
        if chunk.kind != "text":
            return b""
        event = chunk.event
        bare = chunk.usage is not None and event is not None and not event.get("choices")
        if bare and not self._usage:  # who did not ask for the usage may trip over it
            return b""
        data = chunk.data
        if data is None or (event is not None and event.get("object") == "chat.completion"):
            data = self._worded(chunk)
        if chunk.finish is None and not self._finished:
            return b"data: %b\n\n" % data
        self._finished = True
        held, self._held = self._held, data
        return b"" if held is None else b"data: %b\n\n" % held

    def end(self, note: Note | None, usage: Usage | None) -> bytes:
        """Return the last event, with the note."""
        held = self._held
        if held is None:  # a solver that only speaks
            held = encode(self._event({}, "stop"))
        if note is not None:
            held = noted(held, note)
        return b"data: %b\n\n%b" % (held, DONE)

    def fail(self, fault: Fault) -> bytes:
        """Return the event that says what went wrong."""
        return b"data: %b\n\n" % encode(openai_error(fault))

    def _worded(self, chunk: Chunk) -> bytes:
        """Return the event that says what *chunk* says."""
        event = chunk.event
        if event is None:
            return encode(self._event({"content": chunk.text}, chunk.finish))
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or "message" not in choices[0]:
            return encode(event)
        pieces = []
        for choice in choices:
            said = dict(choice.get("message") or {})
            calls = said.get("tool_calls")
            if isinstance(calls, list):
                said["tool_calls"] = [{"index": n, **call} for n, call in enumerate(calls)]
            rest = {key: value for key, value in choice.items() if key != "message"}
            pieces.append({**rest, "delta": said})
        found = {**event, "object": "chat.completion.chunk", "choices": pieces}
        if not self._usage:
            found.pop("usage", None)
        return encode(found)

    def _event(self, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        self._made = self._made or time.time()
        return {
            "id": f"chatcmpl-{self._identifier}",
            "object": "chat.completion.chunk",
            "created": int(self._made),
            "model": self._model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }


# ---------------------------------------------------------------------------- other protocols


class Foreign:
    """A protocol that is translated to chat completions and back, by a module of `protocols`."""

    def __init__(self, module: Any, fields: dict[str, Any]) -> None:
        self._module = module
        self.streamed = streamed_of(fields)
        fields.pop(names.FIELD, None)
        self._body = fields
        try:
            self.payload: Mapping[str, Any] = module.payload_of(fields)
        except BadRequest as error:
            raise refuse(400, str(error), "bad_request") from None

    def voice(self, model: str, identifier: str) -> ForeignVoice:
        """Return who translates the answer chunk by chunk."""
        return ForeignVoice(self._module.Stream(self._body, model=model, identifier=identifier))

    def whole(self, chunks: list[Chunk], note: Note, usage: Usage, *, annotate: bool) -> bytes:
        """Return the answer, translated."""
        body = _passed(chunks)
        if body is not None:
            completion = msgspec.json.decode(body)
        else:
            gathering = Gathering(model=note.model, identifier=note.id)
            for chunk in chunks:
                gathering.feed(chunk)
            completion = gathering.completion(usage)
        answer = self._module.answer_of(
            completion,
            self._body,
            model=note.model,
            identifier=note.id,
            llmrouter=note.field() if annotate else None,
        )
        return encode(answer)


class ForeignVoice:
    """Words a streamed answer in another protocol."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def feed(self, chunk: Chunk) -> bytes:
        """Return the events of *chunk*."""
        found: bytes = self._stream.feed(chunk)
        return found

    def end(self, note: Note | None, usage: Usage | None) -> bytes:
        """Return the last events."""
        field = None if note is None else note.field()
        found: bytes = self._stream.end(usage=usage, llmrouter=field)
        return found

    def fail(self, fault: Fault) -> bytes:
        """Return the events that say what went wrong."""
        error = openai_error(fault)["error"]
        found: bytes = self._stream.end(error, status=fault.status)
        return found


def foreign(name: str) -> tuple[Read, Shape]:
    """Return how the protocol of that module of `protocols` is read, and how it words errors."""
    module: Any = import_module(f"{_PROTOCOLS}.{name}")

    def read(fields: dict[str, Any], body: bytes) -> Tongue:
        return Foreign(module, fields)

    def shape(fault: Fault) -> dict[str, Any]:
        error: dict[str, Any] = module.error_of(openai_error(fault)["error"], status=fault.status)
        return error

    return read, shape


_PROTOCOLS = "llmrouter_plugin_server.protocols"
