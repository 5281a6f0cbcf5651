"""From what a provider said, or failed to say, to one of the errors that routers act upon."""

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from attrs import field, frozen
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    ConfigError,
    RateLimited,
    Refused,
    Secret,
    TimedOut,
    Unavailable,
)

LONGEST_WAIT = 3600.0
"""Seconds of the longest `Retry-After` that is believed."""

_LONGEST_MESSAGE = 200

_STATUS: Mapping[int, type[CallError]] = {
    400: BadRequest,
    408: TimedOut,
    409: RateLimited,
    413: BadRequest,
    422: BadRequest,
    425: RateLimited,
    429: RateLimited,
}
_WORDS: Mapping[type[CallError], str] = {
    BadRequest: "bad request",
    BadResponse: "not an answer",
    RateLimited: "rate limited",
    Refused: "refused",
    TimedOut: "timed out",
    Unavailable: "unavailable",
}
_NEXT: Mapping[int, str] = {
    401: "check the api_key of its caller",
    402: "add credit with the provider",
    404: "check the base_url of its caller and the id of the model",
}
# Codes by which providers name an error; some contradict the status they come with.
_CODES: Mapping[str, int] = {
    "authentication_error": 401,
    "context_length_exceeded": 403,  # a model with a larger window may take it
    "insufficient_quota": 402,  # sent with 429, but waiting does not help
    "invalid_api_key": 401,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}
_KEYLIKE = re.compile(
    r"(?i)\bbearer\s+\S+|\b(?:sk|pk|rk|gsk|hf|xai|nvapi|key|tgp)[-_][\w*.…-]{6,}"
)


@frozen
class Place:
    """Whom a call asks, and how its errors are worded.

    Attributes:
        model: Name of the model.
        host: Host and port of the provider.
        key: What no message may show.
    """

    model: str
    host: str
    key: Secret | None = field(default=None, repr=False)

    def error(
        self,
        kind: type[CallError],
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> CallError:
        """Return the error that says what happened here."""
        text = f"model '{self.model}' at {self.host}: {reason}"
        return kind(text, model=self.model, status=status, retry_after=retry_after)

    def quote(self, text: str) -> str:
        """Return what a stranger wrote, fit for a message: short, printable, without the key."""
        try:
            key = self.key.reveal() if self.key is not None else ""
        except ConfigError:  # it is not set any more, so it cannot be compared
            key = ""
        return clean(text[:10_000], key)


def clean(text: str, key: str = "") -> str:
    """Return at most 200 printable characters of *text*, without anything that resembles *key*."""
    words = []
    for word in _KEYLIKE.sub("•••", text.replace(key, "•••") if key else text).split():
        resembles = len(key) >= 12 and (key[:8] in word or key[-6:] in word)
        words.append("•••" if resembles else "".join(c for c in word if c.isprintable()))
    short = " ".join(words)
    return short if len(short) <= _LONGEST_MESSAGE else short[: _LONGEST_MESSAGE - 1] + "…"


def refusal(place: Place, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
    """Return the error that a response other than 200 stands for.

    Args:
        place: Whom the call asked.
        status: The HTTP status.
        headers: The response's headers, with lower-case names.
        body: As much of the body as was read.
    """
    if 300 <= status < 400:
        return place.error(
            BadResponse,
            f"{status} redirect, which is never followed; set its base_url right",
            status=status,
        )
    message, code = _read(body)
    wait = retry_after(headers.get("retry-after"))
    return _error(place, status, _CODES.get(code, status), message, wait)


def reported(place: Place, error: object) -> CallError:
    """Return what an `error` object inside a response of status 200 stands for."""
    message, code = _said(error)
    status = int(code) if re.fullmatch(r"[45]\d\d", code, re.ASCII) else _CODES.get(code)
    if status is None:
        quoted = place.quote(message)
        return place.error(BadResponse, f"reported an error{': ' if quoted else ''}{quoted}")
    return _error(place, status, status, message, None)


def _error(place: Place, status: int, means: int, message: str, wait: float | None) -> CallError:
    if means in _STATUS:
        kind = _STATUS[means]
    elif 400 <= means < 500:
        kind = Refused
    else:
        kind = Unavailable if means >= 500 else BadResponse
    parts = [f"{status} {_WORDS[kind]}", place.quote(message)]
    reason = ": ".join(part for part in parts if part)
    if means in _NEXT:
        reason += f"; {_NEXT[means]}"
    return place.error(kind, reason, status=status, retry_after=wait)


def _read(body: bytes) -> tuple[str, str]:
    """Return the message and the code of an error's body, which may be anything."""
    text = body.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ("" if text.startswith("<") else text), ""  # a page of HTML tells nothing
    if isinstance(found, list) and found:  # some wrap the object in a list
        found = found[0]
    if isinstance(found, Mapping):
        return _said(found.get("error") or found)
    return text, ""


def _said(error: object) -> tuple[str, str]:
    """Return the message and the code of an error object, or of what stands in its place."""
    if not isinstance(error, Mapping):
        return str(error), ""
    message: Any = error.get("message") or error.get("detail") or ""
    names = (error.get("code"), error.get("type"))
    codes = [str(name) for name in names if isinstance(name, int | str)]
    known = (c for c in codes if c in _CODES or re.fullmatch(r"[45]\d\d", c, re.ASCII))
    return str(message), next(known, "")


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header: a number or a date, at most an hour.

    What is negative, past or neither is None.
    """
    if value is None or len(value) > 64:
        return None
    value = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return min(float(value), LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError, OSError, IndexError):
        return None
    return min(seconds, LONGEST_WAIT) if seconds > 0 else None
