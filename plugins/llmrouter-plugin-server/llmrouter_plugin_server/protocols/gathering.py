"""Chunks of one answer, put together as one chat completion."""

import time
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from llmrouter_core import Chunk, Usage

from llmrouter_plugin_server.protocols.hearing import (
    Call,
    Calls,
    blocks_of,
    choices_of,
    content_of,
    counts_of,
    pieces_of,
    said_of,
    thoughts_of,
)

_KEPT = ("id", "created", "system_fingerprint", "service_tier", "provider", "citations")
_TEXTS = ("reasoning_content", "reasoning", "refusal")
_LISTS = ("thinking_blocks", "reasoning_details", "annotations", "images")


@define
class _Choice:
    """One of the answers of a completion."""

    text: str = ""
    finish: str | None = None
    said: dict[str, Any] = field(factory=dict)
    fields: dict[str, Any] = field(factory=dict)
    logprobs: dict[str, list[Any]] = field(factory=dict)
    calls: Calls = field(factory=Calls)

    def hear(self, choice: Mapping[str, Any], text: str) -> None:
        self.text += text
        self.finish = choice.get("finish_reason") or self.finish
        said = said_of(choice)
        for name, value in said.items():
            if name in _TEXTS and isinstance(value, str):
                self.said[name] = self.said.get(name, "") + value
            elif name in _LISTS and isinstance(value, list):
                self.said[name] = [*self.said.get(name, ()), *value]
            elif name not in ("content", "tool_calls", "function_call") and value is not None:
                self.said[name] = value
        for piece in pieces_of(said):
            self.calls.feed(piece)
        logprobs = choice.get("logprobs")
        for name, value in logprobs.items() if isinstance(logprobs, Mapping) else ():
            if isinstance(value, list):
                self.logprobs.setdefault(name, []).extend(value)
        known = ("index", "delta", "message", "finish_reason", "logprobs")
        self.fields |= {key: v for key, v in choice.items() if key not in known and v is not None}

    def whole(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text, **self.said}
        if "thinking_blocks" in message:
            message["thinking_blocks"] = blocks_of(thoughts_of(message))
        if self.calls.heard:
            message["content"] = self.text or None
            message["tool_calls"] = [_call(call, index) for call in self.calls.heard]
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs or None,
            "finish_reason": self.finish or ("tool_calls" if self.calls.heard else "stop"),
            **self.fields,
        }


@define
class Gathering:
    """A chat completion that grows by chunks: pieces of a stream, whole answers or bare text.

    Attributes:
        model: Name of the model, where the provider does not give one.
        identifier: Identifier of the answer, where the provider does not give one.
    """

    model: str
    identifier: str
    _fields: dict[str, Any] = field(init=False, factory=dict)
    _choices: dict[int, _Choice] = field(init=False, factory=dict)
    _usage: Mapping[str, Any] | None = field(init=False, default=None)

    def feed(self, chunk: Chunk) -> None:
        """Add *chunk*; what is not part of the answer, such as a note, is left out.

        The text of the first choice is the chunk's, which a guard may have changed.
        """
        event = chunk.event
        self._usage = counts_of(event, chunk.usage) or self._usage
        if chunk.kind != "text":
            return
        if event is not None:
            if event.get("model"):
                self._fields["model"] = event["model"]
            for name in _KEPT:
                if event.get(name) is not None:
                    self._fields.setdefault(name, event[name])
        first: Mapping[str, Any] = {}
        for index, choice in choices_of(event):
            if index:
                self._choice(index).hear(choice, content_of(said_of(choice)))
            else:
                first = choice
        if first or chunk.text or chunk.finish:
            self._choice(0).hear(first, chunk.text)
            self._choice(0).finish = chunk.finish or self._choice(0).finish

    def _choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def completion(self, usage: Usage | None = None) -> dict[str, Any]:
        """Return the completion; *usage* counts where no chunk brought one."""
        choices = self._choices or {0: _Choice()}
        return {
            "id": f"chatcmpl-{self.identifier}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            **self._fields,
            "choices": [choices[index].whole(index) for index in sorted(choices)],
            "usage": self._usage or counts_of(None, usage or Usage()),
        }


def _call(call: Call, choice: int) -> dict[str, Any]:
    body = {"name": call.name, ("input" if call.kind == "custom" else "arguments"): call.arguments}
    identifier = call.id or f"call_{choice}_{call.number}"
    return {"id": identifier, "type": call.kind, call.kind: body}
