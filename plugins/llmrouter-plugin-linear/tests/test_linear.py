"""What is special about the linear scorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Query
from llmrouter_core.learning import Ridge
from llmrouter_plugin_linear import LinearScorer
from llmrouter_plugin_linear.logistic import Logistic

MODELS = [Model(name="a"), Model(name="b")]


def dataset(embeddings: Floats, quality: Floats) -> Dataset:
    queries = tuple(Query(text=f"query {i}") for i in range(len(quality)))
    return Dataset(
        queries=queries,
        models=tuple(model.name for model in MODELS),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
    )


def two_kinds(seed: int = 0) -> Dataset:
    """Return queries of two kinds; each model is good at one of them."""
    rng = np.random.default_rng(seed)
    kind = np.arange(200) % 2
    points = np.eye(4)[kind] + rng.normal(scale=0.1, size=(200, 4))
    chance = np.array([[0.9, 0.2], [0.2, 0.9]])[kind]
    return dataset(points, (rng.random((200, 2)) < chance).astype(float))


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_each_kind_goes_to_the_model_that_is_good_at_it(loss) -> None:
    """Predictions are near the chances, and errors small."""
    data = two_kinds()
    queries, probe = [Query(text="?"), Query(text="!")], np.eye(4, dtype=np.float32)[:2]

    [scores] = LinearScorer(loss=loss).fit(data).score(queries, MODELS, probe)

    assert scores.values == pytest.approx(np.array([[0.9, 0.2], [0.2, 0.9]]), abs=0.15)
    assert (scores.std > 0).all()
    assert scores.std.max() < 0.15


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_raw_predictions_are_told_where_nothing_is_calibrated(loss) -> None:
    """They are what the regression says, cut to 0..1."""
    data = two_kinds()
    fitted = LinearScorer(loss=loss, calibration="none").fit(data)

    [scores] = fitted.score(data.queries, MODELS, data.embeddings)

    np.testing.assert_allclose(scores.values, np.clip(fitted.raw(data), 0, 1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.5))
def test_the_logistic_regression_is_at_the_maximum(seed, missing) -> None:
    """There the gradient of the penalised likelihood is zero, also with gaps."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, 5)), rng.random((60, 2))
    y = np.where(rng.random((60, 2)) < missing, np.nan, y)
    y[:5] = 0.5
    ridge = Ridge.fit(x.astype(np.float32), y)

    found = Logistic.fit(x.astype(np.float32), y, ridge)

    rest = np.nan_to_num(y - found.values(x))
    seen = x - ridge.centre
    gradient = seen.T @ rest - ridge.strength / 4 * found.slopes
    assert np.abs(gradient).max() < 0.01 * len(x)
    assert np.abs(rest.sum(axis=0)).max() < 0.01 * len(x)


def test_the_loss_is_remembered_with_what_was_learned() -> None:
    """A restored scorer says what the fitted one says."""
    data = two_kinds()
    fitted = LinearScorer(loss="logistic").fit(data)

    restored = LinearScorer(loss="logistic").restore(fitted.state())

    np.testing.assert_array_equal(restored.raw(data), fitted.raw(data))
