"""From the chunks of a chat completion to the events of a response."""

import time
from collections.abc import Mapping
from typing import Any

from llmrouter_core import BadResponse, Chunk, Usage

from llmrouter_plugin_server.protocols.events import named_event
from llmrouter_plugin_server.protocols.hearing import (
    Call,
    Calls,
    choice_of,
    counts_of,
    pieces_of,
    said_of,
    thoughts_of,
)
from llmrouter_plugin_server.protocols.responses.answering import (
    failed,
    finished,
    logprobs_of,
    message,
    opening,
    output_text,
    reasoning,
    tool_call,
)

_CUT = ("length", "content_filter")


class Stream:
    """One answer, event by event, numbered.

    `response.created` and `response.in_progress`; then the output's items one after the other,
    each added, filled and done, a message and a thought through their parts; then
    `response.completed`, or `response.incomplete` where the answer was cut.

    Args:
        body: The request.
        model: Name of the model that answers.
        identifier: Identifier of the answer, without a prefix.
    """

    def __init__(self, body: Mapping[str, Any], *, model: str, identifier: str) -> None:
        self._identifier = identifier
        self._response = opening(body, model, identifier, int(time.time()))
        self._started = False
        self._number = 0
        self._output: list[dict[str, Any]] = []  # items that are done
        self._item: dict[str, Any] | None = None  # the one that is being said
        self._parts: list[dict[str, Any]] = []  # of it that are done
        self._part = ""  # kind of the part that is being said
        self._texts: list[str] = []  # of that part, or of the arguments
        self._logprobs: list[Any] = []
        self._calls = Calls()
        self._calling: Call | None = None
        self._finish: str | None = None
        self._counts: Mapping[str, Any] | None = None

    def feed(self, chunk: Chunk) -> bytes:
        """Return the events that *chunk* brings, `b""` for none.

        Raises:
            BadResponse: Tool calls came interleaved, which responses cannot say; nothing of the
                chunk has been said, and the answer has to end with an error.
        """
        self._counts = counts_of(chunk.event, chunk.usage) or self._counts
        if chunk.kind != "text":
            return b""
        found: list[bytes] = []
        self._start(found)
        choice = choice_of(chunk.event)
        said = said_of(choice)
        for kind, text in thoughts_of(said):
            if kind == "thinking":
                self._say(found, "reasoning", "reasoning_text", text)
        if chunk.text:
            self._say(found, "message", "output_text", chunk.text, logprobs_of(choice))
        if isinstance(refusal := said.get("refusal"), str) and refusal:
            self._say(found, "message", "refusal", refusal)
        for piece in pieces_of(said):
            self._call(found, piece)
        self._finish = chunk.finish or self._finish
        return b"".join(found)

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
                the events `error`, at which OpenAI's client raises, and `response.failed`.
            status: The HTTP status that the error would have had.
            usage: What was used, where no chunk says.
            llmrouter: What the field `llmrouter` of the last response says.
        """
        found: list[bytes] = []
        self._start(found)
        if error is not None:
            inner = {name: error.get(name) for name in ("code", "message", "param")}
            self._send(found, "error", **inner, error=dict(error))
            response = failed(self._response, self._output, error, status)
            self._send(found, "response.failed", response=response)
            return b"".join(found)
        self._close(found, "incomplete" if self._finish in _CUT else "completed")
        counts = self._counts or counts_of(None, usage)
        response = finished(self._response, self._output, self._finish, counts, llmrouter)
        self._send(found, f"response.{response['status']}", response=response)
        return b"".join(found)

    # ------------------------------------------------------------------ sending

    def _start(self, found: list[bytes]) -> None:
        if not self._started:
            self._started = True
            self._send(found, "response.created", response=self._response)
            self._send(found, "response.in_progress", response=self._response)

    def _send(self, found: list[bytes], kind: str, **fields: Any) -> None:
        found.append(named_event({"type": kind, "sequence_number": self._number, **fields}))
        self._number += 1

    def _inside(self, found: list[bytes], kind: str, **fields: Any) -> None:
        """Send an event about the item that is being said."""
        item = self._item or {}
        place = {"item_id": item.get("id"), "output_index": len(self._output)}
        self._send(found, kind, **place, **fields)

    # ------------------------------------------------------------------ items and parts

    def _say(
        self,
        found: list[bytes],
        kind: str,
        part: str,
        text: str,
        logprobs: list[Any] | None = None,
    ) -> None:
        if self._item is None or self._item["type"] != kind:
            self._close(found)
            make = (
                reasoning(self._identifier, len(self._output), "in_progress", None)
                if kind == "reasoning"
                else message(self._identifier, len(self._output), "in_progress", [])
            )
            self._open(found, make)
        if self._part != part:
            self._close_part(found)
            self._part = part
            index = len(self._parts)
            blank = self._blank(part, "")
            self._inside(found, "response.content_part.added", content_index=index, part=blank)
        self._texts.append(text)
        more: dict[str, Any] = {}
        if part == "output_text":
            more["logprobs"] = logprobs or []
            self._logprobs += more["logprobs"]
        index = len(self._parts)
        kind = f"response.{part}.delta"
        self._inside(found, kind, content_index=index, delta=text, **more)

    def _blank(self, part: str, text: str) -> dict[str, Any]:
        if part == "output_text":
            return output_text(text, self._logprobs if text else [])
        return {"type": part, ("refusal" if part == "refusal" else "text"): text}

    def _call(self, found: list[bytes], piece: Mapping[str, Any]) -> None:
        call, begins, new = self._calls.next(piece)
        if begins:
            self._close(found)
            self._calling = call
            place = len(self._output)
            item = tool_call(call, self._identifier, place, "in_progress", whole=False)
            self._open(found, item)
        if new and (self._item is None or "call_id" not in self._item):
            raise BadResponse(f"the model wrote on at its call of '{call.name}' after other text")
        if new:
            self._inside(found, f"response.{_passing(call)}.delta", delta=new)

    def _open(self, found: list[bytes], item: dict[str, Any]) -> None:
        self._item = item
        place = len(self._output)
        self._send(found, "response.output_item.added", output_index=place, item=item)

    def _close_part(self, found: list[bytes]) -> None:
        if not self._part:
            return
        text, index = "".join(self._texts), len(self._parts)
        part = self._blank(self._part, text)
        more: dict[str, Any] = {"refusal" if self._part == "refusal" else "text": text}
        if self._part == "output_text":
            more["logprobs"] = self._logprobs
        self._inside(found, f"response.{self._part}.done", content_index=index, **more)
        self._inside(found, "response.content_part.done", content_index=index, part=part)
        self._parts.append(part)
        self._part, self._texts, self._logprobs = "", [], []

    def _close(self, found: list[bytes], status: str = "completed") -> None:
        """End the item that is being said, if there is one."""
        if self._item is None:
            return
        place = len(self._output)
        call = self._calling
        if "call_id" in self._item and call is not None:
            done = {"input" if call.kind == "custom" else "arguments": call.arguments}
            self._inside(found, f"response.{_passing(call)}.done", **done)
            item = tool_call(call, self._identifier, place, status)
        else:
            self._close_part(found)
            item = {**self._item, "status": status, "content": self._parts}
        self._item, self._parts = None, []
        self._send(found, "response.output_item.done", output_index=place, item=item)
        self._output.append(item)


def _passing(call: Call) -> str:
    return "custom_tool_call_input" if call.kind == "custom" else "function_call_arguments"
