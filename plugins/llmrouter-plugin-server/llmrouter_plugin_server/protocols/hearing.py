"""What a chat completion says, whole or in pieces, whichever provider wrote it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field
from llmrouter_core import BadResponse, Usage

from llmrouter_plugin_server.protocols.events import encoded

_NOTHING: Mapping[str, Any] = {}


def choices_of(event: Mapping[str, Any] | None) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the choices of an event with their indices, 0 where one has none."""
    choices = [choice for choice in _list(event, "choices") if isinstance(choice, Mapping)]
    indices = [choice.get("index") for choice in choices]
    return [(i if type(i) is int else 0, c) for i, c in zip(indices, choices, strict=True)]


def choice_of(event: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the choice of index 0, `{}` where there is none."""
    return next((choice for index, choice in choices_of(event) if not index), _NOTHING)


def said_of(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is new in a choice: its `delta`, or its `message` where it is whole."""
    said = choice.get("delta") or choice.get("message")
    return said if isinstance(said, Mapping) else _NOTHING


def content_of(said: Mapping[str, Any]) -> str:
    """Return the text of a message, whose content may be a list of typed parts."""
    content = said.get("content")
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in _list(said, "content") if isinstance(part, Mapping))
    return "".join(text for text in texts if isinstance(text, str))


def thoughts_of(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a model thought: pairs of `thinking`, `signature` or `redacted` and a text.

    Providers name it `thinking_blocks`, `reasoning_details`, `reasoning_content` or `reasoning`;
    the first that is there counts, because the later ones repeat it without signatures.
    """
    found = False
    for block in _list(said, "thinking_blocks"):
        if isinstance(block, Mapping):
            found = True
            yield from _pairs(block, "thinking", block.get("data"))
    if found:
        return
    for block in _list(said, "reasoning_details"):
        if isinstance(block, Mapping):
            found = True
            claude = str(block.get("format")).startswith("anthropic")
            yield from _pairs(block, "text", block.get("data") if claude else None)
            yield from _pairs(block, "summary", None)
    if found:
        return
    for name in ("reasoning_content", "reasoning"):
        if isinstance(text := said.get(name), str) and text:
            yield "thinking", text
            return


def _pairs(block: Mapping[str, Any], name: str, redacted: object) -> Iterator[tuple[str, str]]:
    pairs = ((name, "thinking"), ("signature", "signature"))
    for key, kind in pairs if name != "summary" else pairs[:1]:
        if isinstance(text := block.get(key), str) and text:
            yield kind, text
    if isinstance(redacted, str) and redacted:
        yield "redacted", redacted


def blocks_of(thoughts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return thoughts as blocks of Anthropic's: a signature ends the block that it signs."""
    blocks: list[dict[str, str]] = []
    for kind, text in thoughts:
        if kind == "redacted":
            blocks.append({"type": "redacted_thinking", "data": text})
            continue
        if not blocks or blocks[-1]["type"] != "thinking" or blocks[-1]["signature"]:
            blocks.append({"type": "thinking", "thinking": "", "signature": ""})
        blocks[-1][kind] += text
    return blocks


def pieces_of(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the pieces of tool calls; the deprecated `function_call` is the piece of one."""
    pieces = [piece for piece in _list(said, "tool_calls") if isinstance(piece, Mapping)]
    old = said.get("function_call")
    if not pieces and isinstance(old, Mapping):
        return [{"index": 0, "function": old}]
    return pieces


@define
class Call:
    """A tool call, as far as it was heard.

    Attributes:
        number: Which of the answer's calls it is, from 0.
        id: Its identifier, `""` until somebody gives one.
        kind: `function` or `custom`.
        name: The tool's name, `""` while it is unknown.
        arguments: JSON of a function's arguments; the free text for a custom tool.
        begun: Whether somebody was told of it; see `Calls.next`.
    """

    number: int
    id: str = ""
    kind: str = "function"
    name: str = ""
    arguments: str = ""
    begun: bool = False


@define
class Calls:
    """The tool calls of an answer, put together of pieces.

    Attributes:
        heard: The calls, in the order in which they began.
        told: The one that `next` began last.
    """

    heard: list[Call] = field(factory=list)
    told: Call | None = None
    _latest: dict[Any, Call] = field(factory=dict)

    def feed(self, piece: Mapping[str, Any]) -> tuple[Call, str]:
        """Return the call that *piece* belongs to, and the part of its arguments that is new.

        A piece belongs to the call of its index, unless it brings another identifier: some
        providers give all calls the index 0. Without an index it belongs to the last call.
        """
        index, name = piece.get("index"), piece.get("id")
        identifier = name if isinstance(name, str) else ""
        last = self.heard[-1] if self.heard else None
        call = last if index is None else self._latest.get(str(index))
        if call is None or (identifier and call.id and identifier != call.id):
            call = Call(len(self.heard))
            self.heard.append(call)
        if index is not None:
            self._latest[str(index)] = call
        call.id = call.id or identifier
        if isinstance(piece.get("custom"), Mapping):
            call.kind, body, key = "custom", piece["custom"], "input"
        else:
            body, key = piece.get("function"), "arguments"
        if not isinstance(body, Mapping):
            return call, ""
        call.name = call.name or str(body.get("name") or "")
        new = body.get(key) or ""
        new = new if isinstance(new, str) else encoded(new).decode()
        call.arguments += new
        return call, new

    def next(self, piece: Mapping[str, Any]) -> tuple[Call, bool, str]:
        """Return the same as `feed`, where calls can only be told one after the other.

        Between the two stands whether the call begins. It does with its name, and what came of its
        arguments before is new then.

        Raises:
            BadResponse: The piece goes on with a call that another one has followed.
        """
        call, new = self.feed(piece)
        if new and (call is not self.heard[-1] or (call.begun and call is not self.told)):
            raise BadResponse("the model's tool calls came interleaved and cannot be streamed")
        if not call.name:
            return call, False, ""
        if call.begun:
            return call, False, new
        call.begun, self.told = True, call
        return call, True, call.arguments


def counts_of(event: Mapping[str, Any] | None, usage: Usage | None) -> Mapping[str, Any] | None:
    """Return the `usage` object of an event, or one that says the same as *usage*."""
    counts = event.get("usage") if event is not None else None
    if isinstance(counts, Mapping):
        return counts
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def count(counts: Mapping[str, Any] | None, *path: str) -> int:
    """Return the count at *path*, 0 where there is none."""
    found: Any = counts
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if type(found) is int and found > 0 else 0


def cached(counts: Mapping[str, Any] | None) -> tuple[int, int]:
    """Return how many of the input tokens were read from a cache, and how many written to one."""
    details = "prompt_tokens_details"
    read = count(counts, details, "cached_tokens") or count(counts, "cache_read_input_tokens")
    written = (
        count(counts, details, "cache_write_tokens")
        or count(counts, details, "cache_creation_tokens")
        or count(counts, "cache_creation_input_tokens")
    )
    return read, written


def _list(holder: Mapping[str, Any] | None, name: str) -> Sequence[Any]:
    found = holder.get(name) if holder is not None else None
    return found if isinstance(found, list | tuple) else ()
