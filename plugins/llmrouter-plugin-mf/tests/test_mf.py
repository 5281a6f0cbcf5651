"""What is special about the factorisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Query
from llmrouter_plugin_mf import MfScorer

MODELS = [Model(name=name) for name in "abc"]


def dataset(embeddings: Floats, quality: Floats) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=tuple("abc"[: quality.shape[1]]),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_at_full_rank_it_minimises_the_pairwise_loss(seed) -> None:
    """No other slopes of differences have a smaller penalised loss, by its gradient."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(40, 5)), rng.random((40, 3))
    learned = MfScorer(rank=3, strength=2.0).learn(dataset(x, y))

    own = learned["projection"] @ learned["vectors"]  # (d, m)
    seen = x - x.mean(axis=0)
    away = y - y.mean(axis=0)
    rest = (away - away.mean(axis=1, keepdims=True)) - seen @ own
    np.testing.assert_allclose(seen.T @ rest, 2.0 * own, atol=1e-3)


@pytest.mark.parametrize("loss", ["pairwise", "score"])
def test_one_direction_is_enough_where_there_is_one(loss) -> None:
    """Models that differ along a line need a vector of length one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    skill = np.array([0.1, 0.0, -0.1])
    y = np.clip(0.5 + x[:, :1] * skill + rng.normal(scale=0.01, size=(300, 3)), 0, 1)
    scorer = MfScorer(loss=loss, rank=1, strength=0.1, calibration="none").fit(dataset(x, y))

    [scores] = scorer.score([Query(text="?")], MODELS, np.eye(6, dtype=np.float32)[:1])

    assert scores.values[0] == pytest.approx([0.6, 0.5, 0.4], abs=0.02)


def test_ties_are_ties_and_queries_all_fail_say_nothing() -> None:
    """Equal scores pull no model above another, whatever the order of the columns."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100, 4))
    same = np.repeat(rng.integers(2, size=(100, 1)), 3, axis=1).astype(float)
    learned = MfScorer().learn(dataset(x, same))

    assert np.abs(learned["projection"] @ learned["vectors"]).max() < 1e-5
    assert np.ptp(learned["bias"]) == 0


def test_what_all_models_share_of_a_query_is_predicted_too() -> None:
    """A hard query is hard for all, which a loss on pairs alone would not see."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 4))
    y = np.clip(0.5 + 0.1 * x[:, :1] + [0.1, 0.0, -0.1], 0, 1)
    fitted = MfScorer(strength=0.1, calibration="none").fit(dataset(x, y))
    easy, hard = np.eye(4, dtype=np.float32)[:1], -np.eye(4, dtype=np.float32)[:1]

    [one], [other] = (fitted.score([Query(text="?")], MODELS, probe) for probe in (easy, hard))

    assert one.values.mean() - other.values.mean() == pytest.approx(0.2, abs=0.03)


def test_a_strength_of_nearly_nothing_is_refused() -> None:
    """Without a penalty the equations need not have a solution."""
    with pytest.raises(ValueError, match="'strength' must be >= 1e-06"):
        MfScorer(strength=1e-300)
