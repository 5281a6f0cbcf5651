"""From Anthropic's messages and events to the chunks of a chat completion."""

import json
import time
from collections.abc import Mapping
from typing import Any

from llmrouter_core import BadResponse, Chunk, IncompleteStream, Model, Usage
from llmrouter_plugin_openai.faults import Place

from llmrouter_plugin_anthropic.faults import broken
from llmrouter_plugin_anthropic.usage import counts_of, usage_of

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def answer_of(place: Place, model: Model, body: bytes) -> Chunk:
    """Return the one chunk of a message that was not streamed.

    Raises:
        CallError: The message reports an error, breaks the protocol or is not finished.
    """
    found = _object(place, body)
    blocks = found.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise place.error(BadResponse, "answered without content")
    reason = found.get("stop_reason")
    if not isinstance(reason, str):
        raise place.error(IncompleteStream, "answered without a stop_reason")
    said = [block.get("text") for block in blocks if block.get("type") == "text"]
    texts = [text for text in said if isinstance(text, str)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or None}
    thoughts = [b for b in blocks if b.get("type") in ("thinking", "redacted_thinking")]
    if thoughts:
        message["thinking_blocks"] = thoughts
        message["reasoning_content"] = "".join(str(b.get("thinking", "")) for b in thoughts)
    calls = [
        _call(b.get("id"), b.get("name"), json.dumps(b.get("input") or {}))
        for b in blocks
        if b.get("type") == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
    counts = found.get("usage")
    counts = counts if isinstance(counts, Mapping) else {}
    event = {
        **_head(found, model, "chat.completion"),
        "choices": [{"index": 0, "message": message, **_finish(found)}],
        "usage": counts_of(counts),
    }
    return _chunk(event, "".join(texts), FINISHES.get(reason, "stop"), usage_of(counts, model))


class Translator:
    """The chunks of one stream, event by event.

    Args:
        place: Whom the call asks.
        model: The model that answers.

    Attributes:
        spoken: Whether something was said; until then another model can still answer.
        finished: Whether the answer said why it stopped.
        over: Whether nothing more will come.
    """

    def __init__(self, place: Place, model: Model) -> None:
        self.spoken = self.finished = self.over = False
        self._place = place
        self._model = model
        self._head: dict[str, Any] = _head({}, model, "chat.completion.chunk")
        self._counts: dict[str, Any] = {}
        self._kinds: dict[Any, str] = {}  # of the blocks, by index
        self._calls: dict[Any, int] = {}  # the number of the call in each block

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that an event brings.

        Raises:
            CallError: The event reports an error or breaks the protocol.
        """
        event = _object(self._place, data)
        kind = event.get("type")
        if kind == "message_start":
            return self._begun(event)
        if kind == "content_block_start":
            return self._started(event)
        if kind == "content_block_delta":
            return self._grown(event)
        if kind == "message_delta":
            return self._ended(event)
        self.over = self.over or kind == "message_stop"
        return []  # a ping, the end of a block, or something new

    def _begun(self, event: Mapping[str, Any]) -> list[Chunk]:
        message = _mapping(event, "message")
        self._head = _head(message, self._model, "chat.completion.chunk")
        self._counts |= _mapping(message, "usage")
        return [self._said({"role": "assistant", "content": ""})]

    def _started(self, event: Mapping[str, Any]) -> list[Chunk]:
        index, block = event.get("index"), _mapping(event, "content_block")
        kind = self._kinds[index] = str(block.get("type"))
        if kind == "tool_use":
            number = self._calls[index] = len(self._calls)
            self.spoken = True
            call = {"index": number, **_call(block.get("id"), block.get("name"), "")}
            return [self._said({"tool_calls": [call]})]
        if kind == "redacted_thinking":
            return [self._said({"thinking_blocks": [block]})]
        if kind == "text" and block.get("text"):
            return self._text(block["text"])
        return []

    def _grown(self, event: Mapping[str, Any]) -> list[Chunk]:
        index, delta = event.get("index"), _mapping(event, "delta")
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(delta.get("text"))
        if kind == "input_json_delta" and index in self._calls:
            part = {"arguments": str(delta.get("partial_json") or "")}
            return [self._said({"tool_calls": [{"index": self._calls[index], "function": part}]})]
        if kind == "thinking_delta":
            text = str(delta.get("thinking") or "")
            self.spoken = self.spoken or bool(text)
            block = {"type": "thinking", "thinking": text}
            return [self._said({"reasoning_content": text, "thinking_blocks": [block]})]
        if kind == "signature_delta":
            signature = str(delta.get("signature") or "")
            block = {"type": "thinking", "thinking": "", "signature": signature}
            return [self._said({"thinking_blocks": [block]})]
        return []

    def _text(self, text: object) -> list[Chunk]:
        if not isinstance(text, str):
            raise self._place.error(BadResponse, "sent text that is none")
        self.spoken = self.spoken or bool(text)
        return [self._said({"content": text}, text)]

    def _ended(self, event: Mapping[str, Any]) -> list[Chunk]:
        self._counts |= {k: v for k, v in _mapping(event, "usage").items() if v is not None}
        delta = _mapping(event, "delta")
        reason = delta.get("stop_reason")
        if not isinstance(reason, str):
            return []
        self.spoken = self.finished = True
        choice = {"index": 0, "delta": {}, **_finish(delta)}
        last = _chunk({**self._head, "choices": [choice]}, finish=FINISHES.get(reason, "stop"))
        counted = {**self._head, "choices": [], "usage": counts_of(self._counts)}
        return [last, _chunk(counted, usage=usage_of(self._counts, self._model))]

    def _said(self, delta: Mapping[str, Any], text: str = "") -> Chunk:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return _chunk({**self._head, "choices": [choice]}, text)


def _object(place: Place, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise place.error(BadResponse, "sent something that is not JSON") from None
    if not isinstance(found, dict):
        raise place.error(BadResponse, f"sent a JSON {type(found).__name__}, not an object")
    if found.get("type") == "error" or found.get("error"):
        raise broken(place, found)
    return found


def _head(message: Mapping[str, Any], model: Model, kind: str) -> dict[str, Any]:
    identifier, name = message.get("id"), message.get("model")
    return {
        "id": identifier if isinstance(identifier, str) else "",
        "object": kind,
        "created": int(time.time()),
        "model": name if isinstance(name, str) else model.id,
    }


def _finish(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return why a choice ended: as chat says it, as Anthropic does, and at which sequence."""
    reason = found.get("stop_reason")
    finish: dict[str, Any] = {
        "finish_reason": FINISHES.get(str(reason), "stop"),
        "native_finish_reason": reason,
    }
    if isinstance(sequence := found.get("stop_sequence"), str):
        finish["stop_reason"] = sequence
    return finish


def _call(identifier: object, name: object, arguments: str) -> dict[str, Any]:
    function = {"name": str(name), "arguments": arguments}
    return {"id": str(identifier), "type": "function", "function": function}


def _chunk(
    event: Mapping[str, Any],
    text: str = "",
    finish: str | None = None,
    usage: Usage | None = None,
) -> Chunk:
    data = json.dumps(event, separators=(",", ":")).encode()
    return Chunk(text=text, finish=finish, usage=usage, event=event, data=data)


def _mapping(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}
