"""What Anthropic's errors mean, in the words of the errors that routers act upon."""

import json
import re
from collections.abc import Mapping
from typing import Any

from llmrouter_core import CallError
from llmrouter_plugin_openai.faults import Place, refusal, reported

_STATUS = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "request_too_large": 413,
    "timeout_error": 504,
}
# What is sent with 400 although another model, or another key, may well take the request.
_ELSEWHERE = (
    (re.compile(r"(?i)prompt is too long|context (window|limit|length)"), "403"),
    (re.compile(r"(?i)credit balance|billing|usage limit"), "402"),
    (re.compile(r"(?i)not support"), "403"),
)


def refused(place: Place, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
    """Return the error that a response other than 200 stands for.

    Args:
        place: Whom the call asked.
        status: The HTTP status.
        headers: The response's headers.
        body: As much of the body as was read.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return refusal(place, status, headers, body)
    error = found.get("error") if isinstance(found, dict) else None
    message = _message(error)
    code = next((code for words, code in _ELSEWHERE if words.search(message)), None)
    if status != 400 or code is None:
        return refusal(place, status, headers, body)
    return refusal(place, int(code), headers, json.dumps({"error": {"message": message}}).encode())


def broken(place: Place, event: Mapping[str, Any]) -> CallError:
    """Return what an event `error` within a stream stands for."""
    error = event.get("error")
    kind = error.get("type") if isinstance(error, Mapping) else None
    status = _STATUS.get(kind) if isinstance(kind, str) else None
    return reported(place, {"message": _message(error), "code": status})


def _message(error: object) -> str:
    return str(error.get("message") or "") if isinstance(error, Mapping) else ""
