"""What is special about the svm scorer."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Query
from llmrouter_plugin_svm import SvmScorer
from llmrouter_plugin_svm.landmarks import Landmarks
from llmrouter_plugin_svm.machines import regressions

MODELS = [Model(name="a"), Model(name="b")]


def dataset(embeddings: Floats, quality: Floats) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=tuple("abcdef"[: quality.shape[1]]),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
    )


def ring(seed: int = 0) -> Dataset:
    """Return queries all around; a is good along both axes, b between them."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, 400)
    chance = 0.5 + 0.45 * np.stack([np.cos(4 * angle), -np.cos(4 * angle)], axis=1)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return dataset(points, (rng.random((400, 2)) < chance).astype(float))


def test_what_no_straight_line_tells_apart_is_learned() -> None:
    """Every linear regression says the same all around the ring."""
    probe = np.array([[1.0, 0.0], [0.0, -1.0], [0.7071, 0.7071], [-0.7071, 0.7071]])
    scorer = SvmScorer(landmarks=50, width=8.0).fit(ring())

    [scores] = scorer.score([Query(text="?")] * 4, MODELS, probe.astype(np.float32))

    assert (scores.values.argmax(axis=1) == [0, 0, 1, 1]).all()
    assert np.abs(scores.values[:, 0] - scores.values[:, 1]).min() > 0.5
    assert (scores.std > 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 5))
def test_products_of_features_are_the_kernel_where_every_query_is_a_landmark(seed, width) -> None:
    """Nystroem's approximation is exact on its own landmarks."""
    x = np.random.default_rng(seed).normal(size=(12, 6)).astype(np.float32)
    found = Landmarks.fit(x, 100, width, 0)
    features = found.features(x)

    u = x - x.mean(axis=0)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    kernel = np.exp(-width * np.square(u[:, None] - u[None]).sum(axis=2))
    np.testing.assert_allclose(features @ features.T, kernel, atol=2e-3)


def test_equal_queries_are_one_landmark() -> None:
    """Three distinct embeddings give three, however many were wanted."""
    x = np.sort(np.repeat(np.eye(3, dtype=np.float32), 5, axis=0), axis=0)

    assert len(Landmarks.fit(x, 10, 1.0, 0).points) == len(np.unique(x, axis=0))


def test_errors_within_the_tube_cost_nothing() -> None:
    """Outcomes that all lie in it are met by no slope at all."""
    x = np.linspace(-1, 1, 40)[:, None]

    slopes, intercepts = regressions(x, 0.5 + 0.09 * x, 0.1)

    assert slopes == pytest.approx(np.zeros((1, 1)), abs=1e-6)
    assert intercepts == pytest.approx(np.array([0.5]), abs=1e-6)


def test_without_a_tube_a_line_is_met() -> None:
    """Two models of opposite slope; the penalty is weak beside so many queries."""
    x = np.linspace(-1, 1, 400)[:, None]

    slopes, intercepts = regressions(x, 0.5 + x @ np.array([[0.3, -0.1]]), 0.0)

    assert slopes == pytest.approx(np.array([[0.3, -0.1]]), abs=0.01)
    assert intercepts == pytest.approx(np.array([0.5, 0.5]), abs=0.01)


def test_a_model_without_outcomes_follows_the_others() -> None:
    """It is what queries have in common, about the mean of all outcomes."""
    x = np.linspace(-1, 1, 400)[:, None]
    y = np.hstack([0.4 + 0.2 * x, 0.6 + 0.2 * x, np.full_like(x, np.nan)])

    slopes, intercepts = regressions(x, y, 0.0)

    assert slopes[0, 2] == pytest.approx(0.2, abs=0.01)
    assert intercepts[2] == pytest.approx(0.5, abs=0.01)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_and_columns_decides_nothing(seed) -> None:
    """With gaps, and queries that are the same."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    x[50:] = x[:10]
    y = np.where(rng.random((60, 3)) < 0.3, np.nan, rng.random((60, 3)))
    rows, columns = rng.permutation(60), rng.permutation(3)
    scorer, data = SvmScorer(landmarks=20, calibration="none"), dataset(x, y)
    names = tuple(data.models[j] for j in columns)
    moved = evolve(dataset(x[rows], y[np.ix_(rows, columns)]), models=names)

    usual, other = scorer.fit(data).raw(data), scorer.fit(moved).raw(data)

    np.testing.assert_allclose(other, usual[:, columns], atol=1e-5)


def test_what_is_kept_does_not_grow_with_the_queries() -> None:
    """Landmarks and one weight of each for every model."""
    learned = SvmScorer(landmarks=16).learn(ring())

    assert learned["points"].shape == (16, 2)
    assert learned["weights"].shape == (16, 2)
    assert set(learned) == {"origin", "points", "width", "weights", "intercepts"}
