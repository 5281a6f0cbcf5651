"""The errors of litellm become those that routers act upon; needs no litellm."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    IncompleteStream,
    RateLimited,
    Refused,
    Secret,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_litellm.faults import classified
from llmrouter_plugin_openai.faults import Place

PLACE = Place("small", "mistral", Secret("sk-canary-0123456789"))


def error(kind: str, message: str = "", **facts: Any) -> Exception:
    """Return what looks like an error of litellm."""
    made: Exception = type(kind, (Exception,), facts)(message)
    return made


@pytest.mark.parametrize(
    ("raised", "started", "kind"),
    [
        (error("BadRequestError", status_code=400), False, BadRequest),
        (error("ContentPolicyViolationError", status_code=400), False, Refused),
        (error("ContextWindowExceededError", status_code=400), False, Refused),
        (error("UnsupportedParamsError", status_code=400), False, Refused),
        (error("PaymentRequiredError", status_code=400), False, Refused),
        (error("RateLimitError", status_code=429), False, RateLimited),
        (error("RateLimitError", status_code=429, code="insufficient_quota"), False, Refused),
        (error("Timeout", status_code=408), False, TimedOut),
        (TimeoutError(), False, TimedOut),
        (error("APIConnectionError", status_code=500), False, Unavailable),
        (error("APIConnectionError", status_code=500), True, IncompleteStream),
        (error("InternalServerError", "missing credentials", status_code=500), False, Refused),
        (error("APIError", status_code=529), False, Unavailable),
        (error("APIError", status_code=None), False, BadResponse),
        (KeyError("choices"), True, BadResponse),
        (
            error(
                "MidStreamFallbackError",
                status_code=500,
                original_exception=error("APIConnectionError", status_code=500),
            ),
            False,
            IncompleteStream,
        ),
        (
            error(
                "MidStreamFallbackError",
                status_code=503,
                original_exception=error("RateLimitError", status_code=429),
            ),
            False,
            RateLimited,
        ),
    ],
)
def test_each_error_has_its_meaning(
    raised: Exception, started: bool, kind: type[CallError]
) -> None:
    """By its class where that says more, else by its status."""
    found = classified(PLACE, raised, started=started)

    assert type(found) is kind
    assert found.model == "small"
    assert str(found).startswith("model 'small' at mistral: ")


def test_the_names_of_classes_are_not_repeated() -> None:
    """litellm puts two or three before what the provider said."""
    message = "litellm.RateLimitError: RateLimitError: OpenAIException - Error: too many requests"
    found = classified(PLACE, error("RateLimitError", message, status_code=429), started=False)

    assert str(found) == "model 'small' at mistral: 429 rate limited: too many requests"


@given(st.text(max_size=60), st.integers() | st.none() | st.text(max_size=3), st.booleans())
def test_any_error_is_a_typed_one_without_the_key(noise: str, status: Any, started: bool) -> None:
    """Whatever litellm raises, and whatever it says."""
    strange = error("StrangeError", f"{noise} sk-canary-0123456789 {noise}", status_code=status)
    found = classified(PLACE, strange, started=started)

    assert isinstance(found, CallError)
    assert "canary" not in str(found)
