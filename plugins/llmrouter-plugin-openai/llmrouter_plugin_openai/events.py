"""From a provider's JSON to chunks: checked first, passed on whole."""

import json
import math
from typing import Any, TypeGuard

import msgspec
from llmrouter_core import BadResponse, Chunk, IncompleteStream, Unavailable, Usage

from llmrouter_plugin_openai.faults import Place, reported

_decode = msgspec.json.Decoder().decode

_Object = dict[str, Any]
_EMPTY: _Object = {}


def chunk_of(place: Place, data: bytes) -> Chunk:
    """Return the chunk of one event of a stream.

    Its `data` is a single line, as whoever passes the event on needs it; line feeds between the
    tokens, the only place where JSON has any, become blanks.

    Raises:
        CallError: The event reports an error or breaks the protocol.
    """
    event = _object(place, data)
    choices = event.get("choices")
    if type(choices) is not list and (choices is not None or "usage" not in event):
        raise place.error(BadResponse, "sent an event without choices")
    choice = _first(place, choices) if choices else _EMPTY
    return _chunk(place, event, choice, "delta", data.replace(b"\n", b" "))


def answer_of(place: Place, body: bytes) -> Chunk:
    """Return the one chunk of an answer that was not streamed.

    Raises:
        CallError: The answer reports an error, breaks the protocol or is not finished.
    """
    event = _object(place, body)
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices:
        raise place.error(BadResponse, "answered without choices")
    choice = _first(place, choices)
    if not isinstance(choice.get("message"), dict):
        raise place.error(BadResponse, "answered without a message")
    chunk = _chunk(place, event, choice, "message", body)
    if chunk.finish is None:
        raise place.error(IncompleteStream, "answered without a finish_reason")
    return chunk


def speaks(chunk: Chunk) -> bool:
    """Return whether *chunk* holds more than the announcement that somebody will speak."""
    if chunk.text or chunk.finish is not None or chunk.event is None:
        return True
    deltas = (choice.get("delta") or {} for choice in chunk.event.get("choices") or ())
    return any(value for delta in deltas for name, value in delta.items() if name != "role")


def _object(place: Place, data: bytes) -> _Object:
    try:
        event = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = _tolerant(place, data)
    if type(event) is not dict:
        raise place.error(BadResponse, f"sent a JSON {type(event).__name__}, not an object")
    if event.get("error"):
        raise reported(place, event["error"])
    return event


def _tolerant(place: Place, data: bytes) -> Any:
    """Return what is not quite JSON but is sent: NaN, half a surrogate pair, broken UTF-8."""
    try:
        return json.loads(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        raise place.error(BadResponse, "sent something that is not JSON") from None


def _first(place: Place, choices: list[Any]) -> _Object:
    """Return the choice of index 0, `{}` where the event has none."""
    if len(choices) == 1 and type(choices[0]) is dict:  # as nearly always
        return choices[0] if not choices[0].get("index") else _EMPTY
    for choice in choices:
        if type(choice) is not dict:
            raise place.error(BadResponse, "sent a choice that is not an object")
    return next((choice for choice in choices if not choice.get("index")), _EMPTY)


def _chunk(place: Place, event: _Object, choice: _Object, key: str, data: bytes) -> Chunk:
    said = choice.get(key) or _EMPTY
    finish = choice.get("finish_reason")
    if type(said) is not dict or not (finish is None or type(finish) is str):
        raise place.error(BadResponse, f"sent a choice whose {key} or finish_reason is malformed")
    if finish == "error":
        raise place.error(Unavailable, "ended the answer with an error it did not explain")
    content = said.get("content")
    usage = event.get("usage")
    return Chunk(
        text=content if type(content) is str else _text(place, content),
        finish=finish or None,
        usage=None if usage is None else usage_of(usage),
        event=event,
        data=data,
    )


def _text(place: Place, content: object) -> str:
    """Return the text of a message's content: nothing, or parts of which some are text."""
    if content is None:
        return ""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    raise place.error(BadResponse, f"sent content of type {type(content).__name__}, not text")


def usage_of(usage: object) -> Usage | None:
    """Return what a call used, or None where the provider does not say so plausibly."""
    if type(usage) is not dict:
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if not (_counts(read) and _counts(written)):
        return None
    cost: Any = usage.get("cost")
    billed = type(cost) in (int, float) and math.isfinite(cost) and cost >= 0
    return Usage(input_tokens=read, output_tokens=written, cost=float(cost) if billed else None)


def _counts(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0
