"""What is special about the rules scorer: who cannot answer, or may not, is vetoed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import ConfigError, LLMRouter, Model, NoEligibleModel, Query
from llmrouter_core.testing import ToySelector
from llmrouter_plugin_rules import Gate, RulesScorer

POOL = [
    Model(name="short", context=100, size=1, tags=("tools",)),
    Model(name="blind", context=1000, size=9, tags=("json", "tools")),
    Model(name="seeing", size=70, tags=("vision", "here")),
]


def allowed(scorer: RulesScorer, *, pool: list[Model] = POOL, **payload: Any) -> str:
    payload = {"messages": [{"role": "user", "content": "hi"}], **payload}
    [row] = scorer.score([Query.of(payload)], pool).values
    assert set(row.tolist()) <= {0.0, -np.inf}
    return " ".join(model.name for model, value in zip(pool, row, strict=True) if value == 0)


def test_a_window_must_hold_the_request_and_the_answer() -> None:
    """Input and allowed output together; what is unknown is large enough."""
    text = [{"role": "user", "content": "a" * 360}]  # 90 tokens, and 4 for the message

    assert allowed(RulesScorer(), messages=text) == "short blind seeing"
    assert allowed(RulesScorer(), messages=text, max_tokens=6) == "short blind seeing"
    assert allowed(RulesScorer(), messages=text, max_tokens=7) == "blind seeing"
    assert allowed(RulesScorer(), messages=text, max_completion_tokens=2000) == "seeing"
    assert allowed(RulesScorer(context=False), messages=text, max_tokens=9999) == (
        "short blind seeing"
    )


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"tools": [{"type": "function"}]}, "short blind"),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, "short blind seeing"),
        ({"tools": []}, "short blind seeing"),
        ({"functions": [{"name": "f"}]}, "short blind"),
        ({"response_format": {"type": "json_object"}}, "blind"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "blind"),
        ({"response_format": {"type": "text"}}, "short blind seeing"),
        ({"modalities": ["text", "audio"]}, "short blind seeing"),  # nobody says that they hear
        ({"tools": [1], "response_format": {"type": "json_object"}}, "blind"),
    ],
)
def test_what_the_request_shows_must_be_a_tag(payload: dict[str, Any], expected: str) -> None:
    """Only tags that somebody in the pool has count."""
    assert allowed(RulesScorer(), **payload) == expected
    assert allowed(RulesScorer(capabilities=False), **payload) == "short blind seeing"


@pytest.mark.parametrize("kind", ["image_url", "image", "input_image"])
def test_a_picture_anywhere_in_the_messages_needs_vision(kind: str) -> None:
    """Not only in the last one; and a pool without tags is left alone."""
    messages = [
        {"role": "user", "content": [{"type": kind}, {"type": "text", "text": "what?"}]},
        {"role": "assistant", "content": "a cat"},
        {"role": "user", "content": "sure?"},
    ]
    bare = [Model(name="one"), Model(name="two")]

    assert allowed(RulesScorer(), messages=messages) == "seeing"
    assert allowed(RulesScorer(), messages=messages, pool=bare) == "one two"


def test_every_gate_that_fits_counts() -> None:
    """`allow` keeps nobody else, `deny` takes out, and both can hold at once."""
    scorer = RulesScorer(
        rules=(
            Gate(facts={"secret": True}, allow=("tag:here", "short")),
            Gate(users=("eve",), deny=("largest",)),
        )
    )

    def left(**query: Any) -> list[bool]:
        return (scorer.score([Query(text="hi", **query)], POOL).values[0] == 0).tolist()

    assert left() == [True, True, True]
    assert left(facts={"secret": True}) == [True, False, True]
    assert left(user="eve") == [True, True, False]
    assert left(user="eve", facts={"secret": True}) == [True, False, False]


def test_the_veto_holds_whatever_the_selector_thinks() -> None:
    """The core takes the model out and says who vetoed it; with nobody left that is an error."""
    scorer = RulesScorer(name="permitted", rules=(Gate(words=("secret",), deny=("short",)),))
    router = LLMRouter(models=POOL, parts=[scorer, ToySelector()])
    decision = router.decide("a secret")

    assert [model.name for model in decision.ranking] == ["blind", "seeing"]
    assert decision.excluded == {"short": "scorer 'permitted' vetoed it"}
    with pytest.raises(NoEligibleModel, match="scorer 'permitted' vetoed it"):
        LLMRouter(models=POOL[:1], parts=[scorer, ToySelector()]).decide("a secret")


def test_a_name_of_no_candidate_is_refused() -> None:
    """A misspelt veto would let everything through."""
    scorer = RulesScorer(rules=(Gate(deny=("blnd",)),))

    with pytest.raises(ConfigError, match=r"'blnd', did.*@ scorer\.allowed\.rules\.1\.deny"):
        allowed(scorer)


def test_a_gate_that_shuts_nobody_out_is_refused() -> None:
    """It would do nothing."""
    with pytest.raises(ValueError, match="says nothing of who may answer; add: deny"):
        Gate(words=("a",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
KEYS = ["tools", "functions", "tool_choice", "response_format", "modalities", "max_tokens"]


@settings(max_examples=40)
@given(
    st.dictionaries(st.sampled_from(KEYS), JSON),
    st.lists(st.dictionaries(st.sampled_from(["content", "tool_calls", "role"]), JSON)),
)
def test_no_payload_makes_it_fail(payload, messages) -> None:
    """Whatever JSON a client sends, each cell is 0 or never."""
    query = Query(text="hi", payload={**payload, "messages": messages})
    values = RulesScorer().score([query], POOL).values

    assert set(values.ravel().tolist()) <= {0.0, -np.inf}


def test_tools_of_any_depth_are_counted() -> None:
    """What is nested too deeply for recursion is still measured."""
    deep: Any = "a" * 400
    for _ in range(5000):
        deep = [deep]

    assert allowed(RulesScorer(), tools=[deep]) == "blind"


def test_a_sign_of_a_script_without_letters_is_a_token() -> None:
    """150 Chinese signs do not fit into a window of 100 tokens; 150 letters do."""
    assert allowed(RulesScorer(), messages=[{"role": "user", "content": "猫" * 150}]) == (
        "blind seeing"
    )
    assert allowed(RulesScorer(), messages=[{"role": "user", "content": "c" * 150}]) == (
        "short blind seeing"
    )
