"""Evaluation: figures computed by hand, baselines that are fair, intervals that are right."""

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from attrs import define

from llmrouter_core import (
    Dataset,
    DatasetError,
    LLMRouter,
    Model,
    Price,
    Query,
    Report,
    evaluate,
    hookimpl,
)
from llmrouter_core.evaluation import baselines, compare, expected_costs

NAN = np.nan
MODELS = [
    Model(name="cheap", price=Price(input=1.0, output=1.0)),
    Model(name="dear", price=Price(input=10.0, output=10.0)),
]


@define(eq=False, kw_only=True)
class Told:
    """Choose the column that the first digit of the query's text says."""

    @hookimpl
    def select(self, queries: Any) -> Any:
        return np.array([[int(re.search(r"\d", query.text)[0])] for query in queries])

    @hookimpl
    def call(self) -> Any:
        return lambda request: None


def router(models: Any = MODELS) -> LLMRouter:
    return LLMRouter(models=models, parts=[Told()])


def outcomes(
    choices: list[int], quality: list[list[float]], start: int = 0, **changes: Any
) -> Dataset:
    """Return outcomes whose queries tell the router which column to choose."""
    values: dict[str, Any] = {
        "queries": tuple(Query(text=f"{c} {i + start}") for i, c in enumerate(choices)),
        "models": ("cheap", "dear"),
        "quality": np.array(quality),
        "input_tokens": np.full((len(choices), 2), 60.0),
        "output_tokens": np.full((len(choices), 2), 40.0),
    }
    return Dataset(**{**values, **changes})


TRAIN = outcomes([0, 0], [[0.0, 1.0], [0.5, 1.0]], start=1000)


def run(test: Dataset, **changes: Any) -> Report:
    return evaluate(router(), test, **{"train": TRAIN, "resamples": 50, **changes})


def test_the_figures_are_those_computed_by_hand() -> None:
    """Four queries, two models, 100 tokens each at 1 and 10 dollars a million."""
    report = run(outcomes([0, 1, 1, 0], [[1.0, 1.0], [0.0, 1.0], [0.5, 0.0], [0.2, 0.8]]))

    by_hand = {  # quality, dollars in hundred-thousandths, gain over always dear
        "router": ((1 + 1 + 0 + 0.2) / 4, (10 + 100 + 100 + 10) / 4, (0 + 0 + 0 - 0.6) / 4),
        "random": ((1 + 0.5 + 0.25 + 0.5) / 4, 55, (0 - 0.5 + 0.25 - 0.3) / 4),
        "cheapest": ((1 + 0 + 0.5 + 0.2) / 4, 10, (0 - 1 + 0.5 - 0.6) / 4),
        "smallest": ((1 + 0 + 0.5 + 0.2) / 4, 10, (0 - 1 + 0.5 - 0.6) / 4),
        "largest": ((1 + 1 + 0 + 0.8) / 4, 100, 0.0),
        "best single": ((1 + 1 + 0 + 0.8) / 4, 100, 0.0),
        "per-task best": ((1 + 1 + 0 + 0.8) / 4, 100, 0.0),
        "zero router": ((1.7 + 2.8) / 8, 55, (2.8 - 1.7) / -8),
        "oracle": ((1 + 1 + 0.5 + 0.8) / 4, (10 + 100 + 10 + 100) / 4, (0 + 0 + 0.5 + 0) / 4),
    }
    assert [row.policy for row in report.rows] == list(by_hand)
    for name, (quality, cost, gain) in by_hand.items():
        row = report.row(name)
        assert row.quality == pytest.approx(quality)
        assert row.cost == pytest.approx(cost * 1e-5)
        assert row.gain == pytest.approx(gain)
        assert row.regret == pytest.approx(3.3 / 4 - quality)
        assert row.answered == 4
    assert report.row("router").shares == {"cheap": 0.5, "dear": 0.5}
    assert report.row("random").shares == {"cheap": 0.5, "dear": 0.5}
    assert report.row("oracle").shares == {"cheap": 0.5, "dear": 0.5}
    assert report.row("best single").gain_interval == (0.0, 0.0)
    assert (report.queries, report.resamples, report.seed) == (4, 50, 0)


def test_the_best_single_model_is_chosen_on_the_training_outcomes() -> None:
    """Not on the test outcomes, which would flatter it."""
    report = run(outcomes([0, 0], [[1.0, 0.0], [1.0, 0.0]]))

    assert report.row("best single").quality == 0
    assert report.row("oracle").quality == 1


@pytest.mark.parametrize("cheap", [0, 1])
def test_the_oracle_takes_the_cheaper_of_equals(cheap) -> None:
    """Wherever it stands in the pool; one of unknown cost is dearer than any."""
    test = outcomes([0], [[0.7, 0.7]])
    costs = np.array([[1.0, 1.0]])
    costs[0, 1 - cheap] = 2.0

    assert baselines(test, TRAIN, costs)["oracle"].argmax() == cheap
    costs[0, 1 - cheap] = NAN
    assert baselines(test, TRAIN, costs)["oracle"].argmax() == cheap


def test_random_is_the_expectation_over_what_was_recorded() -> None:
    """No draw, and no part of a query nobody answered."""
    test = outcomes([0, 0, 0], [[0.2, 0.4], [0.6, NAN], [NAN, NAN]])

    row = run(test).row("random")

    assert row.quality == pytest.approx((0.3 + 0.6) / 2)
    assert row.answered == 2


def test_an_unknown_outcome_counts_for_neither_side() -> None:
    """The router's mean is over what is known, and its gain over what is known of both."""
    report = run(outcomes([0, 1, 0, 0], [[NAN, 1.0], [0.0, 0.8], [0.4, NAN], [0.6, 0.5]]))

    assert report.row("router").quality == pytest.approx((0.8 + 0.4 + 0.6) / 3)
    assert report.row("router").gain == pytest.approx((0.0 + 0.1) / 2)
    assert report.row("router").answered == 3
    assert report.row("oracle").quality == pytest.approx((1.0 + 0.8 + 0.4 + 0.6) / 4)


def test_recorded_costs_win_over_prices_and_unknown_is_unknown() -> None:
    """Recorded, else price times tokens, else unknown."""
    test = outcomes([0, 0], [[1, 1], [1, 1]], cost=np.array([[0.5, NAN], [NAN, NAN]]))
    test.output_tokens[1, 1] = NAN

    costs = expected_costs(test, MODELS)

    np.testing.assert_allclose(costs, [[0.5, 1e-3], [1e-4, NAN]])
    assert np.isnan(expected_costs(test, [MODELS[0], Model(name="dear")])[:, 1]).all()


def test_without_any_price_there_is_no_cost_and_no_cheapest() -> None:
    """And the report still is strict JSON."""
    models = [Model(name="cheap"), Model(name="dear")]
    report = evaluate(router(models), outcomes([0, 1], [[1, 0], [0, 1]]), train=TRAIN)

    missing = {"cheapest", "zero router"} & {row.policy for row in report.rows}
    assert not missing
    assert report.aiq is None
    assert all(row.cost is None and row.cost_interval is None for row in report.rows)
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_policy_of_which_nothing_is_known_is_null_in_json() -> None:
    """Not NaN, which JSON does not have; and no warning on the way."""
    report = compare(
        {"router": np.eye(2)[[1, 1]], "best single": np.eye(2)[[0, 0]]},
        outcomes([1, 1], [[1.0, NAN], [0.0, NAN]]),
        np.full((2, 2), NAN),
        ["cheap", "dear"],
        resamples=20,
    )

    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))

    assert math.isnan(report.row("router").quality)
    assert told["rows"][0]["quality"] is None
    assert told["rows"][0]["gain_interval"] == [None, None]
    assert told["rows"][1]["quality"] == 0.5


def test_a_group_on_both_sides_is_refused() -> None:
    """Learned outcomes are no test."""
    with pytest.raises(DatasetError, match="1 of the test groups are also in the training"):
        run(outcomes([0, 0], [[1, 1], [1, 1]], start=1001))


def test_a_model_without_outcomes_is_refused() -> None:
    """On either side."""
    with pytest.raises(DatasetError, match="no outcomes for dear"):
        run(outcomes([0], [[1.0, NAN]]))
    with pytest.raises(DatasetError, match="no outcomes for cheap, dear"):
        run(TRAIN.take([]))


def by_brute_force(gain: Any, groups: list[str], resamples: int, seed: int) -> tuple[float, float]:
    """Return the percentile interval of the mean, drawing groups one resample at a time."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(np.array(groups) == group) for group in sorted(set(groups))]
    means = []
    for _ in range(resamples):
        drawn = rng.integers(len(members), size=len(members))
        means.append(gain[np.concatenate([members[i] for i in drawn])].mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("size", [1, 4])
def test_paired_intervals_are_those_of_brute_force(size) -> None:
    """Within Monte-Carlo error, with every query alone and with groups of four."""
    rng = np.random.default_rng(5)
    n = 120
    shared = np.repeat(rng.random((n // size, 1)), size, axis=0)  # queries of a group are alike
    quality = np.clip(0.5 * rng.random((n, 2)) + 0.5 * shared * [1.0, 0.4], 0, 1)
    choices = rng.integers(2, size=n)
    groups = [f"g{i // size:03}" for i in range(n)]
    test = outcomes(choices.tolist(), quality.tolist(), groups=tuple(groups))

    row = run(test, resamples=4000, seed=1).row("router")

    gain = quality[np.arange(n), choices] - quality[:, 1]
    low, high = by_brute_force(gain, groups, 4000, seed=2)
    width = high - low
    assert row.gain_interval == pytest.approx((low, high), abs=0.06 * width)
    unpaired = np.subtract(*row.quality_interval[::-1]) + np.subtract(
        *run(test).row("best single").quality_interval[::-1]
    )
    assert width < unpaired


def test_groups_widen_the_interval() -> None:
    """Ten copies of a query are one observation, not ten."""
    rng = np.random.default_rng(6)
    quality = np.repeat(rng.random((30, 2)), 10, axis=0).tolist()
    choices = [0] * 300
    alone = run(outcomes(choices, quality), resamples=500)
    grouped = run(
        outcomes(choices, quality, groups=tuple(f"g{i // 10}" for i in range(300))), resamples=500
    )

    def width(report: Report) -> float:
        low, high = report.row("router").quality_interval
        return high - low

    assert width(grouped) == pytest.approx(width(alone) * math.sqrt(10), rel=0.25)
    assert grouped.row("router").quality == pytest.approx(alone.row("router").quality)


def test_the_same_seed_gives_the_same_report() -> None:
    """And progress runs from the first query to the end."""
    test, shares = outcomes([0, 1] * 20, [[0.3, 0.9], [0.8, 0.1]] * 20), []

    first = run(test, seed=3, progress=shares.append)

    assert run(test, seed=3) == first
    assert run(test, seed=4) != first
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_large_replay_has_the_interval_that_theory_says() -> None:
    """15,000 queries, eleven models, a thousand resamples: the size of RouterBench."""
    rng = np.random.default_rng(7)
    n, m = 15_000, 11
    names = [f"m{j}" for j in range(m)]
    quality = np.where(rng.random((n, m)) < 0.05, NAN, rng.random((n, m)))
    test = outcomes(
        [0] * n,
        quality,
        models=tuple(names),
        input_tokens=np.full((n, m), 50.0),
        output_tokens=np.full((n, m), 50.0),
    )
    policies = {
        "router": np.eye(m)[rng.integers(m, size=n)],
        **baselines(test, test, rng.random((n, m))),
    }

    report = compare(policies, test, rng.random((n, m)), names, resamples=1000)

    low, high = report.row("router").quality_interval
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / (n * 0.95)), rel=0.15)
