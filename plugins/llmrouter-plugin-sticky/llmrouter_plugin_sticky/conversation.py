"""Which conversation a query belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from llmrouter_core import Query
from llmrouter_core.types import Message

Identity: TypeAlias = int


def identity(query: Query) -> Identity:
    """Return what all queries of one conversation share: its id, or what it began with.

    The id is the fact `conversation`. Without one it is everything up to the first message of
    the user, which a client sends again with every turn. Nobody shares it with another user.
    The texts themselves are not kept.
    """
    named = query.facts.get("conversation")
    if named is not None:
        return hash((query.user, "id", str(named)))
    beginning: list[str] = []
    for message in _messages(query):
        beginning += (str(message.get("role")), _whole(message))
        if message.get("role") == "user":
            break
    return hash((query.user, "text", *beginning))


def goes_on(query: Query) -> bool:
    """Return whether *query* may be a later turn: it names its conversation or has a history."""
    if query.facts.get("conversation") is not None:
        return True
    return any(message.get("role") == "assistant" for message in _messages(query))


def within_tools(query: Query) -> bool:
    """Return whether *query* hands in the result of a tool: the turn has not ended yet."""
    messages = _messages(query)
    if not messages:
        return False
    last = messages[-1]
    if last.get("role") in ("tool", "function"):
        return True
    content = last.get("content")  # Anthropic's way: a part of a message of the user
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else ()
    return any(isinstance(part, dict) and part.get("type") == "tool_result" for part in parts)


def _messages(query: Query) -> Sequence[Message]:
    messages = query.payload.get("messages", ())
    return messages if isinstance(messages, list | tuple) else ()


def _whole(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else repr(content)
