"""What went wrong, as HTTP says it: every typed error has one status, type and code."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve, frozen
from llmrouter_core import (
    AllModelsFailed,
    BadRequest,
    BudgetExceeded,
    CallError,
    LLMRouterError,
    NoEligibleModel,
    RateLimited,
    TimedOut,
    Unavailable,
)

from llmrouter_plugin_server.keeping.errors import (
    NotAllowed,
    OverLimit,
    StoreDown,
    Unauthorized,
)


@frozen
class Fault:
    """An error as the client will read it.

    Attributes:
        status: HTTP status.
        message: One sentence.
        type: OpenAI's class of the error.
        code: What a program looks at.
        param: The field of the request at fault, where one is.
        retry_after: Seconds after which asking again makes sense, where that is known.
    """

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None

    @property
    def wait(self) -> bytes | None:
        """The value of `Retry-After`: whole seconds, rounded up, at least one."""
        if self.retry_after is None or not math.isfinite(self.retry_after):
            return None
        return b"%d" % max(1, math.ceil(self.retry_after))


class Refusal(Exception):
    """A request that is not served; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def refuse(
    status: int,
    message: str,
    code: str | None = None,
    *,
    type: str = "invalid_request_error",
    param: str | None = None,
    retry_after: float | None = None,
) -> Refusal:
    """Return the exception that refuses a request."""
    return Refusal(Fault(status, message, type, code, param, retry_after))


UPSTREAM = "upstream_error"


def fault_of(error: BaseException) -> Fault:
    """Return how *error* is told to a client; a bug of ours is told without its details."""
    if isinstance(error, Refusal):
        return error.fault
    if isinstance(error, AllModelsFailed):
        return _common(error)
    if isinstance(error, CallError):
        return _called(error)
    if isinstance(error, NoEligibleModel):
        return Fault(400, str(error), code="no_eligible_model")
    if isinstance(error, TimeoutError):
        return Fault(504, "the request took longer than it may", "timeout_error", "timeout")
    if isinstance(error, Unauthorized | NotAllowed | OverLimit | StoreDown):
        kind = _TYPES[error.status]
        wait = getattr(error, "retry_after", None)
        return Fault(error.status, str(error), kind, error.code, None, wait)
    if isinstance(error, LLMRouterError):
        return Fault(500, "the router cannot answer; the server's log says why", "server_error")
    return Fault(500, "this is a bug; the server's log says where", "server_error")


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "server_error",
}


def _called(error: CallError) -> Fault:
    message, wait = str(error), error.retry_after
    if isinstance(error, BadRequest):
        return Fault(400, message, code="bad_request")
    if isinstance(error, BudgetExceeded):
        return Fault(429, message, "insufficient_quota", "insufficient_quota")
    if isinstance(error, RateLimited):
        return Fault(429, message, "rate_limit_error", "rate_limit_exceeded", None, wait or 1.0)
    if isinstance(error, TimedOut):
        return Fault(504, message, "timeout_error", "timeout")
    if isinstance(error, Unavailable) and wait is not None:
        return Fault(503, message, UPSTREAM, "unavailable", None, wait)
    return Fault(502, message, UPSTREAM, _CODES.get(type(error).__name__, "upstream_error"))


_CODES = {
    "Unavailable": "unavailable",
    "Refused": "upstream_refused",
    "BadResponse": "bad_response",
    "IncompleteStream": "incomplete_stream",
    "NoRecording": "no_recording",
}


def _common(error: AllModelsFailed) -> Fault:
    """Return what the failures of all models have in common."""
    each: Sequence[Fault] = [fault_of(failure) for failure in error.failures]
    message = str(error)
    if not each:
        return Fault(502, message, UPSTREAM, "upstream_error")
    waits = [fault.retry_after for fault in each]
    soonest = min((wait for wait in waits if wait is not None), default=None)
    if len({(fault.status, fault.code) for fault in each}) == 1:
        return evolve(each[0], message=message, retry_after=soonest)
    if None not in waits:  # whoever waits will be answered
        return Fault(503, message, UPSTREAM, "unavailable", None, soonest)
    return Fault(502, message, UPSTREAM, "all_models_failed")
