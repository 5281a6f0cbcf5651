"""From a chat completion to a message, and from an error to Anthropic's."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmrouter_core import BadResponse

from llmrouter_plugin_server.protocols.hearing import (
    Call,
    Calls,
    blocks_of,
    cached,
    choice_of,
    content_of,
    count,
    pieces_of,
    said_of,
    thoughts_of,
)

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_NATIVE = ("pause_turn", "refusal", "model_context_window_exceeded")
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def answer_of(
    completion: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    model: str,
    identifier: str,
    llmrouter: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the message that a whole chat completion is.

    Args:
        completion: The completion; its choice of index 0 counts.
        body: The request, which says whether thoughts are wanted.
        model: Name of the model that answered.
        identifier: Identifier of the answer, without a prefix.
        llmrouter: What the field `llmrouter` says.

    Raises:
        BadResponse: The arguments of a tool call are not a JSON object.
    """
    choice = choice_of(completion)
    said = said_of(choice)
    content: list[dict[str, Any]] = []
    content += blocks_of(wanted(body, thoughts_of(said)))
    refusal = said.get("refusal")
    if spoken := content_of(said) or (refusal if isinstance(refusal, str) else ""):
        content.append({"type": "text", "text": spoken})
    calls = Calls()
    for piece in pieces_of(said):
        calls.feed(piece)
    finish = choice.get("finish_reason")
    for call in calls.heard:
        found = _arguments(call, cut=finish == "length")
        content.append({**tool_use(call, identifier), "input": found})
    reason, sequence = stop_of(
        choice, finish, body, called=bool(calls.heard), refused=bool(refusal)
    )
    return {
        **opening(model, identifier),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage_of(completion.get("usage")),
        **({} if llmrouter is None else {"llmrouter": llmrouter}),
    }


def error_of(error: Mapping[str, Any], *, status: int, identifier: str = "") -> dict[str, Any]:
    """Return Anthropic's body for an error, whose message is kept.

    Args:
        error: OpenAI's inner object: `message`, `type`, `param`, `code`.
        status: The HTTP status, which decides the type.
        identifier: Identifier of the request.
    """
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    found = {"type": "error", "error": {"type": kind, "message": str(error.get("message") or "")}}
    return found | ({"request_id": f"req_{identifier}"} if identifier else {})


# ---------------------------------------------------------------------------- parts of a message


def wanted(
    body: Mapping[str, Any], thoughts: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield those thoughts that the request asks for; who does not ask expects text first.

    Where their display is omitted, only the signatures are sent, which the next turn needs.
    """
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping) or thinking.get("type") in (None, "disabled"):
        return
    omitted = thinking.get("display") == "omitted"
    yield from (pair for pair in thoughts if pair[0] != "thinking" or not omitted)


def opening(model: str, identifier: str) -> dict[str, Any]:
    """Return a message in which nothing has been said yet."""
    return {
        "id": f"msg_{identifier}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def tool_use(call: Call, identifier: str) -> dict[str, Any]:
    """Return the block of a call, without its input."""
    name = call.id or f"toolu_{identifier}_{call.number}"
    return {"type": "tool_use", "id": name, "name": call.name, "input": {}}


def stop_of(
    choice: Mapping[str, Any],
    finish: str | None,
    body: Mapping[str, Any],
    *,
    called: bool,
    refused: bool,
) -> tuple[str, str | None]:
    """Return the stop reason and the stop sequence, where the provider says which it was."""
    native, matched = choice.get("native_finish_reason"), choice.get("stop_reason")
    if native in _NATIVE:
        return str(native), None
    if isinstance(matched, str) and matched in (body.get("stop_sequences") or ()):
        return "stop_sequence", matched
    reason = _REASONS.get(finish or "stop", "end_turn")
    if reason == "end_turn" and (called or refused):
        reason = "tool_use" if called else "refusal"
    return reason, None


def usage_of(counts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the usage; Anthropic counts what came from or went to a cache apart."""
    read, written = cached(counts)
    fresh = max(count(counts, "prompt_tokens") - read - written, 0)
    usage: dict[str, Any] = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": count(counts, "completion_tokens"),
    }
    if thought := count(counts, "completion_tokens_details", "reasoning_tokens"):
        usage["output_tokens_details"] = {"thinking_tokens": thought}
    return usage


def _arguments(call: Call, *, cut: bool) -> Any:
    try:
        found = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    if cut:  # the model was stopped while it wrote them
        return {}
    raise BadResponse(f"the model called tool '{call.name}' with arguments that are not JSON")
