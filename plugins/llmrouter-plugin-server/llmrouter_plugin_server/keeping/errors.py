"""Why a request is not served, each with the HTTP status and OpenAI's code for it.

None of them ever holds a token, a digest or the address of a store with its password.
"""

from __future__ import annotations

from llmrouter_core import LLMRouterError


class Unauthorized(LLMRouterError):
    """There is no key, or not one that is known and still valid."""

    status = 401
    code = "invalid_api_key"


class NotAllowed(LLMRouterError):
    """The key is valid, but not for this model."""

    status = 403
    code = "model_not_allowed"


class OverLimit(LLMRouterError):
    """The request does not fit a limit of its key.

    Attributes:
        reason: `dollars`, `calls`, `calls_at_once` or `calls_per_minute`.
        retry_after: Seconds after which it may fit; None where waiting does not help.
        code: `rate_limit_exceeded` where a moment helps, else `insufficient_quota`.
    """

    status = 429

    def __init__(self, message: str, *, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after
        quota = reason in ("dollars", "calls")
        self.code = "insufficient_quota" if quota else "rate_limit_exceeded"


class StoreDown(LLMRouterError):
    """The store of the keys does not answer, so what depends on it is refused.

    Attributes:
        retry_after: Seconds after which the store is asked again.
    """

    status = 503
    code = "key_store_unavailable"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyTaken(LLMRouterError):
    """A valid key has that name already."""

    exit_code = 2


class UnknownKey(LLMRouterError):
    """No valid key has that name or id."""

    exit_code = 2
