"""What a request shows by itself: what it needs, and how long it is."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from llmrouter_core import Payload, Query
from llmrouter_core.types import text_of

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


def tokens_of(query: Query) -> int:
    """Return a rough count of the input tokens of *query*'s whole request.

    Four characters are a token, one of a script without letters is; tools, calls of tools and
    schemas count as well. Pictures and sound do not: nobody knows what they cost where.
    """
    request = query.request
    texts = [text_of(message) for message in request.messages]
    signs = sum(_signs(text) for text in texts if not text.isascii())
    rest = [request.payload.get(key) for key in ("tools", "functions", "response_format")]
    rest += [message.get("tool_calls") for message in request.messages]
    return request.input_tokens + signs * 3 // 4 + _characters(rest) // 4


def most_tokens_of(query: Query) -> int:
    """Return what `tokens_of` is at most, without counting where the JSON of the request is known.

    No character is more than a token, and what is short in JSON and counts for much, such as `{}`
    for a message, is below two tokens a byte.
    """
    payload = query.payload
    return 2 * len(payload.source) if type(payload) is Payload else tokens_of(query)


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
