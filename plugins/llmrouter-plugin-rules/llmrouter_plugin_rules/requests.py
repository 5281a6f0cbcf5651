"""What a request shows by itself: what it needs, and how long it is."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from llmrouter_core import Query, Request

Need: TypeAlias = Literal["audio", "json", "tools", "vision"]
NEEDS: tuple[Need, ...] = get_args(Need)

_PARTS: Mapping[str, Need] = {
    "audio": "audio",
    "audio_url": "audio",
    "image": "vision",
    "image_url": "vision",
    "input_audio": "audio",
    "input_image": "vision",
}
_WIDE = "\u2e80"  # from here on a sign is about a token: Chinese, Japanese, Korean, emoji


def needs_of(query: Query) -> frozenset[Need]:
    """Return what the payload of *query* needs of a model."""
    payload, found = query.payload, set[Need]()
    for message in query.request.messages:
        content = message.get("content")
        for part in content if isinstance(content, list | tuple) else ():
            kind = part.get("type") if isinstance(part, Mapping) else None
            if isinstance(kind, str) and kind in _PARTS:
                found.add(_PARTS[kind])
    if (payload.get("tools") or payload.get("functions")) and payload.get("tool_choice") != "none":
        found.add("tools")
    format_ = payload.get("response_format")
    if isinstance(format_, Mapping) and format_.get("type") in ("json_object", "json_schema"):
        found.add("json")
    modalities = payload.get("modalities")
    if isinstance(modalities, list | tuple) and "audio" in modalities:
        found.add("audio")
    return frozenset(found)


def tokens_of(query: Query) -> int:
    """Return a rough count of the input tokens of *query*'s whole request.

    Four characters are a token, one of a script without letters is; tools, calls of tools and
    schemas count as well. Pictures and sound do not: nobody knows what they cost where.
    """
    request = query.request
    texts = [Request(payload={"messages": [message]}).text for message in request.messages]
    signs = sum(sum(sign >= _WIDE for sign in text) for text in texts if not text.isascii())
    rest = [request.payload.get(key) for key in ("tools", "functions", "response_format")]
    rest += [message.get("tool_calls") for message in request.messages]
    return request.input_tokens + signs * 3 // 4 + _characters(rest) // 4


def _characters(values: Iterable[Any]) -> int:
    """Return how many characters *values* take as JSON, about; however deep they are nested."""
    count, left = 0, list(values)
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            left += value
        elif value is not None:
            count += len(value if isinstance(value, str) else str(value)) + 3
    return count
