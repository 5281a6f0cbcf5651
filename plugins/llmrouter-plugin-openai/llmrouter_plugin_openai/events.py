"""From a provider's JSON to chunks: checked first, passed on whole."""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from llmrouter_core import BadResponse, Chunk, IncompleteStream, Unavailable, Usage

from llmrouter_plugin_openai.faults import Place, reported


def chunk_of(place: Place, data: str) -> Chunk:
    """Return the chunk of one event of a stream.

    Raises:
        CallError: The event reports an error or breaks the protocol.
    """
    event = _object(place, data)
    choices = event.get("choices")
    if not isinstance(choices, list) and (choices is not None or "usage" not in event):
        raise place.error(BadResponse, "sent an event without choices")
    return _chunk(place, event, _first(place, choices or []), "delta")


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
    if not isinstance(choice.get("message"), Mapping):
        raise place.error(BadResponse, "answered without a message")
    chunk = _chunk(place, event, choice, "message")
    if chunk.finish is None:
        raise place.error(IncompleteStream, "answered without a finish_reason")
    return chunk


def speaks(chunk: Chunk) -> bool:
    """Return whether *chunk* holds more than the announcement that somebody will speak."""
    if chunk.text or chunk.finish is not None or chunk.event is None:
        return True
    deltas = (choice.get("delta") or {} for choice in chunk.event.get("choices") or ())
    return any(value for delta in deltas for name, value in delta.items() if name != "role")


def _object(place: Place, data: str | bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        raise place.error(BadResponse, "sent something that is not JSON") from None
    if not isinstance(event, dict):
        raise place.error(BadResponse, f"sent a JSON {type(event).__name__}, not an object")
    if event.get("error"):
        raise reported(place, event["error"])
    return event


def _first(place: Place, choices: list[Any]) -> Mapping[str, Any]:
    """Return the choice of index 0, `{}` where the event has none."""
    if not all(isinstance(choice, Mapping) for choice in choices):
        raise place.error(BadResponse, "sent a choice that is not an object")
    return next((choice for choice in choices if not choice.get("index")), {})


def _chunk(place: Place, event: Mapping[str, Any], choice: Mapping[str, Any], key: str) -> Chunk:
    said = choice.get(key) or {}
    finish = choice.get("finish_reason")
    if not isinstance(said, Mapping) or not isinstance(finish, str | None):
        raise place.error(BadResponse, f"sent a choice whose {key} or finish_reason is malformed")
    if finish == "error":
        raise place.error(Unavailable, "ended the answer with an error it did not explain")
    return Chunk(
        text=_text(place, said.get("content")),
        finish=finish or None,
        usage=usage_of(event.get("usage")),
        event=event,
    )


def _text(place: Place, content: object) -> str:
    """Return the text of a message's content: a string, or parts of which some are text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    raise place.error(BadResponse, f"sent content of type {type(content).__name__}, not text")


def usage_of(usage: object) -> Usage | None:
    """Return what a call used, or None where the provider does not say so plausibly."""
    if not isinstance(usage, Mapping):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if not (_counts(read) and _counts(written)):
        return None
    cost: Any = usage.get("cost")
    billed = type(cost) in (int, float) and math.isfinite(cost) and cost >= 0
    return Usage(input_tokens=read, output_tokens=written, cost=float(cost) if billed else None)


def _counts(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0
