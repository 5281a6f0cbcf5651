"""From the hundred errors of litellm to one of those that routers act upon."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from llmrouter_core import (
    BadResponse,
    CallError,
    IncompleteStream,
    Refused,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_openai.faults import Place, refusal

# By name, as litellm's classes derive from each other in ways that say little.
_ELSEWHERE = {
    "ContentPolicyViolationError": "its filter refused the content",
    "ContextWindowExceededError": "the context window is too short",
    "EndpointNotSupportedByModelError": "it does not serve chats",
    "LiteLLMUnknownProvider": "litellm knows no such provider; check the id of the model",
    "UnsupportedParamsError": "it does not know a parameter; drop_params = true leaves it out",
}
_STATUS = {"PaymentRequiredError": 402, "BudgetExceededError": 402}
_PREFIX = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)(?::| -)\s*")
_KEYLESS = re.compile(
    r"(?i)missing credentials|api[_ -]?key.{0,40}(?:missing|not set|must be set)"
)
_CUT = ("APIConnectionError", "MidStreamFallbackError", "RemoteProtocolError")


def classified(place: Place, error: Exception, *, started: bool) -> CallError:
    """Return what *error* means.

    Args:
        place: Whom the call asks.
        error: What litellm raised.
        started: Whether the answer had begun.
    """
    cause = getattr(error, "original_exception", None)
    if type(error).__name__ == "MidStreamFallbackError" and isinstance(cause, Exception):
        error, started = cause, True
    kind = type(error).__name__
    if "LLM Provider NOT provided" in str(error):
        kind = "LiteLLMUnknownProvider"
    said = place.quote(_bare(str(error)))
    if kind in _ELSEWHERE:
        quoted = f": {said}" if said and kind != "LiteLLMUnknownProvider" else ""
        return place.error(Refused, f"{_ELSEWHERE[kind]}{quoted}", status=_status(error))
    if kind == "Timeout" or isinstance(error, TimeoutError):
        return place.error(TimedOut, f"litellm timed out: {said}")
    if kind in _CUT:
        if started:
            reason = f"the connection broke within the answer: {said}"
            return place.error(IncompleteStream, reason)
        return place.error(Unavailable, f"cannot be reached: {said}")
    status = _STATUS.get(kind, _status(error))
    if _KEYLESS.search(said):  # found before anything was sent, and reported as anything
        status = 401
    if status is None:
        reason = f"litellm failed with {kind}; check the options of its caller"
        return place.error(BadResponse, f"{reason}: {said}" if said else reason)
    body = {"error": {"message": _bare(str(error)), **_codes(error)}}
    return refusal(place, status, _headers(error), json.dumps(body).encode())


def _bare(text: str) -> str:
    """Return *text* without the names of classes that litellm puts before it."""
    while (bare := _PREFIX.sub("", text, count=1)) != text:
        text = bare
    return text


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and 300 <= status < 600 else None


def _codes(error: Exception) -> dict[str, str]:
    """Return the provider's own code and type of an error, where litellm keeps them."""
    body = getattr(error, "body", None)
    found: Mapping[Any, Any] = body if isinstance(body, Mapping) else {}
    codes = {name: found.get(name) or getattr(error, name, None) for name in ("code", "type")}
    return {name: code for name, code in codes.items() if isinstance(code, str)}


def _headers(error: Exception) -> Mapping[str, str]:
    """Return the response's headers, with lower-case names."""
    response = getattr(error, "response", None)
    found: Any = getattr(error, "litellm_response_headers", None)
    found = found or getattr(response, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in dict(found).items()}
