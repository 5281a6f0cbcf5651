"""A reply that is a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from llmrouter_core import CallError, Chunk, Model
from llmrouter_plugin_openai.reading import Clock
from llmrouter_plugin_openai.reply import Reply
from llmrouter_plugin_openai.transport import Response

from llmrouter_plugin_anthropic.events import Translator, answer_of
from llmrouter_plugin_anthropic.faults import refused


class MessageReply(Reply):
    """A message as the chunks of a chat completion.

    Args:
        response: The response, which closes with the reply.
        clock: The time that is left.
        model: The model that was asked.
        idle: Seconds that may pass without a byte.
        largest: Bytes that the answer may have.
    """

    reason: ClassVar[str] = "stop_reason"

    def __init__(
        self, response: Response, clock: Clock, model: Model, *, idle: float, largest: int
    ) -> None:
        super().__init__(response, clock, idle=idle, largest=largest)
        self._model = model
        self._translator = Translator(clock.place, model)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
        """Return what a status other than 200 stands for."""
        return refused(self.place, status, headers, body)

    def whole(self, body: bytes) -> Chunk:
        """Return an answer that came in one piece."""
        return answer_of(self.place, self._model, body)

    def take(self, events: Sequence[bytes]) -> None:
        """Hold the chunks of each event, up to `message_stop`."""
        translator = self._translator
        for data in events:
            self.held += translator.feed(data)
            self.spoken, self.finished = translator.spoken, translator.finished
            self.done = translator.over
            if self.done:
                return
