"""The whole report: calibration, noise, RouteLLM's figures, tasks, the card, and JSON."""

import json
import math
from typing import Any

import numpy as np
import pytest
from attrs import define, evolve, field

from llmrouter_core import (
    Dataset,
    LLMRouter,
    Model,
    Price,
    Query,
    Report,
    Scores,
    evaluate,
    hookimpl,
)
from llmrouter_core.evaluation import Figure, compare, curves, versus
from llmrouter_core.evaluation.calibrating import calibration, columns
from llmrouter_core.evaluation.noise import KINDS, perturbed
from llmrouter_core.evaluation.replay import replay
from llmrouter_core.evaluation.resampling import Means, interval

MODELS = [
    Model(name="weak", size=1.0, price=Price(input=1.0, output=1.0)),
    Model(name="strong", size=9.0, price=Price(input=10.0, output=10.0)),
]


@define(eq=False, kw_only=True)
class SkillScorer:
    """Predict what is really so for the weak model, by the digits in the query, plus noise."""

    noise: float = 0.0
    _rng: Any = field(factory=lambda: np.random.default_rng(3), repr=False)

    @hookimpl
    def score(self, queries: Any) -> tuple[Scores, ...]:
        digits = ["".join(c for c in query.text if c.isdigit()) for query in queries]
        easy = np.array([int(one) % 100 for one in digits]) / 100
        easy = easy + self.noise * self._rng.normal(size=len(easy))
        quality = np.stack([easy, np.full_like(easy, 0.9)], axis=1)
        return Scores("quality", quality), Scores("cost", np.tile([1e-4, 1e-3], (len(easy), 1)))


@define(eq=False, kw_only=True)
class WorthSelector:
    tradeoff: float = 0.5

    @hookimpl
    def select(self, scores: Any) -> Any:
        worth = (1 - self.tradeoff) * 0.01 * scores["quality"].values
        return np.argsort(self.tradeoff * scores["cost"].values - worth, axis=1, kind="stable")


@define(eq=False, kw_only=True)
class Always:
    """Ask one model, and no other."""

    column: int

    @hookimpl
    def select(self, queries: Any) -> Any:
        return np.full((len(queries), 1), self.column)


def router(noise: float = 0.0, tradeoff: float = 0.5) -> LLMRouter:
    parts = [SkillScorer(noise=noise), WorthSelector(tradeoff=tradeoff)]
    return LLMRouter(models=MODELS, parts=parts)


def outcomes(n: int, start: int, seed: int) -> Dataset:
    """Return outcomes in which the weak model is right as often as the digits say."""
    rng = np.random.default_rng(seed)
    easy = (np.arange(n) + start) % 100 / 100
    quality = np.stack([rng.random(n) < easy, rng.random(n) < 0.9], axis=1).astype(float)
    return Dataset(
        queries=tuple(Query(text=f"Question {i + start}, please?") for i in range(n)),
        models=("weak", "strong"),
        quality=quality,
        tasks=tuple("even" if i % 2 else "odd" for i in range(n)),
        input_tokens=np.full((n, 2), 60.0),
        output_tokens=np.full((n, 2), 40.0),
    )


TRAIN, TEST = outcomes(400, 10_000, 1), outcomes(1000, 0, 2)


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate(router(), TEST, train=TRAIN, resamples=200, card={"split": {"seed": 7}})


def test_every_figure_of_a_good_router_is_there_and_in_its_interval(report: Report) -> None:
    """It knows where the weak model is right, so it beats the coin everywhere."""
    for name in ("aiq", "zero_aiq", "aiq_gain", "pgr", "apgr", "cpt50", "cpt80", "flip_rate"):
        found = getattr(report, name)
        low, high = found.interval
        assert low <= found.value <= high, name
    assert report.pair == ("weak", "strong")
    assert report.aiq_gain is not None
    assert report.aiq_gain.interval[0] > 0
    assert report.apgr is not None
    assert report.apgr.interval[0] > 0.6
    assert report.cpt50.value < 0.4 < report.cpt80.value + 0.2
    assert [task.task for task in report.tasks] == ["odd", "even"]
    assert sum(task.queries for task in report.tasks) == 1000
    assert report.row("zero router").cost == pytest.approx(report.row("router").cost)


def test_the_gain_of_each_task_averages_to_that_of_all(report: Report) -> None:
    """Slices are of the same queries."""
    gain = sum(task.gain * task.queries for task in report.tasks) / 1000

    assert gain == pytest.approx(report.row("router").gain)


def test_a_report_comes_back_from_json_as_it_went(report: Report) -> None:
    """And a reader of today takes the reports of tomorrow."""
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    back = Report.from_dict({**told, "invented later": 1})

    assert back.to_dict() == report.to_dict()
    assert back.rows == report.rows
    assert isinstance(back.tasks, tuple)
    assert isinstance(back.pair, tuple)


def test_what_is_never_reached_is_null_in_json() -> None:
    """JSON has no infinity."""
    figure = Figure(value=math.inf, interval=(0.5, math.inf))
    report = Report(rows=(), queries=1, resamples=1, seed=0, cost_at_quality=figure)
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))

    assert told["cost_at_quality"] == {"value": None, "interval": [0.5, None]}
    assert interval(np.array([0.5, math.inf, math.inf]))[1] == math.inf


def test_the_card_says_what_was_evaluated(report: Report) -> None:
    """Parts, versions, models and counts, with what the caller adds; never an option's value."""
    card = report.card

    assert card["split"] == {"seed": 7}
    assert card["test"] == {
        "queries": 1000, "groups": 1000, "models": 2, "outcomes": 2000, "failures": 0,
    }  # fmt: skip
    assert [part["place"] for part in card["parts"]] == ["scorer.skill", "selector.selector"]
    assert card["models"][0] == {
        "name": "weak", "size": 1.0, "input_price": 1.0, "output_price": 1.0,
    }  # fmt: skip
    assert set(card["versions"]) == {"llmrouter-core", "numpy", "python"}


def test_random_scores_have_an_apgr_of_a_half() -> None:
    """RouteLLM's random baseline: chance lies in the interval, and CPT(x) is about x."""
    found = evaluate(router(noise=1e6), TEST, train=TRAIN, resamples=200)

    assert found.apgr is not None
    low, high = found.apgr.interval
    assert low < 0.5 < high
    assert found.apgr.value == pytest.approx(0.5, abs=0.05)
    assert found.cpt80.value == pytest.approx(0.8, abs=0.12)


def test_the_gap_recovered_is_that_of_the_queries_all_three_answered() -> None:
    """Where the weak model failed on hard queries, they count for neither side."""
    hard = np.arange(len(TEST)) % 4 == 0
    quality = np.where(hard[:, None], [np.nan, 0.0], [0.5, 1.0])
    test = evolve(TEST, quality=quality, status=np.where(np.isnan(quality), 5, 1).astype(np.uint8))
    always = LLMRouter(models=MODELS, parts=[Always(column=1)])
    found = evaluate(always, test, train=TRAIN, resamples=5)

    assert found.pgr == Figure(value=1.0, interval=(1.0, 1.0))


def test_a_router_that_always_asks_one_model_costs_what_that_model_does() -> None:
    """A failed call that cost something brought no answer, and has no place in either mean."""
    failed = np.arange(len(TEST)) % 2 == 0
    quality = np.stack([np.ones(len(TEST)), np.where(failed, np.nan, 1.0)], axis=1)
    test = evolve(
        TEST,
        quality=quality,
        status=np.where(np.isnan(quality), 5, 1).astype(np.uint8),
        cost=np.stack([np.full(len(TEST), 1.0), np.where(failed, 0.5, 4.0)], axis=1),
    )
    asks = LLMRouter(models=MODELS, parts=[Always(column=1)])
    found = evaluate(asks, test, train=TRAIN, resamples=5)
    faced = versus({"a": asks, "b": asks}, test, train=TRAIN, resamples=5)

    assert found.row("router").cost == found.row("best single").cost == 4.0
    assert found.singles[1].cost == 4.0
    assert {row.cost for row in faced.rows if row.policy != "oracle"} == {4.0}


def test_where_every_model_is_free_there_is_nothing_to_save() -> None:
    """Nor a range of costs to take an area over."""
    free = evaluate(router(), evolve(TEST, cost=np.zeros((1000, 2))), train=TRAIN, resamples=5)

    assert free.row("router").cost == 0.0
    assert (free.aiq, free.cost_at_quality) == (None, None)
    assert free.pgr is not None


def test_a_pair_may_be_named_and_a_pair_of_one_is_none() -> None:
    """A strong model that is worse leaves nothing to recover."""
    swapped = evaluate(router(), TEST, train=TRAIN, resamples=5, weak="strong", strong="weak")
    same = evaluate(router(), TEST, train=TRAIN, resamples=5, weak="strong")

    assert (swapped.pair, swapped.apgr) == (("strong", "weak"), None)
    assert same.pair is None
    with pytest.raises(ValueError, match="'weak' is no model of the pool: tiny; it has weak, s"):
        evaluate(router(), TEST, train=TRAIN, resamples=5, weak="tiny")
    with pytest.raises(ValueError, match="'resamples' must be at least 1: 0"):
        evaluate(router(), TEST, train=TRAIN, resamples=0)


def test_the_interval_of_an_area_is_that_of_resampling_by_hand(report: Report) -> None:
    """Drawing queries, averaging and taking the area anew, one resample at a time."""
    rng = np.random.default_rng(9)
    run = replay(router(), TEST)
    cost, quality = (
        np.stack([getattr(one, what) for one in run.curve.values()], axis=1)
        for what in ("cost", "quality")
    )
    areas = []
    for _ in range(400):
        drawn = rng.integers(1000, size=1000)
        spent, got = cost[drawn].mean(axis=0), quality[drawn].mean(axis=0)
        areas.append(curves.area(spent, got, 1e-4, 1e-3))
    low, high = np.percentile(areas, [2.5, 97.5])

    assert report.aiq.value == pytest.approx(
        curves.area(cost.mean(axis=0), quality.mean(axis=0), 1e-4, 1e-3)
    )
    assert report.aiq.interval == pytest.approx((low, high), abs=0.25 * (high - low))


# ---------------------------------------------------------------------- calibration


def test_calibration_is_that_worked_out_by_hand() -> None:
    """Ten queries, ten bins of one: the error is the mean distance; Brier its mean square."""
    predicted = np.arange(10) / 10
    observed = np.array([0.0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    groups = [str(i) for i in range(10)]
    means = Means(columns("m", predicted, observed), groups, 20, 0)
    found = calibration("m", predicted, observed, means)
    distance = np.abs(predicted - observed)

    assert found.ece == pytest.approx(distance.mean())
    assert found.brier == pytest.approx((distance**2).mean())
    assert [one[2] for one in found.bins] == [1] * 10
    assert found.bins[3] == pytest.approx((0.3, 0.0, 1))


def test_bins_have_equal_counts_and_leave_out_the_unknown() -> None:
    """A perfect predictor of many queries has an error near zero, a biased one its bias."""
    rng = np.random.default_rng(1)
    predicted = rng.random(5000)
    observed = (rng.random(5000) < predicted).astype(float)
    observed[:1000] = np.nan
    groups = [str(i) for i in range(5000)]
    found = {}
    for bias in (0.0, 0.2):
        means = Means(columns("m", predicted + bias, observed), groups, 5, 0)
        found[bias] = calibration("m", predicted + bias, observed, means)

    assert {one[2] for one in found[0.0].bins} == {400}
    assert found[0.0].ece < 0.03
    assert found[0.2].ece == pytest.approx(0.2, abs=0.03)


# ---------------------------------------------------------------------- noise


def test_noise_changes_every_text_and_keeps_who_asks() -> None:
    """Seeded; each kind occurs; facts and users stay."""
    queries = [
        Query(text=f"What is {i} plus two, dear friend?", user="ada", facts={"f": i})
        for i in range(200)
    ]
    noisy = perturbed(queries, seed=4)

    assert {one.kind for one in noisy} == set(KINDS)
    assert all(one.query.text != query.text for one, query in zip(noisy, queries, strict=True))
    assert all(one.query.user == "ada" for one in noisy)
    assert [one.query.facts["f"] for one in noisy] == list(range(200))
    assert noisy == perturbed(queries, seed=4)
    assert noisy != perturbed(queries, seed=5)


@pytest.mark.parametrize("text", ["7", "?", "  ", "数学", "a" * 5000, "{}", "%s {0}"])
def test_noise_takes_any_text(text: str) -> None:
    """Braces are no format, and a text without letters has no typos."""
    for seed in range(20):
        [noisy] = perturbed([Query(text=text)], seed)
        assert noisy.query.text


def test_a_router_that_reads_only_digits_never_flips(report: Report) -> None:
    """No kind of noise touches them; one that reads the length does flip."""

    @define(eq=False)
    class LengthSelector:
        @hookimpl
        def select(self, queries: Any) -> Any:
            return np.array([[len(query.text) % 2, 1 - len(query.text) % 2] for query in queries])

    nervous = LLMRouter(models=MODELS, parts=[LengthSelector()])

    assert report.flip_rate.value == 0.0
    assert evaluate(nervous, TEST, train=TRAIN, resamples=5).flip_rate.value > 0.3


# ---------------------------------------------------------------------- versus


def test_paired_differences_say_which_router_is_better() -> None:
    """One that knows and one that guesses, at equal costs and as they are set."""
    routers = {"knows": router(), "guesses": router(noise=1e6)}
    found = versus(routers, TEST, train=TRAIN, resamples=200)
    [duel] = found.duels
    rows = {row.policy: row for row in found.rows}

    assert list(rows) == ["knows", "guesses", "best single", "oracle"]
    gap = rows["knows"].quality - rows["guesses"].quality
    assert duel.quality.value == pytest.approx(gap)
    assert duel.cost.value == pytest.approx(rows["knows"].cost - rows["guesses"].cost)
    assert duel.aiq.interval[0] > 0
    assert duel.levels[2].better == "knows"
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_router_is_no_better_than_itself() -> None:
    """Every difference is exactly zero, and nobody wins."""
    found = versus({"a": router(), "b": router()}, TEST, train=TRAIN, resamples=20)
    [duel] = found.duels

    assert duel.quality == Figure(value=0.0, interval=(0.0, 0.0))
    assert duel.better is None
    assert {level.better for level in duel.levels} == {None}


def test_shares_go_by_name_whatever_the_order_of_the_pools() -> None:
    """Each router counts the columns of its own pool."""
    pools = {"ahead": MODELS, "back": MODELS[::-1]}
    routers = {
        name: LLMRouter(models=pool, parts=[Always(column=1)]) for name, pool in pools.items()
    }
    found = versus(routers, TEST, train=TRAIN, resamples=5)
    shares = {row.policy: row.shares for row in found.rows}

    assert shares["ahead"] == {"weak": 0.0, "strong": 1.0}
    assert shares["back"] == {"weak": 1.0, "strong": 0.0}


def test_a_comparison_needs_two_routers_of_one_pool() -> None:
    """Otherwise it says so."""
    fewer = LLMRouter(models=MODELS[:1], parts=[SkillScorer(), WorthSelector()])

    with pytest.raises(ValueError, match="at least two routers"):
        versus({"a": router()}, TEST, train=TRAIN)
    with pytest.raises(ValueError, match="'b' chooses among other models"):
        versus({"a": router(), "b": fewer}, TEST, train=TRAIN)


def test_a_policy_may_be_given_as_shares() -> None:
    """Without an oracle there is no regret to speak of."""
    shares = {"router": np.eye(2)[[0] * 1000], "best single": np.eye(2)[[1] * 1000]}
    found = compare(shares, TEST, np.ones((1000, 2)), ["weak", "strong"], resamples=5)

    assert found.row("router").regret is None
    assert found.row("router").quality == pytest.approx(TEST.quality[:, 0].mean())
