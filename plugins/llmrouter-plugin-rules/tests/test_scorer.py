"""What is special about the rules scorer: who cannot answer, or may not, is vetoed."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from llmrouter_core import ConfigError, LLMRouter, Model, NoEligibleModel, Payload, Query
from llmrouter_core.testing import ToySelector
from llmrouter_plugin_rules import Gate, RulesScorer
from llmrouter_plugin_rules.conditions import Asked
from llmrouter_plugin_rules.requests import most_tokens_of, tokens_of

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


def test_a_region_is_for_models_that_say_they_are_in_it() -> None:
    """Who says nothing of a region may not answer, and no option opens that door."""
    pool = [
        Model(name="silent"),
        Model(name="eu", tags=("region:eu",)),
        Model(name="both", tags=("x", "region:us", "region:eu")),
        Model(name="near", tags=("region:eu-west", "eu", "tag:region:eu")),
    ]

    def left(**facts: Any) -> str:
        scorer = RulesScorer(context=False, capabilities=False)
        [row] = scorer.score([Query(text="hi", facts=facts)], pool).values
        return " ".join(model.name for model, value in zip(pool, row, strict=True) if value == 0)

    assert left() == left(region=None) == "silent eu both near"
    assert left(region="eu") == "eu both"
    assert left(region="us") == "both"
    assert left(region="asia") == left(region="EU") == left(region="") == left(region=["eu"]) == ""
    router = LLMRouter(models=pool, parts=[RulesScorer(), ToySelector()])
    with pytest.raises(NoEligibleModel, match="scorer 'allowed' vetoed it"):
        router.decide("hi", facts={"region": "asia"})


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


WORDS = (
    st.text(st.characters(codec="utf-8"), max_size=9) | st.just("") | st.text("猫", max_size=40)
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "input_audio"])}, optional={"text": WORDS}
)
PLAIN = st.fixed_dictionaries({"messages": st.lists(st.fixed_dictionaries({"content": WORDS}))})
RICH = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries(
                {"content": st.none() | WORDS | st.lists(PART)}, optional={"tool_calls": JSON}
            ),
            max_size=4,
        )
    },
    optional={
        "tools": JSON,
        "functions": JSON,
        "tool_choice": st.sampled_from(["none", "auto"]),
        "response_format": st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "json_object"])}
        ),
        "modalities": st.lists(st.sampled_from(["text", "audio"])),
        "max_tokens": st.none() | st.integers(-9, 60) | st.just(10**400),
        "max_completion_tokens": st.integers(0, 60),
    },
)
BODIES = PLAIN | RICH
MODELS = st.lists(
    st.tuples(
        st.none() | st.integers(1, 120), st.sets(st.sampled_from(["vision", "json", "tools", "x"]))
    ),
    min_size=1,
    max_size=4,
).map(
    lambda kinds: tuple(
        Model(name=f"m{n}", context=window, tags=tuple(tags))
        for n, (window, tags) in enumerate(kinds)
    )
)


def _plainly(query: Query, models: Sequence[Model]) -> list[float]:
    """Return what the scorer says, by the letter of its README and without any short cut."""
    said = Asked(query)
    needed = tokens_of(query) + (query.request.limit or 0)
    row = []
    for model in models:
        small = model.context is not None and model.context < needed
        blind = any(
            need not in model.tags and any(need in other.tags for other in models)
            for need in said.needs
        )
        barred = said.tokens >= 30 and model is models[0]
        row.append(-np.inf if small or blind or barred else 0.0)
    return row


@example([{"messages": [{}] * 50}], [(Model(name="m0", context=250),)])
@example([{"messages": [{"content": "", "tool_calls": ["a" * 40]}]}], [(Model(name="m0"),)])
@given(st.lists(BODIES, min_size=1, max_size=3), st.lists(MODELS, min_size=1, max_size=2))
def test_the_quick_way_and_the_exact_one_say_the_same(bodies, pools) -> None:
    """Whether the JSON is known or not, one request or several, one pool after another."""
    dense = {"ensure_ascii": False, "separators": (",", ":")}
    encoded = [json.dumps(body, **dense).encode() for body in bodies]
    queries = [Query(text="hi", payload=Payload(json.loads(body), body)) for body in encoded]
    queries += [Query(text="hi", payload=body) for body in bodies]
    scorer = RulesScorer(rules=(Gate(min_tokens=30, deny=("m0",)),))

    for query in queries:
        assert most_tokens_of(query) >= tokens_of(query)
    for pool in pools:
        exact = [_plainly(query, pool) for query in queries]
        assert scorer.score(queries, pool).values.tolist() == exact
        assert [scorer.score([q], pool).values[0].tolist() for q in queries] == exact


def test_what_surely_fits_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual request to usual models costs microseconds: its characters are bound enough."""
    pool = (Model(name="a", context=128_000), Model(name="b"))
    small = Query(text="hi", payload={"messages": [{"role": "user", "content": "a" * 400}]})
    large = Query(text="hi", payload={"messages": [{"role": "user", "content": "a" * 600_000}]})
    counted: list[Query] = []
    monkeypatch.setattr(
        "llmrouter_plugin_rules.conditions.tokens_of", lambda q: counted.append(q) or tokens_of(q)
    )
    values = RulesScorer().score([small, large], pool).values

    assert counted == [large]
    assert values.tolist() == [[0.0, 0.0], [-np.inf, 0.0]]
