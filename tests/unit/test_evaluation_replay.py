"""Replay: fallbacks along a ranking, knobs, and solvers that ask models as they go along."""

from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from attrs import define, evolve

from llmrouter_core import (
    CallError,
    Chunk,
    ConfigError,
    Dataset,
    DatasetError,
    LLMRouter,
    Model,
    Price,
    Query,
    Scores,
    evaluate,
    hookimpl,
)
from llmrouter_core.evaluation.deciding import TRADEOFFS, follow
from llmrouter_core.evaluation.policies import expected_costs
from llmrouter_core.evaluation.replay import NO_KNOB, replay
from llmrouter_core.outcomes import STATUSES

NAN = np.nan
MODELS = [
    Model(name="cheap", price=Price(input=1.0, output=1.0)),
    Model(name="dear", price=Price(input=10.0, output=10.0)),
]


def outcomes(quality: Any, start: int = 0, **changes: Any) -> Dataset:
    """Return outcomes of 100 tokens a call."""
    quality = np.array(quality, dtype=float)
    values: dict[str, Any] = {
        "queries": tuple(Query(text=f"question {i + start}") for i in range(len(quality))),
        "models": ("cheap", "dear"),
        "quality": quality,
        "input_tokens": np.full(quality.shape, 60.0),
        "output_tokens": np.full(quality.shape, 40.0),
    }
    return Dataset(**{**values, **changes})


def with_status(quality: Any, names: list[list[str]], **changes: Any) -> Dataset:
    codes = [[STATUSES.index(name) for name in row] for row in names]
    return outcomes(quality, status=np.array(codes, np.uint8), **changes)


TRAIN = outcomes([[0.2, 0.9], [0.4, 0.8]], start=1000)


# ---------------------------------------------------------------------- rankings


def test_a_failed_call_falls_back_and_is_paid_for() -> None:
    """A timeout that cost something, an error that cost nothing, a cell never asked."""
    test = with_status(
        [[NAN, 0.7], [NAN, 0.6], [NAN, 0.5], [0.4, 1.0]],
        [["timeout", "ok"], ["error", "ok"], ["unasked", "ok"], ["ok", "ok"]],
        cost=np.array([[0.3, 2.0], [NAN, 2.0], [NAN, 2.0], [1.0, 2.0]]),
        input_tokens=np.full((4, 2), NAN),
        output_tokens=np.full((4, 2), NAN),
    )
    found = follow(np.tile([0, 1], (4, 1)), test, test.cost, 3)

    np.testing.assert_allclose(found.quality, [0.7, 0.6, 0.5, 0.4])
    np.testing.assert_allclose(found.cost, [2.3, 2.0, 2.0, 1.0])
    assert found.shares.argmax(axis=1).tolist() == [1, 1, 1, 0]


def test_a_truncated_answer_is_neither_wrong_nor_asked_again() -> None:
    """The user has got it: its quality is unknown and its cost counts."""
    test = with_status([[NAN, 1.0]], [["truncated", "ok"]], cost=np.array([[0.5, 2.0]]))
    found = follow(np.array([[0, 1]]), test, test.cost, 3)

    assert np.isnan(found.quality).all()
    assert found.cost.tolist() == [0.5]
    assert found.shares.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(("fallbacks", "quality"), [(0, NAN), (1, 0.8)])
def test_no_more_models_are_asked_than_the_config_allows(fallbacks: int, quality: float) -> None:
    """Nor any behind the padding of a short ranking."""
    test = with_status([[NAN, 0.8]], [["error", "ok"]])
    costs = expected_costs(test, MODELS)

    found = follow(np.array([[0, 1]]), test, costs, fallbacks)
    np.testing.assert_array_equal(found.quality, [quality])
    short = follow(np.array([[0, -1]]), test, costs, fallbacks)
    assert np.isnan(short.quality).all()
    assert np.isnan(short.cost).all()


# ---------------------------------------------------------------------- knobs


@define(eq=False, kw_only=True)
class Guess:
    """Predict quality by the number in the query, and cost by the column."""

    cost: bool = True

    @hookimpl
    def score(self, queries: Any, models: Any) -> tuple[Scores, ...]:
        last = [int("".join(c for c in query.text if c.isdigit())[-1]) for query in queries]
        easy = np.array(last)[:, None] / 10
        quality = np.hstack([1 - easy, np.full_like(easy, 0.9)])
        scores = [Scores("quality", quality)]
        if self.cost:
            scores.append(Scores("cost", np.tile([0.1, 1.0], (len(queries), 1))))
        return tuple(scores)


@define(eq=False, kw_only=True)
class KnobSelector:
    """Weigh quality against cost."""

    tradeoff: float = 0.5
    learned: int = 0  # what a copy must keep

    @hookimpl
    def select(self, queries: Any, scores: Any) -> Any:
        if self.tradeoff and "cost" not in scores:
            raise ConfigError("router", ["no scorer predicts 'cost'"])
        worth = (1 - self.tradeoff) * scores["quality"].values
        spent = self.tradeoff * scores["cost"].values if self.tradeoff else 0.0
        return np.argsort(spent - worth, axis=1, kind="stable")


@define(eq=False, kw_only=True)
class FactSelector:
    """The same, by the query's facts and no field."""

    @hookimpl
    def select(self, queries: Any, scores: Any) -> Any:
        knob = np.array([query.facts.get("tradeoff", 0.5) for query in queries])[:, None]
        worth = (1 - knob) * scores["quality"].values - knob * scores["cost"].values
        return np.argsort(-worth, axis=1, kind="stable")


TEN = outcomes([[1.0 - i / 10, 0.9] for i in range(10)])


@pytest.mark.parametrize("selector", [KnobSelector(), FactSelector()])
def test_the_curve_runs_from_quality_first_to_cost_first(selector: Any) -> None:
    """By the field of the selector, or by the facts of the query."""
    router = LLMRouter(models=MODELS, parts=[Guess(), selector])
    run = replay(router, TEN)
    ends = run.curve["0"].shares.mean(axis=0), run.curve["1"].shares.mean(axis=0)

    assert list(run.curve) == [f"{t:g}" for t in TRADEOFFS]
    np.testing.assert_allclose(ends[0], [0.2, 0.8])  # of equals the first, the cheap one
    np.testing.assert_allclose(ends[1], [1.0, 0.0])
    np.testing.assert_array_equal(run.curve["0.5"].quality, run.own.quality)


def test_a_setting_of_its_own_is_on_the_curve() -> None:
    """And the router itself is not turned."""
    selector = KnobSelector(tradeoff=0.123)
    run = replay(LLMRouter(models=MODELS, parts=[Guess(), selector]), TEN)

    assert "0.123" in run.curve
    assert selector.tradeoff == 0.123


def test_a_setting_that_the_composition_cannot_serve_is_left_out() -> None:
    """Quality first needs no costs; the rest of the knob does."""
    router = LLMRouter(models=MODELS, parts=[Guess(cost=False), KnobSelector(tradeoff=0.0)])

    assert list(replay(router, TEN).curve) == ["0"]


def test_a_router_without_a_knob_is_one_point_and_has_no_aiq() -> None:
    """Its figures still say what it would cost to be as good as best single."""

    @define(eq=False)
    class Fixed:
        @hookimpl
        def select(self, queries: Any) -> Any:
            return np.tile([0, 1], (len(queries), 1))

    router = LLMRouter(models=MODELS, parts=[Fixed()])
    report = evaluate(router, TEN, train=TRAIN, resamples=20)

    assert [point.label for point in report.curve] == [NO_KNOB]
    assert report.aiq is None
    assert report.aiq_gain is None
    assert report.zero_aiq is not None
    assert report.apgr is not None
    assert report.apgr.value == 0.5  # a fixed order knows nothing


# ---------------------------------------------------------------------- solvers


@define(eq=False, kw_only=True)
class First:
    """Rank the cheap model first."""

    @hookimpl
    def select(self, queries: Any) -> Any:
        return np.tile([0, 1], (len(queries), 1))


@define(eq=False, kw_only=True)
class CascadeSolver:
    """Ask the models in order until one does not say that it is unsure; then quote it."""

    quote: bool = False

    @hookimpl
    def solve(self) -> Any:
        async def solve(session: Any, query: Any) -> AsyncGenerator[Chunk, None]:
            decision = await session.decide(query)
            for model in decision.ranking:
                try:
                    step = await session.ask(model, query.request)
                except CallError:
                    continue
                if "unsure" not in step.text:
                    break
                yield Chunk(text=f"({model.name} is unsure)", kind="note")
            yield Chunk(text=f"they say: {step.text}" if self.quote else step.text)

        return solve


@define(eq=False, kw_only=True)
class Grumble:
    """An extension around calls."""

    @hookimpl(wrapper=True)
    def call(self, model: Any) -> Any:
        inner = yield
        return inner and self._around

    async def _around(self, request: Any) -> AsyncGenerator[Chunk, None]:
        raise AssertionError("an extension was asked")
        yield Chunk()


@define(eq=False, kw_only=True)
class StubCaller:
    """A caller that must not be asked."""

    @hookimpl
    def call(self, model: Any) -> Any:
        return self._answer

    async def _answer(self, request: Any) -> AsyncGenerator[Chunk, None]:
        raise AssertionError("a caller was asked")
        yield Chunk()


@pytest.mark.parametrize("quote", [False, True])
def test_a_cascade_is_replayed_with_every_inner_call_paid_for(quote: bool) -> None:
    """The first model is unsure twice: once the second answers, once it fails and none does."""
    test = with_status(
        [[0.9, 1.0], [0.1, 0.8], [0.2, NAN], [NAN, 0.7]],
        [["ok", "ok"], ["ok", "ok"], ["ok", "error"], ["timeout", "ok"]],
    )
    texts = {(test.ids[i], "cheap"): "unsure" for i in (1, 2)}
    parts = [First(), CascadeSolver(quote=quote)]
    run = replay(LLMRouter(models=MODELS, parts=parts), test, texts=texts)

    assert run.solved
    np.testing.assert_allclose(run.own.quality, [0.9, 0.8, 0.2, 0.7])
    np.testing.assert_allclose(run.own.cost * 1e4, [1.0, 11.0, 11.0, 11.0])
    assert run.own.shares.argmax(axis=1).tolist() == [0, 1, 0, 1]


@define(eq=False, kw_only=True)
class OneSolver:
    """Ask the first model and show what it says."""

    @hookimpl
    def solve(self) -> Any:
        async def solve(session: Any, query: Any) -> AsyncGenerator[Chunk, None]:
            step = await session.ask((await session.decide(query)).ranking[0], query.request)
            yield Chunk(text=step.text)

        return solve


def test_a_solver_without_an_answer_has_no_price_of_one() -> None:
    """A query that nobody answered is not one answered for nothing."""
    test = with_status([[0.9, 1.0], [NAN, 1.0]], [["ok", "ok"], ["unasked", "ok"]])
    own = replay(LLMRouter(models=MODELS, parts=[First(), OneSolver()]), test).own

    np.testing.assert_allclose(own.quality, [0.9, NAN])
    np.testing.assert_allclose(own.cost, [1e-4, NAN])


def test_an_empty_answer_that_a_solver_shows_has_its_score() -> None:
    """It is wrong, not unknown."""
    test = outcomes([[0.0, 1.0], [1.0, 1.0]])
    texts = {(test.ids[0], "cheap"): ""}
    run = replay(LLMRouter(models=MODELS, parts=[First(), OneSolver()]), test, texts=texts)

    np.testing.assert_allclose(run.own.quality, [0.0, 1.0])
    assert run.own.shares.argmax(axis=1).tolist() == [0, 0]
    assert run.own.shares.sum() == 2.0


def test_a_solver_that_streams_is_scored_by_what_the_user_saw_last() -> None:
    """The pieces of an answer know which cell they are of."""

    @define(eq=False)
    class TwiceSolver:
        @hookimpl
        def solve(self) -> Any:
            async def solve(session: Any, query: Any) -> AsyncGenerator[Chunk, None]:
                for name in ("dear", "cheap"):
                    async for chunk in session.stream(name, query.request):
                        yield evolve(chunk, text=chunk.text.upper())

            return solve

    run = replay(LLMRouter(models=MODELS, parts=[First(), TwiceSolver()]), TEN)

    np.testing.assert_allclose(run.own.quality, TEN.quality[:, 0])
    np.testing.assert_allclose(run.own.cost, 1.1e-3)


def test_evaluating_a_solver_gives_a_whole_report() -> None:
    """PGR is there; APGR is not, because a solver's order of queries is unknown."""
    tells: list[float] = []
    router = LLMRouter(models=MODELS, parts=[Guess(), KnobSelector(), CascadeSolver()])
    report = evaluate(router, TEN, train=TRAIN, resamples=20, progress=tells.append)

    assert report.aiq is not None
    assert report.pgr is not None
    assert report.apgr is None
    assert len(report.curve) > 2
    assert tells == sorted(tells)


def test_a_solver_that_asks_helpers_without_outcomes_is_refused() -> None:
    """With the names of those that would have to be recorded."""
    judge = Model(name="judge", routable=False)

    @define(eq=False)
    class JudgeSolver:
        @hookimpl
        def solve(self) -> Any:
            async def solve(session: Any, query: Any) -> AsyncGenerator[Chunk, None]:
                await session.ask("judge", query.request)
                yield Chunk(text="never")

            return solve

    router = LLMRouter(models=[*MODELS, judge], parts=[First(), JudgeSolver()])

    with pytest.raises(DatasetError, match="the solver asks 'judge', of which the outcomes hold"):
        replay(router, TEN)


def test_a_helper_with_outcomes_is_paid_for_and_gets_no_share() -> None:
    """Its column is no candidate."""
    judge = Model(name="judge", routable=False, price=Price(input=2.0, output=2.0))

    @define(eq=False)
    class AdvisedSolver:
        @hookimpl
        def solve(self) -> Any:
            async def solve(session: Any, query: Any) -> AsyncGenerator[Chunk, None]:
                await session.ask("judge", query.request)
                step = await session.ask("cheap", query.request)
                yield Chunk(text=step.text)

            return solve

    whole = outcomes(np.hstack([TEN.quality, np.ones((10, 1))]), models=("cheap", "dear", "judge"))
    router = LLMRouter(models=[*MODELS, judge], parts=[First(), AdvisedSolver()])
    run = replay(router, whole)

    np.testing.assert_allclose(run.own.quality, TEN.quality[:, 0])
    np.testing.assert_allclose(run.own.cost, 3e-4)
    assert run.own.shares.shape == (10, 2)


def test_callers_and_extensions_around_calls_take_no_part_in_a_replay() -> None:
    """Nothing is sent, and nothing goes wrong that a wrapper could mend."""
    parts = [First(), CascadeSolver(), StubCaller(), Grumble()]
    run = replay(LLMRouter(models=MODELS, parts=parts), TEN)

    np.testing.assert_allclose(run.own.quality, TEN.quality[:, 0])
