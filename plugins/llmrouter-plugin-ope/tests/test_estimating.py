"""The estimators: by hand, against simulated truth, and where they must refuse."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_plugin_ope import Estimates, NoEstimate, estimates
from llmrouter_plugin_ope.predicting import predicted
from llmrouter_plugin_ope.simulation import World

LOGS = 300
KINDS = ("ips", "snips", "dr")


def test_the_first_two_are_what_a_pencil_gives() -> None:
    """Weights 1 / 0.5, 0 and 1 / 0.25; rewards 1, 0 and 0.5."""
    found = estimates(
        np.array([1.0, 0.0, 0.5]),
        np.array([0, 1, 1]),
        np.array([[0.5, 0.5], [0.2, 0.8], [0.75, 0.25]]),
        np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        resamples=10,
    )
    assert isinstance(found, Estimates)
    assert found.logged.value == pytest.approx(0.5)
    assert found.ips.value == pytest.approx((2 * 1 + 4 * 0.5) / 3)
    assert found.snips.value == pytest.approx((2 * 1 + 4 * 0.5) / 6)
    assert (found.known, found.matched) == (3, 2)
    assert found.effective == pytest.approx(36 / 20)
    assert found.heaviest == pytest.approx(4 / 6)


def test_the_third_is_predictions_and_what_they_missed() -> None:
    """With the prediction the estimator uses, put into the formula by hand."""
    rng = np.random.default_rng(0)
    w = World.of(rng, 40)
    chosen, rows = w.chosen(rng), np.arange(40)
    values = w.right[rows, chosen]
    found = estimates(values, chosen, w.odds, w.shares, scores=w.guess, resamples=1, seed=3)
    expected = predicted(values, chosen, w.guess, [str(row) for row in rows], 3)
    weights = w.shares[rows, chosen] / w.odds[rows, chosen]
    by_hand = (w.shares * expected).sum(axis=1) + weights * (values - expected[rows, chosen])

    assert found is not None
    assert found.dr.value == pytest.approx(by_hand.mean())
    assert found.gain.value == pytest.approx(by_hand.mean() - values.mean())


@pytest.mark.parametrize(
    ("error", "measures"),
    [(0.1, ("quality", "cost")), (0.5, ("quality",))],
    ids=["good scores", "poor scores"],
)
def test_intervals_hold_the_truth_and_doubly_robust_is_narrowest(
    error: float, measures: tuple[str, ...]
) -> None:
    """Over 300 logs of 600 decisions, quality and cost, and the gain over the logged policy."""
    truth = World.of(np.random.default_rng(999), 400_000, error=error)
    quality = float((truth.right * truth.shares).sum(axis=1).mean())
    cost = float((truth.price * truth.shares).sum(axis=1).mean())
    gain = quality - float((truth.right * truth.odds).sum(axis=1).mean())
    held: Counter[str] = Counter()
    width: Counter[str] = Counter()
    for seed in range(LOGS):
        rng = np.random.default_rng(seed)
        w = World.of(rng, 600, error=error)
        chosen, rows = w.chosen(rng), np.arange(600)
        right = (rng.random(600) < w.right[rows, chosen]).astype(float)
        options = {"resamples": 200, "seed": seed}
        for name, values, scores, wanted in (
            ("quality", right, w.guess, quality),
            ("cost", w.price[rows, chosen], None, cost),
        ):
            if name not in measures:
                continue
            found = estimates(values, chosen, w.odds, w.shares, scores=scores, **options)
            assert found is not None
            for kind in KINDS:
                low, high = getattr(found, kind).interval
                held[f"{name} {kind}"] += low <= wanted <= high
                width[f"{name} {kind}"] += (high - low) / LOGS
            if name == "quality":
                held["gain"] += found.gain.interval[0] <= gain <= found.gain.interval[1]

    for name, count in held.items():
        assert 0.90 <= count / LOGS <= 0.99, f"{name}: {count / LOGS:.1%}"
    for name in measures:
        assert width[f"{name} dr"] < width[f"{name} snips"] < width[f"{name} ips"]


def test_where_nothing_was_left_to_chance_the_same_policy_is_what_was_seen() -> None:
    """All weights are 1, so all three are the mean, and the gain is nothing."""
    odds = np.eye(3)[[0, 1, 2, 0]]
    values = np.array([0.1, 0.2, 0.3, 0.9])
    found = estimates(values, np.array([0, 1, 2, 0]), odds, odds, resamples=20)

    assert found is not None
    for one in (found.ips, found.snips, found.dr):
        assert one.value == pytest.approx(values.mean())
    assert found.gain.interval == pytest.approx((0.0, 0.0), abs=1e-12)


def test_what_was_never_possible_gives_a_sentence_and_no_number() -> None:
    """Even if it concerns one decision of a hundred, and whatever was chosen there."""
    odds = np.full((100, 2), 0.5)
    odds[7] = [1.0, 0.0]
    shares = np.tile([0.0, 1.0], (100, 1))
    with pytest.raises(NoEstimate, match=re.escape("in 1 of 100 decisions the policy takes")):
        estimates(np.ones(100), np.zeros(100, np.intp), odds, shares, resamples=10)


def test_where_no_known_decision_matches_there_is_no_number() -> None:
    """Nothing known, or nothing that both would do."""
    odds, chosen = np.full((4, 2), 0.5), np.array([0, 0, 0, 1])
    shares = np.tile([0.0, 1.0], (4, 1))

    assert estimates(np.full(4, np.nan), chosen, odds, shares) is None
    assert estimates(np.array([1.0, 1.0, 1.0, np.nan]), chosen, odds, shares) is None


def test_unknown_outcomes_count_for_nothing() -> None:
    """The estimates are those of the decisions whose outcome is known."""
    rng = np.random.default_rng(1)
    w = World.of(rng, 60)
    chosen = w.chosen(rng)
    values = np.where(np.arange(60) < 40, w.right[np.arange(60), chosen], np.nan)
    whole = estimates(values, chosen, w.odds, w.shares, resamples=10)
    part = estimates(values[:40], chosen[:40], w.odds[:40], w.shares[:40], resamples=10)

    assert whole is not None
    assert part is not None
    assert whole.known == part.known == 40
    for kind in ("logged", "ips", "snips"):
        assert getattr(whole, kind).value == pytest.approx(getattr(part, kind).value)


def test_a_conversation_is_drawn_as_one() -> None:
    """Ten copies of each decision in one group tell no more than one of each."""
    rng = np.random.default_rng(2)
    w = World.of(rng, 80)
    chosen = w.chosen(rng)
    values = w.right[np.arange(80), chosen]
    copies = [np.repeat(one, 10, axis=0) for one in (values, chosen, w.odds, w.shares)]
    names = [f"c{row}" for row in np.repeat(np.arange(80), 10)]

    def long(one: Estimates | None) -> float:
        assert one is not None
        return one.ips.interval[1] - one.ips.interval[0]

    alone = long(estimates(values, chosen, w.odds, w.shares))
    assert long(estimates(*copies, groups=names)) == pytest.approx(alone, rel=0.1)
    assert long(estimates(*copies)) < 0.5 * alone


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_no_row_speaks_for_itself(seed: int, n: int) -> None:
    """What came of a decision changes every prediction but those of its own group."""
    rng = np.random.default_rng(seed)
    w = World.of(rng, n)
    chosen, groups = w.chosen(rng), [f"g{row // 2}" for row in range(n)]
    values = rng.random(n)
    other = values.copy()
    other[0] += 5.0
    before, after = (predicted(v, chosen, w.guess, groups, seed) for v in (values, other))

    assert np.array_equal(before[:2], after[:2])
    assert np.isfinite(before).all()


def test_a_score_in_other_units_is_fitted() -> None:
    """A prediction that is right but for a factor costs nothing."""
    rng = np.random.default_rng(4)
    guess = rng.random((2000, 2))
    chosen = rng.integers(2, size=2000)
    values = 0.3 + 0.01 * guess[np.arange(2000), chosen]
    found = predicted(values, chosen, guess, [str(row) for row in range(2000)], 0)

    assert np.abs(found - (0.3 + 0.01 * guess)).max() < 1e-3
