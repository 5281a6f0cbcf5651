"""What a request shows by itself: what it needs, and how long it is."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from llmrouter_core import Payload, Query
from llmrouter_core.types import estimate_tokens, text_of

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
_WIDE = 0x2E80  # from here on a sign is about a token: Chinese, Japanese, Korean, emoji
_EACH = 4  # tokens around each message
_MEASURED = ("tools", "functions", "response_format")


def needs_of(query: Query) -> frozenset[Need]:
    """Return what the payload of *query* needs of a model."""
    payload, found = query.payload, set[Need]()
    for message in payload.get("messages", ()):
        content = message.get("content")
        if type(content) is not str:
            found.update(_shown(content))
    if (payload.get("tools") or payload.get("functions")) and payload.get("tool_choice") != "none":
        found.add("tools")
    form, modalities = payload.get("response_format"), payload.get("modalities")
    if form and isinstance(form, Mapping) and form.get("type") in ("json_object", "json_schema"):
        found.add("json")
    if modalities and isinstance(modalities, list | tuple) and "audio" in modalities:
        found.add("audio")
    return frozenset(found)


def _shown(content: object) -> Iterator[Need]:
    """Yield what the parts of a message need of a model."""
    for part in content if isinstance(content, list | tuple) else ():
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(kind, str) and kind in _PARTS:
            yield _PARTS[kind]


def limit_of(query: Query) -> int:
    """Return how many tokens the answer to *query* may have at most; 0 where it does not say."""
    payload = query.payload
    if "max_tokens" in payload or "max_completion_tokens" in payload:
        return query.request.limit or 0
    return 0


def tokens_of(query: Query) -> int:
    """Return a rough count of the input tokens of *query*'s whole request.

    Four characters are a token, one of a script without letters is; tools, calls of tools and
    schemas count as well. Pictures and sound do not: nobody knows what they cost where.
    """
    payload, messages = query.payload, query.request.messages
    texts = [text_of(message) for message in messages]
    signs = sum(_signs(text) for text in texts if not text.isascii())
    rest = [payload.get(key) for key in _MEASURED]
    rest += [message.get("tool_calls") for message in messages]
    tokens = sum(estimate_tokens(text) + _EACH for text in texts)
    return tokens + signs * 3 // 4 + _characters(rest) // 4


def most_tokens_of(query: Query) -> int:
    """Return what `tokens_of` is at most, told without counting.

    No character is more than a token. Where the JSON of the request is known, its length says
    enough: what is short in it and counts for much, such as `{}` for a message, is below two
    tokens a byte.
    """
    payload = query.payload
    if type(payload) is Payload:
        return 2 * len(payload.source)
    most = 0
    for message in payload.get("messages", ()):
        content = message.get("content")
        if type(content) is not str or message.get("tool_calls") is not None:
            return tokens_of(query)
        most += len(content) + _EACH + 1
    if any(payload.get(key) is not None for key in _MEASURED):
        return tokens_of(query)
    return most


def _signs(text: str) -> int:
    """Return how many signs of *text* are about a token each."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return int(np.count_nonzero(codes >= _WIDE))


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
