"""From the chunks of a chat completion to the events of a message."""

from collections.abc import Mapping
from typing import Any

from llmrouter_core import BadResponse, Chunk, Usage

from llmrouter_plugin_server.protocols.events import named_event
from llmrouter_plugin_server.protocols.hearing import (
    Calls,
    choice_of,
    counts_of,
    pieces_of,
    said_of,
    thoughts_of,
)
from llmrouter_plugin_server.protocols.messages.answering import (
    error_of,
    opening,
    stop_of,
    tool_use,
    usage_of,
    wanted,
)

PING = named_event({"type": "ping"})
"""An event that says nothing, for clients that wait."""


class Stream:
    """One answer, event by event.

    `message_start`; then blocks, one after the other, each of a start, deltas and a stop; then
    `message_delta` with the stop reason and the usage; then `message_stop`.

    Args:
        body: The request.
        model: Name of the model that answers.
        identifier: Identifier of the answer, without a prefix.
    """

    def __init__(self, body: Mapping[str, Any], *, model: str, identifier: str) -> None:
        self._body = body
        self._model = model
        self._identifier = identifier
        self._calls = Calls()
        self._started = False
        self._open = ""  # kind of the block that is open
        self._index = -1
        self._finish: str | None = None
        self._choice: Mapping[str, Any] = {}  # the one that brought the finish reason
        self._refused = False
        self._counts: Mapping[str, Any] | None = None

    def feed(self, chunk: Chunk) -> bytes:
        """Return the events that *chunk* brings, `b""` for none.

        Raises:
            BadResponse: Tool calls came interleaved, which messages cannot say; nothing of the
                chunk has been said, and the answer has to end with an error.
        """
        self._counts = counts_of(chunk.event, chunk.usage) or self._counts
        if chunk.kind != "text":
            return b""
        found: list[dict[str, Any]] = []
        if not self._started:
            self._started = True
            start = opening(self._model, self._identifier)
            if self._counts is not None:
                start["usage"] = usage_of(self._counts)
            found.append({"type": "message_start", "message": start})
        choice = choice_of(chunk.event)
        said = said_of(choice)
        for kind, text in wanted(self._body, thoughts_of(said)):
            self._think(found, kind, text)
        spoken = chunk.text
        if not spoken and isinstance(refusal := said.get("refusal"), str) and refusal:
            self._refused, spoken = True, refusal
        if spoken:
            self._begin(found, "text", {"type": "text", "text": ""})
            self._delta(found, {"type": "text_delta", "text": spoken})
        for piece in pieces_of(said):
            self._call(found, piece)
        if chunk.finish is not None:
            self._finish, self._choice = chunk.finish, choice
        return b"".join(map(named_event, found))

    def end(
        self,
        error: Mapping[str, Any] | None = None,
        *,
        status: int = 502,
        usage: Usage | None = None,
        llmrouter: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the last events.

        Args:
            error: What went wrong, if anything: OpenAI's inner object. The answer then ends with
                the event `error` and without a `message_stop`.
            status: The HTTP status that the error would have had.
            usage: What was used, where no chunk says.
            llmrouter: What the field `llmrouter` of the last event says.
        """
        if error is not None:
            return named_event(error_of(error, status=status, identifier=self._identifier))
        first = b"" if self._started else self.feed(Chunk())
        found: list[dict[str, Any]] = []
        self._close(found)
        reason, sequence = stop_of(
            self._choice,
            self._finish,
            self._body,
            called=self._calls.told is not None,
            refused=self._refused,
        )
        found.append(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": sequence},
                "usage": usage_of(self._counts or counts_of(None, usage)),
            }
        )
        last: dict[str, Any] = {"type": "message_stop"}
        found.append(last if llmrouter is None else {**last, "llmrouter": llmrouter})
        return first + b"".join(map(named_event, found))

    # ------------------------------------------------------------------ blocks

    def _think(self, found: list[dict[str, Any]], kind: str, text: str) -> None:
        if kind == "redacted":
            self._close(found)
            self._begin(found, kind, {"type": "redacted_thinking", "data": text})
            self._close(found)
            return
        self._begin(found, "thinking", {"type": "thinking", "thinking": "", "signature": ""})
        self._delta(found, {"type": f"{kind}_delta", kind: text})
        if kind == "signature":  # nothing may follow it in its block
            self._close(found)

    def _call(self, found: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
        call, begins, new = self._calls.next(piece)
        if begins:
            self._close(found)
            self._begin(found, "tool_use", tool_use(call, self._identifier))
        if new and self._open != "tool_use":
            raise BadResponse(f"the model wrote on at its call of '{call.name}' after other text")
        if new:
            self._delta(found, {"type": "input_json_delta", "partial_json": new})

    def _begin(self, found: list[dict[str, Any]], kind: str, block: dict[str, Any]) -> None:
        """Open a block of that kind unless one is open."""
        if self._open == kind:
            return
        self._close(found)
        self._open = kind
        self._index += 1
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        found.append(start)

    def _delta(self, found: list[dict[str, Any]], delta: dict[str, Any]) -> None:
        found.append({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self, found: list[dict[str, Any]]) -> None:
        if self._open:
            found.append({"type": "content_block_stop", "index": self._index})
        self._open = ""
