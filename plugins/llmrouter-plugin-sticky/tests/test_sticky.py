"""When a conversation stays on its model, and when it moves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import (
    Call,
    Chunk,
    ConfigError,
    Floats,
    Ints,
    LLMRouter,
    Model,
    Price,
    Query,
    Request,
    Scores,
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_plugin_sticky import StickyExtension
from llmrouter_plugin_sticky.memory import Memory

CHEAP = Model(name="cheap", price=Price(input=1.0, output=1.0))
DEAR = Model(name="dear", price=Price(input=10.0, output=10.0))


@define(eq=False, kw_only=True)
class Said:
    """Scores and answers as a test says: quality and cost by model, `-inf` a veto."""

    quality: dict[str, float] = field(factory=lambda: {"cheap": 0.5, "dear": 0.5})
    cost: dict[str, float] = field(factory=lambda: {"cheap": 0.0, "dear": 0.0})
    tokens: int = 2000
    down: set[str] = field(factory=set)

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> tuple[Scores, ...]:
        def filled(name: str, by: Mapping[str, float]) -> Scores:
            row: Floats = np.array([by.get(model.name, np.nan) for model in models])
            return Scores(name, np.tile(row, (len(queries), 1)))

        return filled("quality", self.quality), filled("cost", self.cost)

    @hookimpl
    def select(self, queries: Sequence[Query], scores: Mapping[str, Scores]) -> Ints:
        return np.argsort(-scores["quality"].values, axis=1, kind="stable")

    @hookimpl
    def call(self, model: Model) -> Call:
        async def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            if model.name in self.down:
                raise Unavailable("it is down", model=model.name)
            yield Chunk(text="well")
            yield Chunk(finish="stop", usage=Usage(input_tokens=self.tokens, output_tokens=0))

        return answer


def chat(*texts: str) -> list[dict[str, str]]:
    """Return messages in turn of the user and of the assistant."""
    return [
        {"role": "assistant" if place % 2 else "user", "content": text}
        for place, text in enumerate(texts)
    ]


def build(said: Said, **options: Any) -> tuple[LLMRouter, StickyExtension]:
    sticky = StickyExtension(**options)
    return LLMRouter(models=[CHEAP, DEAR], parts=[sticky, said]), sticky


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, in the only place of a list; it passes when a test says so."""
    now = [0.0]
    monkeypatch.setattr("llmrouter_plugin_sticky.memory.monotonic", lambda: now[0])
    return now


# 2,000 warm tokens of "dear" save 0.9 * 10 * 2000 / 1e6 = $0.018, of "cheap" $0.0018.
@pytest.mark.parametrize(("better", "model"), [(0.199, "cheap"), (0.201, "dear")])
def test_a_conversation_moves_where_the_gain_pays_for_the_prompt(
    better: float, model: str
) -> None:
    """0.01 * (better - 0.02) against 0.9 * 1 * 2000 / 1e6 = 0.0018: it moves from 0.2 on."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    with router:
        assert router.route(chat("hello")).model == "cheap"
        said.quality["dear"] = 0.5 + better

        assert router.decide(chat("hello", "well", "more")).model.name == model
        assert router.decide(chat("another", "well", "more")).model.name == "dear"


def test_predicted_costs_count_beside_the_prompt() -> None:
    """A dollar dearer model has to gain that dollar too, and a cheaper one less."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4}, cost={"cheap": 0.001, "dear": 0.003})
    router, _ = build(said)
    more = chat("hello", "well", "more")
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 0.5 + 0.39  # 0.01 * 0.37 < 0.0018 + 0.002
        assert router.decide(more).model.name == "cheap"
        said.quality["dear"] = 0.5 + 0.41
        assert router.decide(more).model.name == "dear"
        said.cost["dear"] = 0.0  # 0.0008 in all: 0.1 of quality is enough
        said.quality["dear"] = 0.5 + 0.11
        assert router.decide(more).model.name == "dear"


def test_a_model_that_is_warm_too_costs_less_to_go_back_to() -> None:
    """Both prompts are kept: going back to dear saves 0.018, more than is lost."""
    said = Said(quality={"cheap": 0.4, "dear": 0.5})
    router, _ = build(said)
    with router:
        router.route(chat("hello"))
        said.quality = {"cheap": 9.0, "dear": 0.5}
        assert router.route(chat("hello", "well", "more")).model == "cheap"
        said.quality = {"cheap": 0.5, "dear": 0.51}

        assert router.decide(chat("hello", "well", "more", "well", "yes")).model.name == "dear"


def test_the_knob_of_a_query_counts() -> None:
    """Towards quality the dollars lose their weight; a knob that is none is refused."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 0.55
        more = chat("hello", "well", "more")

        assert router.decide(more).model.name == "cheap"
        assert router.decide(more, facts={"tradeoff": 0.0}).model.name == "dear"
        with pytest.raises(ConfigError, match="'tradeoff' must be a number from 0 to 1"):
            router.decide(more, facts={"tradeoff": True})


def test_a_short_prompt_saves_nothing_but_the_margin_holds() -> None:
    """Below the providers' minimum there is nothing warm, and small changes still move nobody."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4}, tokens=1023)
    router, _ = build(said)
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 0.519
        assert router.decide(chat("hello", "well", "more")).model.name == "cheap"
        said.quality["dear"] = 0.521
        assert router.decide(chat("hello", "well", "more")).model.name == "dear"


def test_a_gain_that_nobody_predicts_moves_nobody() -> None:
    """NaN is no reason to leave."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    with router:
        router.route(chat("hello"))
        said.quality = {"dear": 0.9}
        assert router.decide(chat("hello", "well", "more")).model.name == "cheap"


def test_a_cold_prompt_holds_nobody(clock: list[float]) -> None:
    """After `warm` seconds the selector decides as if nothing had been."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said, warm=60.0)
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 0.51
        clock[0] = 60.0
        assert router.decide(chat("hello", "well", "more")).model.name == "cheap"
        clock[0] = 60.1
        assert router.decide(chat("hello", "well", "more")).model.name == "dear"


def test_a_veto_is_stronger_than_a_warm_prompt() -> None:
    """A model that may not answer does not, however warm it is."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    with router:
        router.route(chat("hello"))
        said.cost["cheap"] = -np.inf

        decision = router.decide(chat("hello", "well", "more"))
        assert [model.name for model in decision.ranking] == ["dear"]


def test_a_vetoed_favourite_is_no_rival() -> None:
    """Core takes it out of the ranking; the warm model is compared with who is left."""
    third = Model(name="third", price=Price(input=1.0, output=1.0))
    said = Said(quality={"cheap": 0.5, "dear": 0.4, "third": 0.3}, cost={})
    router = LLMRouter(models=[CHEAP, DEAR, third], parts=[StickyExtension(), said])
    with router:
        router.route(chat("hello"))
        said.quality = {"cheap": 0.5, "dear": 0.9, "third": 0.51}
        said.cost = {"dear": -np.inf}

        decision = router.decide(chat("hello", "well", "more"))
        assert [model.name for model in decision.ranking] == ["cheap", "third"]


def test_the_model_that_answered_is_the_warm_one() -> None:
    """After a fallback it is the second choice that has read the prompt."""
    said = Said(quality={"cheap": 0.5, "dear": 0.49}, down={"cheap"})
    router, _ = build(said)
    with router:
        assert router.route(chat("hello")).model == "dear"
        said.down.clear()

        decision = router.decide(chat("hello", "well", "more"))
        assert [model.name for model in decision.ranking] == ["dear", "cheap"]


def test_the_result_of_a_tool_goes_to_whoever_asked_for_it() -> None:
    """Whatever another model would gain."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    asked = [*chat("hello", ""), {"role": "tool", "tool_call_id": "1", "content": "42"}]
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 99.0

        assert router.decide(asked).model.name == "cheap"
        assert router.decide(chat("hello", "well", "more")).model.name == "dear"


def test_conversations_are_told_apart() -> None:
    """By id where there is one, else by user and beginning; a first message has no past."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    more = chat("hello", "well", "more")
    with router:
        router.route(chat("hello"), user="ada")
        router.route("a", facts={"conversation": "c1"})
        said.quality["dear"] = 0.51

        assert router.decide(more, user="ada").model.name == "cheap"
        assert router.decide(more, user="bob").model.name == "dear"
        assert router.decide(chat("hello"), user="ada").model.name == "dear"
        assert router.decide("b", facts={"conversation": "c1"}).model.name == "cheap"
        assert router.decide("b", facts={"conversation": "c2"}).model.name == "dear"


def test_a_batch_is_decided_row_by_row() -> None:
    """Each query by its own conversation."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, _ = build(said)
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 0.51
        found = router.decide_all(
            [chat("new"), chat("hello", "well", "more"), chat("x", "y", "z")]
        )

    assert [one.model.name for one in found] == ["dear", "cheap", "dear"]


def test_what_an_experiment_has_drawn_is_left_alone() -> None:
    """Odds that are logged by then must stay true; odds not yet known hold nothing up."""

    @define(eq=False, kw_only=True)
    class Odds:
        known: bool = True

        @hookimpl
        def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
            value = 1 / len(models) if self.known else np.nan
            return Scores("propensity", np.full((len(queries), len(models)), value))

    said, odds = Said(quality={"cheap": 0.5, "dear": 0.4}), Odds()
    router = LLMRouter(models=[CHEAP, DEAR], parts=[StickyExtension(), said, odds])
    with router:
        router.route(chat("hello"))
        said.quality["dear"] = 0.51

        assert router.decide(chat("hello", "well", "more")).model.name == "dear"
        odds.known = False
        assert router.decide(chat("hello", "well", "more")).model.name == "cheap"


def test_memory_is_bounded() -> None:
    """The conversations used last stay."""
    said = Said(quality={"cheap": 0.5, "dear": 0.4})
    router, sticky = build(said, conversations=2)
    with router:
        for name in ("a", "b", "c"):
            router.route("hi", facts={"conversation": name})
        said.quality["dear"] = 0.51
        kept = [router.decide("x", facts={"conversation": c}).model.name for c in "abc"]

    assert sticky.remembered == 2
    assert kept == ["dear", "cheap", "cheap"]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abcdef"), st.integers(0, 99))),
    st.integers(1, 4),
)
def test_the_last_to_answer_is_always_the_one_recalled(
    notes: list[tuple[int, str, int]], most: int
) -> None:
    """Whatever came before, and however little is kept."""
    memory = Memory(most, seconds=1e9)
    for conversation, model, tokens in notes:
        memory.note(conversation, model, tokens)

        found = memory.recall(conversation)
        assert (found[-1].model, found[-1].tokens) == (model, tokens)
        assert len({one.model for one in found}) == len(found) <= 4
        assert len(memory) <= most


@pytest.mark.parametrize(
    "wrong", [{"margin": -0.1}, {"discount": 1.1}, {"warm": 0.0}, {"conversations": 0}]
)
def test_options_are_within_reason(wrong: dict[str, float]) -> None:
    """Each is named where it is not."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StickyExtension(**wrong)
