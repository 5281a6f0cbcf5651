"""Prompts and answers in the shape that OpenTelemetry gives them: messages made of parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from llmrouter_core import Chunk


def of_messages(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return a request's messages as JSON; pictures and files are named, not copied."""
    return _json([{"role": str(m.get("role")), "parts": _parts(m)} for m in messages])


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        answered = {"id": message.get("tool_call_id"), "response": content}
        return [{"type": "tool_call_response", **answered}]
    listed = content if isinstance(content, list) else [] if content is None else [content]
    calls = message.get("tool_calls")
    return [_part(one) for one in listed] + [
        _tool_call(one) for one in (calls if isinstance(calls, list) else ())
    ]


def _part(part: object) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return {"type": "text", "content": str(part)}
    if isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    return {"type": str(part.get("type"))}


def _tool_call(call: object) -> dict[str, Any]:
    called = call if isinstance(call, Mapping) else {}
    function = called.get("function")
    named = function if isinstance(function, Mapping) else {}
    return {
        "type": "tool_call",
        "id": called.get("id"),
        "name": named.get("name"),
        "arguments": named.get("arguments"),
    }


@define
class Answering:
    """An answer as far as it got."""

    _texts: list[str] = field(init=False, factory=list)
    _calls: dict[int, dict[str, Any]] = field(init=False, factory=dict)

    def take(self, chunk: Chunk) -> None:
        """Add *chunk*: its text, and the pieces of tool calls in the provider's event."""
        if chunk.kind == "text":
            self._texts.append(chunk.text)
        choices = (chunk.event or {}).get("choices")
        for choice in choices[:1] if isinstance(choices, list) else ():
            said = choice.get("delta") or choice.get("message")
            calls = said.get("tool_calls") if isinstance(said, Mapping) else None
            for place, piece in enumerate(calls if isinstance(calls, list) else ()):
                index = piece.get("index", place)
                call = self._calls.setdefault(index, {"id": None, "name": "", "arguments": ""})
                function = piece.get("function") or {}
                call["id"] = piece.get("id") or call["id"]
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""

    def message(self, finish: str | None) -> str:
        """Return it as JSON: one message of the assistant."""
        text = "".join(self._texts)
        parts: list[dict[str, Any]] = [{"type": "text", "content": text}] if text else []
        parts += [{"type": "tool_call", **call} for call in self._calls.values()]
        return _json([{"role": "assistant", "parts": parts, "finish_reason": finish or ""}])


def _json(value: object) -> str:
    """Return *value* as JSON that can be sent: half a surrogate pair has no UTF-8."""
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
