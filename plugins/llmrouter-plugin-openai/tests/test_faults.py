"""Statuses, messages and Retry-After become errors, whatever a provider sends."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    RateLimited,
    Refused,
    Secret,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_openai.events import answer_of, chunk_of
from llmrouter_plugin_openai.faults import Place, clean, refusal, reported, retry_after


@pytest.fixture(autouse=True)
def transport() -> None:
    """Nothing is sent here."""


KEY = "sk-or-v1-0123456789abcdef0123456789"
PLACE = Place("small", "api.example.org", Secret(KEY))


@pytest.mark.parametrize(
    ("status", "kind"),
    {
        201: BadResponse,
        204: BadResponse,
        301: BadResponse,
        307: BadResponse,
        400: BadRequest,
        413: BadRequest,
        422: BadRequest,
        401: Refused,
        402: Refused,
        403: Refused,
        404: Refused,
        405: Refused,
        451: Refused,
        408: TimedOut,
        409: RateLimited,
        425: RateLimited,
        429: RateLimited,
        500: Unavailable,
        502: Unavailable,
        503: Unavailable,
        504: Unavailable,
        529: Unavailable,
    }.items(),
)
def test_each_status_has_its_error(status: int, kind: type[CallError]) -> None:
    """The status alone decides where the body says nothing."""
    error = refusal(PLACE, status, {"retry-after": "7"}, b"")

    assert type(error) is kind
    assert (error.status, error.model) == (status, "small")
    assert str(error).startswith(f"model 'small' at api.example.org: {status} ")
    assert error.retry_after == (None if status in (301, 307) else 7.0)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"code": "insufficient_quota"}, Refused),
        (400, {"code": "context_length_exceeded", "type": "invalid_request_error"}, Refused),
        (400, {"type": "overloaded_error"}, Unavailable),
        (400, {"code": "something new"}, BadRequest),
    ],
)
def test_a_code_that_says_more_than_the_status_wins(
    status: int, error: dict[str, Any], kind: type[CallError]
) -> None:
    """No credit is not a rate limit, and a short window is not a wrong request."""
    assert type(refusal(PLACE, status, {}, json.dumps({"error": error}).encode())) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow"}, RateLimited),
        ({"code": "502"}, Unavailable),
        ({"type": "server_error"}, Unavailable),
        ({"code": 400}, BadRequest),
        ({"code": 12}, BadResponse),
        ("boom", BadResponse),
        ([1], BadResponse),
        ({}, BadResponse),
    ],
)
def test_an_error_inside_a_good_status_keeps_its_meaning(
    error: object, kind: type[CallError]
) -> None:
    """Codes count like statuses; what nobody knows is a broken answer."""
    assert type(reported(PLACE, error)) is kind


@pytest.mark.parametrize(
    "said",
    [
        f"Incorrect API key provided: {KEY}.",
        f"Bearer {KEY}",
        "sk-or-v1*****6789 is wrong",
        f"use key={KEY[:14]}…",
        f"the key ending in {KEY[-6:]}",
        "nvapi-abcdef1234 expired",
    ],
)
def test_nothing_that_resembles_the_key_is_quoted(said: str) -> None:
    """Whole, cut, starred or somebody else's: it becomes three dots."""
    found = clean(said, KEY)

    assert "•••" in found
    assert not any(part in found for part in ("0123", "456789", "abcdef", KEY[-6:]))


@given(st.text(max_size=400), st.integers(0, 400))
def test_a_message_is_short_printable_and_without_the_key(noise: str, at: int) -> None:
    """Whatever surrounds the key, it is not in the message."""
    found = clean(noise[:at] + KEY + noise[at:], KEY)

    assert KEY not in found
    assert len(found) <= 200
    assert found.isprintable()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("86400", 3600.0),
        ("9" * 40, 3600.0),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        (None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 99 Oct 2015 99:99:99 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
    ],
)
def test_retry_after_is_read_or_dropped(value: str | None, seconds: float | None) -> None:
    """Negative, past and garbled values are None; no value is longer than an hour."""
    assert retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    """A date becomes the seconds until then."""
    then = datetime.now(UTC) + timedelta(seconds=90)

    assert retry_after(format_datetime(then, usegmt=True)) == pytest.approx(90, abs=5)


@given(st.text(max_size=80))
def test_no_retry_after_breaks_the_reader(value: str) -> None:
    """Any text is None or a time up to an hour."""
    found = retry_after(value)

    assert found is None or 0 <= found <= 3600


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "usage",
                    "error",
                    "code",
                    "index",
                    "finish_reason",
                    "prompt_tokens",
                    "completion_tokens",
                    "cost",
                    "text",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_a_chunk_or_a_typed_error(value: Any) -> None:
    """No shape of an event or of an answer raises anything but a CallError."""
    data = json.dumps(value).encode()
    for read in (chunk_of, answer_of):
        try:
            chunk = read(PLACE, data)
        except CallError:
            continue
        assert chunk.data == data
        assert isinstance(chunk.text, str)
        assert chunk.usage is None or chunk.usage.input_tokens >= 0
        assert isinstance(value, dict)


@given(st.binary(max_size=200), st.integers(100, 999))
def test_any_body_of_any_status_is_a_typed_error(body: bytes, status: int) -> None:
    """No error page breaks the reader of error pages."""
    assert isinstance(refusal(PLACE, status, {}, body), CallError)
