"""How often each model is drawn, what is written down of it, and what a shadow may do."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import (
    BadResult,
    Call,
    Chunk,
    ConfigError,
    Ints,
    LLMRouter,
    Model,
    NoEligibleModel,
    Price,
    Query,
    Request,
    Scores,
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_core.pipeline import Pipeline
from llmrouter_plugin_experiment import Arm, ExperimentExtension
from llmrouter_plugin_sticky import StickyExtension

NAMES = ("a", "b", "c")
MODELS = [Model(name=name, price=Price(input=1.0, output=2.0)) for name in NAMES]


@define(eq=False, kw_only=True)
class Order:
    """A selector that ranks the models as it is told, and vetoes some."""

    order: tuple[int, ...] = (0, 1, 2)
    never: tuple[int, ...] = ()

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
        values = np.zeros((len(queries), len(models)))
        values[:, list(self.never)] = -np.inf
        return Scores("quality", values)

    @hookimpl
    def select(self, queries: Sequence[Query]) -> Ints:
        return np.tile(np.array(self.order, np.intp), (len(queries), 1))


@define(eq=False, kw_only=True)
class Only:
    """What a selector within an arm may be: it takes only the arguments it needs."""

    columns: tuple[int, ...]

    @hookimpl
    def select(self, queries: Sequence[Query]) -> Ints:
        return np.tile(np.array(self.columns, np.intp), (len(queries), 1))


@define(eq=False, kw_only=True)
class Talks:
    """Every model says its name; some fail, and some wait until they are let go."""

    down: tuple[str, ...] = ()
    held: asyncio.Event | None = None
    asked: list[str] = field(factory=list)
    ended: list[str] = field(factory=list)

    @hookimpl
    def call(self, model: Model) -> Call:
        async def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked.append(model.name)
            try:
                if model.name in self.down:
                    raise Unavailable("it is down", model=model.name)
                if model.name == "c" and self.held is not None:
                    await self.held.wait()
                yield Chunk(text=model.name)
                yield Chunk(finish="stop", usage=Usage(input_tokens=10, output_tokens=5))
            finally:
                self.ended.append(model.name)

        return answer


def drawn(
    experiment: ExperimentExtension, order: Order, queries: Sequence[Query]
) -> tuple[Counter[str], Any]:
    """Return how often each model stands first, and the propensities (n, m)."""
    router = LLMRouter(models=MODELS, parts=[experiment, order])
    found = router.decide_all(queries)
    odds = np.array([one.scores["propensity"].values for one in found])
    return Counter(one.model.name for one in found), odds


def asks(n: int, **facts: Any) -> list[Query]:
    return [Query.of(f"q{number}", facts=facts) for number in range(n)]


def test_propensities_are_those_of_the_formula() -> None:
    """0.3 / 3 each by chance, 0.2 to c by an arm, the rest to a."""
    experiment = ExperimentExtension(explore=0.3, arms=(Arm(weight=0.2, model="c"),), seed=0)
    _, odds = drawn(experiment, Order(), asks(4))

    assert np.allclose(odds, [[0.1 + 0.5, 0.1, 0.1 + 0.2]] * 4)


def test_models_are_drawn_as_often_as_is_written_down() -> None:
    """Within four standard errors, over 20,000 queries."""
    arms = (Arm(weight=0.2, model="c"), Arm(weight=0.1, selector=Only(columns=(1, 2))))
    counts, odds = drawn(
        ExperimentExtension(explore=0.3, arms=arms, seed=0), Order(), asks(20_000)
    )
    for name, chance in zip(NAMES, odds[0], strict=True):
        assert abs(counts[name] / 20_000 - chance) < 4 * (chance * (1 - chance) / 20_000) ** 0.5


def test_conversations_are_spread_as_evenly_as_queries() -> None:
    """A hash is as good as a coin, and the same for every turn."""
    queries = [Query.of("hi", facts={"conversation": number}) for number in range(20_000)]
    counts, odds = drawn(ExperimentExtension(explore=0.6), Order(), queries)
    again, _ = drawn(ExperimentExtension(explore=0.6), Order(), queries)

    assert counts == again
    for name, chance in zip(NAMES, odds[0], strict=True):
        assert abs(counts[name] / 20_000 - chance) < 4 * (chance * (1 - chance) / 20_000) ** 0.5


def test_what_keeps_its_draw_is_a_matter_of_the_option() -> None:
    """A user, a conversation, or nothing."""
    queries = [Query.of(f"q{n}", user="ada", facts={"conversation": "c"}) for n in range(200)]
    kept = {
        by: len(drawn(ExperimentExtension(explore=1.0, by=by, seed=0), Order(), queries)[0])
        for by in ("query", "conversation", "user")
    }

    assert kept == {"query": 3, "conversation": 1, "user": 1}


def test_a_vetoed_model_is_never_drawn() -> None:
    """Neither by chance nor by an arm, which leaves the query to the router then."""
    experiment = ExperimentExtension(explore=0.5, arms=(Arm(weight=0.2, model="a"),), seed=0)
    counts, odds = drawn(experiment, Order(never=(0,)), asks(2_000))

    assert set(counts) == {"b", "c"}
    assert np.allclose(odds, [[0.0, 0.25 + 0.5, 0.25]] * 2_000)


def test_a_model_that_the_selector_leaves_out_is_not_explored() -> None:
    """Who is not ranked is not to be asked; an arm of its own may rank it."""
    experiment = ExperimentExtension(
        explore=0.4, arms=(Arm(weight=0.1, selector=Only(columns=(2,))),), seed=0
    )
    _, odds = drawn(experiment, Order(order=(1, 0, -1)), asks(3))

    assert np.allclose(odds, [[0.2, 0.2 + 0.5, 0.1]] * 3)


def test_where_nobody_may_answer_core_says_so() -> None:
    """There is nothing to draw."""
    router = LLMRouter(
        models=MODELS, parts=[ExperimentExtension(explore=1.0), Order(never=(0, 1, 2))]
    )
    with pytest.raises(NoEligibleModel):
        router.decide("hi")


def test_the_fallbacks_are_those_of_whoever_was_drawn() -> None:
    """The arm's ranking, or the router's behind an explored model."""
    arm = ExperimentExtension(arms=(Arm(weight=1.0, selector=Only(columns=(2, 0))),))
    chance = ExperimentExtension(explore=1.0, seed=1)
    ranked = {
        tuple(
            model.name for model in LLMRouter(models=MODELS, parts=[e, Order()]).decide(q).ranking
        )
        for e, q in [(arm, "x"), *((chance, str(number)) for number in range(50))]
    }

    assert ranked == {("c", "a"), ("a", "b", "c"), ("b", "a", "c"), ("c", "a", "b")}


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0.01, 1), st.sampled_from(NAMES)), max_size=4),
    st.sets(st.integers(0, 2), max_size=2),
    st.permutations([0, 1, 2]),
)
def test_propensities_add_up_and_the_drawn_model_has_one(
    explore: float, arms: list[tuple[float, str]], never: set[int], order: list[int]
) -> None:
    """Whatever the shares, the vetoes and the order."""
    total = explore + sum(weight for weight, _ in arms)
    scale = 1 / max(total, 1.0)
    experiment = ExperimentExtension(
        explore=explore * scale,
        arms=tuple(Arm(weight=weight * scale, model=name) for weight, name in arms),
        seed=0,
    )
    router = LLMRouter(
        models=MODELS, parts=[experiment, Order(order=tuple(order), never=tuple(never))]
    )
    for decision in router.decide_all(asks(5)):
        odds = decision.scores["propensity"].values
        assert odds.sum() == pytest.approx(1.0)
        assert (odds >= 0).all()
        assert odds[NAMES.index(decision.model.name)] > 0
        assert not odds[list(never)].any()


def test_around_sticky_the_odds_are_of_what_sticky_decided() -> None:
    """Experiment first: the warm model is the router's choice, and chance comes after."""
    experiment = ExperimentExtension(explore=0.3, seed=0, by="query")
    parts = [experiment, StickyExtension(), Order(order=(1, 0, 2)), Talks()]
    with LLMRouter(models=MODELS, parts=parts) as router:
        warm = router.route("hi", facts={"conversation": "c"}).model
        router.config.parts[2].plugin.order = (0, 1, 2)
        odds = router.decide("more", facts={"conversation": "c"}).scores["propensity"].values

    assert odds[NAMES.index(warm)] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([{"weight": 0.5}], "a model or a selector"),
        ([{"weight": 0.5, "model": "a", "selector": "smallest-llm"}], "a model or a selector"),
        ([{"weight": 1.5, "model": "a"}], "weight"),
        ([{"weight": 0.6, "model": "a"}, {"weight": 0.6, "model": "b"}], "at most 1"),
        ([{"weight": 0.5, "selector": "no-such"}], "no-such"),
    ],
)
def test_arms_that_make_no_sense_are_refused(arms: list[Any], said: str) -> None:
    """With a sentence, when the config is read."""
    config = {
        "selector": "smallest-llm",
        "caller": "sim",
        "extension": {"use": "experiment", "arms": arms},
    }
    with pytest.raises(ConfigError, match=said):
        LLMRouter(config)


def test_a_selector_that_learns_cannot_be_an_arm() -> None:
    """Nothing would train it."""

    @define(eq=False, kw_only=True)
    class Learned(Only):
        def fit(self, dataset: Any) -> Any:
            return self

    with pytest.raises(ConfigError, match="Learned learns"):
        Arm(weight=0.1, selector=Learned(columns=(0,)))


def test_a_config_may_nest_a_selector() -> None:
    """By its name or by its table."""
    config = {
        "selector": "smallest-llm",
        "caller": "sim",
        "extension": {
            "use": "experiment",
            "arms": [{"weight": 1.0, "selector": {"use": "largest-llm"}}],
        },
    }
    with LLMRouter(config) as router:
        decision = router.decide("hi")

    assert decision.model == max(decision.models, key=lambda model: model.size or 0)


def test_an_arm_without_its_model_or_with_a_wrong_selector_is_named() -> None:
    """The pool is known only when there is something to decide."""
    lost = ExperimentExtension(arms=(Arm(weight=0.1, model="z"),))
    wrong = ExperimentExtension(arms=(Arm(weight=0.1, selector=Only(columns=(7,))),))

    with pytest.raises(ConfigError, match="there is no model 'z'; the pool has: a, b, c"):
        LLMRouter(models=MODELS, parts=[lost, Order()]).decide("hi")
    with pytest.raises(BadResult, match="its arm Only returned"):
        LLMRouter(models=MODELS, parts=[wrong, Order()]).decide("hi")


def shadowed(path: Path, talks: Talks, **options: Any) -> tuple[LLMRouter, ExperimentExtension]:
    experiment = ExperimentExtension(shadow="c", shadow_path=path, **options)
    return LLMRouter(models=MODELS, parts=[experiment, Order(), talks]), experiment


async def quiet() -> None:
    """Let everything that is under way end."""
    while len(tasks := asyncio.all_tasks()) > 1:
        await asyncio.wait(tasks - {asyncio.current_task()}, timeout=0.01)


def lines(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_shadow_is_asked_after_the_answer_and_changes_nothing(tmp_path: Path) -> None:
    """The answer, its steps and its cost are what they were; the line says the rest."""
    talks = Talks()
    router, _ = shadowed(tmp_path / "log", talks)

    async def ask() -> Any:
        async with router:
            answer = await router.aroute("hi", user="ada", facts={"id": "7"})
            assert talks.asked == ["a"]
            await quiet()
            return answer

    answer = asyncio.run(ask())
    [line] = lines(tmp_path / "log")

    assert (answer.text, [step.model for step in answer.steps]) == ("a", ["a"])
    assert talks.asked == ["a", "c"]
    assert (line["model"], line["status"], line["id"], line["user"]) == ("c", "ok", "7", "ada")
    assert line["cost"] == pytest.approx(20e-6)
    assert line["beside"]["model"] == "a"
    assert "text" not in line
    assert "hi" not in line.values()


def test_a_shadow_is_asked_only_in_the_region_of_the_question(tmp_path: Path) -> None:
    """Where it says nothing of a region, it gets no question that demands one."""
    for tags, calls in (((), ["a"]), (("region:us",), ["a"]), (("region:eu",), ["a", "c"])):
        talks = Talks()
        experiment = ExperimentExtension(shadow="c", shadow_path=tmp_path / "log")
        models = [evolve(model, tags=tags) for model in MODELS]
        router = LLMRouter(models=models, parts=[experiment, Order(), talks])

        async def ask(router: LLMRouter = router) -> None:
            async with router:
                await router.aroute("hi", facts={"region": "eu"})
                await quiet()

        asyncio.run(ask())
        assert talks.asked == calls


def test_texts_are_written_down_only_where_asked_for(tmp_path: Path) -> None:
    """Question and both answers."""
    router, _ = shadowed(tmp_path / "log", Talks(), shadow_texts=True)

    async def ask() -> None:
        async with router:
            await router.aroute("hi")
            await quiet()

    asyncio.run(ask())
    [line] = lines(tmp_path / "log")

    assert (line["query"], line["text"], line["beside"]["text"]) == ("hi", "c", "a")


@pytest.mark.parametrize(("texts", "said"), [(False, "Unavailable"), (True, "it is down")])
def test_a_shadow_that_fails_harms_nobody(tmp_path: Path, texts: bool, said: str) -> None:
    """Its error is a line; what it says may quote the question."""
    router, _ = shadowed(tmp_path / "log", Talks(down=("c",)), shadow_texts=texts)

    async def ask() -> str:
        async with router:
            answer = await router.aroute("hi")
            await quiet()
            return answer.text

    assert asyncio.run(ask()) == "a"
    [line] = lines(tmp_path / "log")
    assert (line["status"], line["error"], line["cost"]) == ("error", said, 0.0)


def test_shadows_are_few_and_end_with_the_router(tmp_path: Path) -> None:
    """Of three two wait, one is left out, and closing ends them."""

    async def ask() -> tuple[Talks, ExperimentExtension]:
        talks = Talks(held=asyncio.Event())
        router, experiment = shadowed(tmp_path / "log", talks, shadow_limit=2)
        async with router:
            for _ in range(3):
                await router.aroute("hi")
            while talks.asked.count("c") < 2:
                await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return talks, experiment

    talks, experiment = asyncio.run(ask())

    assert talks.ended.count("c") == 2
    assert experiment.shadows_dropped == 1


def test_whoever_leaves_early_starts_no_shadow(tmp_path: Path) -> None:
    """Only an answer that was read to its end has one."""
    talks = Talks()
    router, _ = shadowed(tmp_path / "log", talks)

    async def leave() -> None:
        async with router:
            async with aclosing(router.astream("hi")) as chunks:
                await anext(chunks)
            await quiet()

    asyncio.run(leave())
    assert talks.asked == ["a"]


def test_no_share_and_no_news_mean_no_shadow(tmp_path: Path) -> None:
    """A share of 0 asks nobody, and a model is not asked what it has answered."""
    none, self_ = Talks(), Talks(down=("a", "b"))

    async def ask(talks: Talks, **options: Any) -> None:
        router, _ = shadowed(tmp_path / "log", talks, **options)
        async with router:
            await router.aroute("hi")
            await quiet()

    asyncio.run(ask(none, shadow_share=0.0))
    asyncio.run(ask(self_))

    assert none.asked == ["a"]
    assert self_.asked == ["a", "b", "c"]


def test_a_shadow_that_is_not_in_the_pool_is_named() -> None:
    """When the router opens."""
    experiment = ExperimentExtension(shadow="z")
    router = LLMRouter(models=MODELS, parts=[experiment, Order(), Talks()])
    with pytest.raises(ConfigError, match="no model 'z' can be called; there are: a, b, c"):
        router.route("hi")


def test_a_wrong_selector_is_blamed_itself() -> None:
    """The experiment passes on what is no ranking."""

    @define(eq=False, kw_only=True)
    class Wrong:
        @hookimpl
        def select(self, queries: Sequence[Query]) -> Any:
            return [[0]]

    pipeline = LLMRouter(models=MODELS, parts=[ExperimentExtension(explore=0.1), Wrong()]).pipeline
    assert isinstance(pipeline, Pipeline)
    with pytest.raises(BadResult, match=r"returned shape list, expected \(1, k\)"):
        pipeline.decide(asks(1))
