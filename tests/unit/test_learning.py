"""What scorers that learn share: regression, held-out folds, calibration, amounts, columns."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrouter_core import Arrays, Dataset, DatasetError, Floats, Model, NotFitted, Query
from llmrouter_core.learning import Calibration, LearnedScorer, Ridge, held_out
from llmrouter_core.splitting import folds

MODELS = [Model(name=name) for name in "abc"]
SEEDS = st.integers(0, 10**6)


def dataset(embeddings: Floats, quality: Floats, **matrices: Floats) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=tuple("abcdefgh"[: quality.shape[1]]),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
        **matrices,
    )


# ---------------------------------------------------------------------------- ridge


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(2, 12), st.sampled_from([0.3, 10.0]))
def test_ridge_is_the_solution_of_its_equation(seed, d, strength) -> None:
    """(X'X + s I) B = X'Y on what each column knows, whether rows or dimensions are fewer."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(8, d)).astype(np.float32), rng.normal(size=(8, 3))
    y[0, 0] = y[3:5, 1] = np.nan
    found = Ridge.fit(x, y, strengths=(strength,))

    seen = (x - x.mean(axis=0)).astype(float)
    for column in range(3):
        rows = ~np.isnan(y[:, column])
        a, b = seen[rows], y[rows, column] - np.nanmean(y[:, column])
        wanted = np.linalg.solve(a.T @ a + strength * np.eye(d), a.T @ b)
        np.testing.assert_allclose(found.slopes[:, column], wanted, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1.0, 10.0]))
def test_leaving_one_out_needs_no_second_regression(seed, strength) -> None:
    """The noise is the error of n regressions, each without the query it is asked about."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(25, 4)).astype(np.float32), rng.normal(size=(25, 1))
    found = Ridge.fit(x, y, strengths=(strength,))
    seen = np.hstack([(x - x.mean(axis=0)).astype(float), np.ones((25, 1))])
    penalty = np.diag([strength] * 4 + [0.0])
    errors = []
    for row in range(25):
        rest = np.arange(25) != row
        a, b = seen[rest], y[rest, 0]
        errors.append(y[row, 0] - seen[row] @ np.linalg.solve(a.T @ a + penalty, a.T @ b))

    assert found.noise[0] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)


def test_ridge_chooses_the_strength_that_predicts_best() -> None:
    """Weak where there is a line, strong where there is none."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    line = x @ rng.normal(size=(6, 2)) + rng.normal(scale=0.01, size=(400, 2))

    assert Ridge.fit(x, line).strength < 10
    assert Ridge.fit(x, rng.normal(size=(400, 2))).strength > 100


def test_ridge_is_less_sure_far_from_what_it_saw() -> None:
    """And its standard error covers what it gets wrong about as often as it says."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(5, 1))
    x = rng.normal(size=(200, 5)).astype(np.float32)
    new = rng.normal(size=(500, 5)).astype(np.float32)
    inside = []
    for _ in range(20):
        found = Ridge.fit(x, x @ truth + rng.normal(size=(200, 1)), strengths=(1.0,))
        inside.append((np.abs(found.values(new) - new @ truth) < found.std(new)).mean())

    assert np.mean(inside) == pytest.approx(0.68, abs=0.12)
    assert found.std(10 * new).mean() > 3 * found.std(new).mean()


def test_ridge_survives_columns_and_rows_without_anything() -> None:
    """A column without outcomes is zero; more patterns of gaps than columns are no problem."""
    rng = np.random.default_rng(2)
    y = rng.random((30, 80))
    y[rng.random(y.shape) < 0.5] = np.nan
    y[:, 0] = np.nan
    found = Ridge.fit(rng.normal(size=(30, 4)).astype(np.float32), y)

    assert np.isfinite(found.values(np.ones((2, 4), np.float32))).all()
    assert found.mean[0] == 0
    assert Ridge.of(found.arrays("x_"), "x_").strength == found.strength


# ---------------------------------------------------------------------------- folds


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 7))
def test_folds_keep_groups_and_equal_texts_together(seed, count) -> None:
    """Whatever the order of the queries."""
    rng = np.random.default_rng(seed)
    queries = [(f"g{rng.integers(12)}", f"t{rng.integers(30)}") for _ in range(60)]
    found = folds(queries, count, seed)
    order = rng.permutation(60)

    by_group: dict[str, set[int]] = {}
    by_text: dict[str, set[int]] = {}
    for (group, text), fold in zip(queries, found.tolist(), strict=True):
        by_group.setdefault(group, set()).add(fold)
        by_text.setdefault(text, set()).add(fold)
    assert all(len(one) == 1 for one in (*by_group.values(), *by_text.values()))
    np.testing.assert_array_equal(folds([queries[i] for i in order], count, seed), found[order])


def test_held_out_predictions_never_saw_their_query() -> None:
    """A learner that remembers what it saw finds none of the queries it is asked about."""
    data = dataset(np.eye(40), np.ones((40, 2)))

    def learn(part):
        seen = set(part.ids)
        return lambda asked: np.array([[float(name in seen)] * 2 for name in asked.ids])

    held = held_out(learn, data, learn(data), folds=4, seed=0)

    assert sorted(held.rows.tolist()) == list(range(40))
    assert not held.values.any()
    # Each fold's model misses a quarter of the probe: (k - 1) * mean of squares = 3 / 4.
    np.testing.assert_allclose(held.spread, np.sqrt(0.75))


def test_one_group_cannot_be_held_out() -> None:
    """Then there is nothing to calibrate on, and nothing breaks."""
    data = dataset(np.eye(5), np.ones((5, 2)))
    from attrs import evolve

    data = evolve(data, groups=("all",) * 5)
    held = held_out(lambda part: lambda asked: asked.quality, data, lambda d: d.quality, 5, 0)

    assert held.values.shape == (0, 2)


# ---------------------------------------------------------------------------- calibration


def test_platt_undoes_what_a_scorer_gets_wrong() -> None:
    """Overconfident predictions are pulled in, biased ones moved, and margins understood."""
    rng = np.random.default_rng(0)
    truth = 1 / (1 + np.exp(-rng.normal(size=(4000, 3))))
    quality = (rng.random(truth.shape) < truth).astype(float)
    logit = np.log(truth / (1 - truth))
    biased = 1 / (1 + np.exp(-(2.5 * logit + [1.0, 0.0, -1.0])))

    probability = Calibration.fit("platt", "probability", biased, quality)
    margin = Calibration.fit("platt", "margin", 40 * logit, quality)

    for found, raw in ((probability, biased), (margin, 40 * logit)):
        values, std = found.apply(raw, None)
        assert np.abs(values - truth).mean() < 0.03
        assert (std > 0).all()
    assert (probability.after < probability.before).all()
    assert np.isnan(margin.before).all()


def test_contrasts_that_do_not_repeat_are_not_believed() -> None:
    """Every query then goes to the model with the best mean, however sure the scorer was."""
    rng = np.random.default_rng(1)
    quality = (rng.random((2000, 3)) < [0.5, 0.6, 0.4]).astype(float)
    noise = rng.random((2000, 3))

    found = Calibration.fit("platt", "probability", noise, quality)
    values, _ = found.apply(noise, None)

    assert (values.argmax(axis=1) == 1).mean() > 0.95


def test_predictions_that_are_upside_down_are_flattened_not_turned() -> None:
    """A slope below zero is noise or leakage, never a reason to do the opposite."""
    rng = np.random.default_rng(2)
    truth = rng.random((2000, 2))
    quality = (rng.random((2000, 2)) < truth).astype(float)

    found = Calibration.fit("platt", "probability", 1 - truth, quality)

    assert (found.slopes == 0).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_isotonic_is_the_best_non_decreasing_step(seed) -> None:
    """Its error is at most that of any other monotone map tried, its values never fall."""
    rng = np.random.default_rng(seed)
    raw = rng.random((300, 1))
    quality = (rng.random((300, 1)) < raw**2).astype(float)
    found = Calibration.fit("isotonic", "probability", raw, quality)

    grid = np.linspace(0, 1, 50)[:, None]
    values, _ = found.apply(grid, None)
    assert (np.diff(values[:, 0]) >= -1e-9).all()
    assert found.after[0] <= np.square(raw - quality).mean() + 0.01
    assert found.after[0] <= np.square(raw**2 - quality).mean() + 0.01


def test_a_handful_of_held_out_queries_calibrates_nothing() -> None:
    """Raw probabilities are cut to 0..1 and told as they are."""
    found = Calibration.fit("platt", "probability", np.array([[1.2, 0.3]]), np.ones((1, 2)))

    values, std = found.apply(np.array([[1.2, 0.3]]), np.array([[0.1, 0.2]]))

    assert found.kind == "none"
    assert values.tolist() == [[1.0, 0.3]]
    assert std.tolist() == [[0.1, 0.2]]


@pytest.mark.parametrize("kind", ["platt", "isotonic", "none"])
def test_a_calibration_survives_its_arrays(kind) -> None:
    """To the last bit."""
    rng = np.random.default_rng(3)
    raw, quality = rng.random((100, 2)), rng.random((100, 2))
    found = Calibration.fit(kind, "probability", raw, quality)

    again = Calibration.of(found.arrays())

    np.testing.assert_array_equal(again.apply(raw, raw)[0], found.apply(raw, raw)[0])
    np.testing.assert_array_equal(again.apply(raw, raw)[1], found.apply(raw, raw)[1])


# ---------------------------------------------------------------------------- the scorer


@define(eq=False, kw_only=True)
class MeanScorer(LearnedScorer):
    """Predict each model's mean plus the first number of the embedding."""

    def learn(self, dataset: Dataset) -> Arrays:
        known = ~np.isnan(dataset.quality)
        total = np.where(known, dataset.quality, 0.0).sum(axis=0)
        return {"mean": total / np.maximum(known.sum(axis=0), 1)}

    def predict(self, learned, queries, embeddings) -> Floats:
        return learned["mean"] + embeddings[:, :1]


def lesson(n: int = 200, **matrices: Floats) -> Dataset:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(scale=0.1, size=(n, 4))
    quality = np.clip(
        embeddings[:, :1] + [0.3, 0.5, 0.7] + rng.normal(scale=0.1, size=(n, 3)), 0, 1
    )
    return dataset(embeddings, quality, **matrices)


def test_a_house_brings_two_methods_and_gets_the_rest() -> None:
    """Calibrated quality with errors, amounts with errors, in the columns of the pool."""
    rng = np.random.default_rng(1)
    tokens = rng.uniform(10, 20, size=(200, 3)) * [1, 2, 3]
    data = lesson(output_tokens=tokens)
    fitted = MeanScorer().fit(data)

    quality, lengths = fitted.score(data.queries, MODELS, data.embeddings)
    [one, _] = fitted.score(data.queries, MODELS[2:], data.embeddings)

    assert (quality.name, lengths.name) == ("quality", "output_tokens")
    assert np.abs(quality.values.mean(axis=0) - data.quality.mean(axis=0)).max() < 0.02
    assert (quality.std > 0).all()
    assert lengths.values.mean(axis=0) == pytest.approx(tokens.mean(axis=0), rel=0.02)
    assert (lengths.values >= tokens.min(axis=0) - 1e-6).all()
    np.testing.assert_array_equal(one.values, quality.values[:, 2:])
    assert "calibrated by platt on 200 held-out queries" in fitted.notes()[0]


def test_what_cannot_be_scored_is_said() -> None:
    """Untrained, untaught models, nothing to learn from."""
    data = lesson()
    with pytest.raises(NotFitted, match="llmrouter train"):
        MeanScorer().score(data.queries, MODELS, data.embeddings)
    with pytest.raises(NotFitted, match="learned a, b, c but not d"):
        MeanScorer().fit(data).score(data.queries, [Model(name="d")], data.embeddings)
    with pytest.raises(DatasetError, match=r"no latency.*change its targets"):
        MeanScorer(targets=("latency",)).fit(data)
    with pytest.raises(NotFitted, match="needs embedded queries"):
        MeanScorer().fit(data.take([]))


def test_amounts_alone_can_be_asked_for() -> None:
    """A scorer of lengths only says nothing of quality."""
    data = lesson(output_tokens=np.full((200, 3), 7.0))

    [lengths] = (
        MeanScorer(targets=("output_tokens",))
        .fit(data)
        .score(data.queries, MODELS, data.embeddings)
    )

    assert lengths.name == "output_tokens"
    assert lengths.values == pytest.approx(7.0)


def test_the_order_of_rows_and_columns_changes_nothing() -> None:
    """Nor does it tell a fitted scorer from a restored one."""
    data = lesson()
    rng = np.random.default_rng(5)
    shuffled = data.take(rng.permutation(len(data))).for_models(["c", "a", "b"])
    queries, embeddings = data.queries[:9], data.embeddings[:9]

    [one] = MeanScorer().fit(data).score(queries, MODELS, embeddings)
    [other] = MeanScorer().fit(shuffled).score(queries, MODELS, embeddings)

    np.testing.assert_allclose(other.values, one.values, atol=1e-4)
