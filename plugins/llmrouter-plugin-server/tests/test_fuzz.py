"""Whatever a client sends, the answer is a sentence and never a crash."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import LLMRouter
from llmrouter_plugin_server.app import ServerOptions

from .gateways import POOL, KnobScorer, KnobSelector, LettersEmbedder, Running, ScriptCaller

FIELDS = [
    *("model", "messages", "stream", "stream_options", "llmrouter", "user", "n"),
    *("max_tokens", "tools", "tool_choice", "role", "content", "type", "text"),
    *("input", "query", "prompt", "id", "reward", "comment", "encoding_format"),
    *("system", "metadata", "tradeoff", "conversation", "stop_sequences", "thinking"),
    *("instructions", "previous_response_id", "echo", "suffix"),
]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["auto", "small", "user", "assistant", "tool", "text", "Hello?", "base64"])
)
JSON = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=12,
)
MESSAGES = st.lists(
    st.dictionaries(st.sampled_from(["role", "content", "type", "tool_calls"]), JSON, max_size=3),
    max_size=3,
)
PATHS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/route",
    "/v1/feedback",
]


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    limited = [evolve(model, context=10**6, tags=("tools",)) for model in POOL]
    parts = [KnobScorer(), KnobSelector(), LettersEmbedder(), ScriptCaller()]
    router = LLMRouter(models=limited, parts=parts)
    with Running(router, ServerOptions(insecure=True), composed=True) as running:
        assert running.gateway.generations.now.added == ("retry", "breaker", "capabilities")
        yield running


@given(
    path=st.sampled_from(PATHS),
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
    messages=st.none() | MESSAGES,
)
@settings(max_examples=300, deadline=None)
def test_no_json_makes_it_fail(
    served: Running, path: str, fields: dict[str, Any], messages: list[Any] | None
) -> None:
    if messages is not None:
        fields = {**fields, "messages": messages}
    found = served.ask(path, fields)

    assert found.status < 500, (found.status, found.body)
    if found.status != 200:
        error = found.json["error"]
        assert isinstance(error["message"], str)
        assert error["message"]


@given(st.sampled_from(PATHS), st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_bytes_make_it_fail(served: Running, path: str, body: bytes) -> None:
    assert served.ask(path, body).status in (200, 400)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "x-llmrouter-tradeoff",
                "x-llmrouter-timeout",
                "x-llmrouter-conversation",
                "traceparent",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    )
)
@settings(max_examples=60, deadline=None)
def test_no_header_makes_it_fail(served: Running, headers: dict[str, str]) -> None:
    assert served.chat(headers=headers).status in (200, 400, 504)


def test_what_is_answered_holds_no_secret_of_the_machine(
    served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """An address in a request is data: nothing is fetched, and nothing is echoed into a log."""
    caplog.set_level(logging.DEBUG)
    for field in ("base_url", "api_base", "api_key", "url", "caller", "extra_headers"):
        found = served.chat(**{field: "http://169.254.169.254/canary-7f"})
        assert found.status == 200
        assert "canary-7f" not in json.dumps(found.json["llmrouter"])
    assert "canary-7f" not in caplog.text
