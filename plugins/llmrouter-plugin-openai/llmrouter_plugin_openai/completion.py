"""A reply that is a chat completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from llmrouter_core import CallError, Chunk

from llmrouter_plugin_openai.events import answer_of, chunk_of, speaks
from llmrouter_plugin_openai.faults import refusal
from llmrouter_plugin_openai.reply import Reply

_SHORT = 32  # bytes of a line that may be `[DONE]`


class CompletionReply(Reply):
    """The chunks of a chat completion are its events, as they came."""

    reason: ClassVar[str] = "finish_reason"

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
        """Return what a status other than 200 stands for."""
        return refusal(self.place, status, headers, body)

    def whole(self, body: bytes) -> Chunk:
        """Return an answer that came in one piece."""
        return answer_of(self.place, body)

    def take(self, events: Sequence[bytes]) -> None:
        """Hold a chunk of each event, up to `[DONE]`."""
        for data in events:
            if len(data) < _SHORT and data.strip() == b"[DONE]":
                self.done = True
                return
            chunk = chunk_of(self.place, data)
            if chunk.finish is not None:
                self.finished = True
            if not self.spoken:
                self.spoken = speaks(chunk)
            self.held.append(chunk)
