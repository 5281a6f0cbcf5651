"""From a chat completion to a response, and what all its shapes have in common."""

import time
from collections.abc import Mapping
from typing import Any

from llmrouter_plugin_server.protocols.hearing import (
    Call,
    Calls,
    cached,
    choice_of,
    content_of,
    count,
    pieces_of,
    said_of,
    thoughts_of,
)

_ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


def answer_of(
    completion: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    model: str,
    identifier: str,
    llmrouter: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the response that a whole chat completion is.

    Args:
        completion: The completion; its choice of index 0 counts.
        body: The request, whose options a response repeats.
        model: Name of the model that answered.
        identifier: Identifier of the answer, without a prefix.
        llmrouter: What the field `llmrouter` says.
    """
    choice = choice_of(completion)
    said = said_of(choice)
    finish = choice.get("finish_reason")
    status = "incomplete" if finish in _CUT else "completed"
    output: list[dict[str, Any]] = []
    if thought := "".join(text for kind, text in thoughts_of(said) if kind == "thinking"):
        output.append(reasoning(identifier, 0, "completed", thought))
    parts = []
    if spoken := content_of(said):
        parts.append(output_text(spoken, logprobs_of(choice)))
    if refusal := said.get("refusal"):
        parts.append({"type": "refusal", "refusal": str(refusal)})
    if parts:
        output.append(message(identifier, len(output), status, parts))
    calls = Calls()
    for piece in pieces_of(said):
        calls.feed(piece)
    output += [tool_call(c, identifier, len(output) + c.number, status) for c in calls.heard]
    created = completion.get("created")
    return finished(
        opening(body, model, identifier, created if type(created) is int else int(time.time())),
        output,
        finish,
        completion.get("usage"),
        llmrouter,
    )


def error_of(error: Mapping[str, Any], *, status: int, identifier: str = "") -> dict[str, Any]:
    """Return the body of an error: OpenAI's, as it is."""
    del status, identifier  # another protocol needs them
    return {"error": dict(error)}


# ---------------------------------------------------------------------------- the response


def opening(body: Mapping[str, Any], model: str, identifier: str, created: int) -> dict[str, Any]:
    """Return a response in which nothing has been said yet; it repeats the request's options."""
    given = {name: value for name, value in body.items() if name in _ECHOED and value is not None}
    return {
        "id": f"resp_{identifier}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "store": False,
        "usage": None,
        **_ECHOED,
        **given,
    }


def finished(
    response: Mapping[str, Any],
    output: list[dict[str, Any]],
    finish: str | None,
    counts: Mapping[str, Any] | None,
    llmrouter: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return *response* with all that has become known at its end."""
    whole = finish not in _CUT
    last = {
        "status": "completed" if whole else "incomplete",
        "completed_at": int(time.time()) if whole else None,
        "incomplete_details": None if whole else {"reason": _CUT[finish or ""]},
        "output": output,
        "usage": usage_of(counts),
    }
    return {**response, **last, **({} if llmrouter is None else {"llmrouter": llmrouter})}


def failed(
    response: Mapping[str, Any],
    output: list[dict[str, Any]],
    error: Mapping[str, Any],
    status: int,
) -> dict[str, Any]:
    """Return *response* as it is when its answer broke off."""
    code = _CODES.get(status, "server_error")
    said = {"code": code, "message": str(error.get("message") or "")}
    return {**response, "status": "failed", "error": said, "output": output}


def usage_of(counts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the usage of a response."""
    read, written = cached(counts)
    taken, made = count(counts, "prompt_tokens"), count(counts, "completion_tokens")
    thought = count(counts, "completion_tokens_details", "reasoning_tokens")
    return {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": taken + made,
    }


# ---------------------------------------------------------------------------- its items


def reasoning(identifier: str, place: int, status: str, text: str | None) -> dict[str, Any]:
    """Return the item of what a model thought, at that place of the output."""
    content = [] if text is None else [{"type": "reasoning_text", "text": text}]
    return {
        "id": f"rs_{identifier}_{place}",
        "type": "reasoning",
        "status": status,
        "summary": [],
        "content": content,
    }


def message(
    identifier: str, place: int, status: str, parts: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the item of what a model said."""
    return {
        "id": f"msg_{identifier}_{place}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": parts,
    }


def output_text(text: str, logprobs: list[Any]) -> dict[str, Any]:
    """Return the part of a message that is text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def logprobs_of(choice: Mapping[str, Any]) -> list[Any]:
    """Return the log probabilities of a choice's tokens."""
    found = choice.get("logprobs")
    content = found.get("content") if isinstance(found, Mapping) else None
    return content if isinstance(content, list) else []


def tool_call(
    call: Call, identifier: str, place: int, status: str, *, whole: bool = True
) -> dict[str, Any]:
    """Return the item of a call, with what it passes on if it is *whole*."""
    named = {"call_id": call.id or f"call_{identifier}_{call.number}", "name": call.name}
    passed = call.arguments if whole else ""
    if call.kind == "custom":
        name = f"ctc_{identifier}_{place}"
        return {"id": name, "type": "custom_tool_call", "status": status, **named, "input": passed}
    name = f"fc_{identifier}_{place}"
    return {"id": name, "type": "function_call", "status": status, **named, "arguments": passed}
