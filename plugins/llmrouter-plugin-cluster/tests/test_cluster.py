"""What is special about the cluster scorer."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Query
from llmrouter_core.learning import Table
from llmrouter_plugin_cluster import ClusterScorer
from llmrouter_plugin_cluster.clusters import Clusters

MODELS = [Model(name="a"), Model(name="b")]
PLAIN = {"calibration": "none", "targets": ("quality",)}


def dataset(embeddings: Floats, quality: Floats) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=tuple(model.name for model in MODELS),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
    )


def three_kinds(rows: int = 240) -> tuple[Dataset, Floats]:
    """Return queries of three kinds far from each other, and the mean scores on each, (3, 2)."""
    rng = np.random.default_rng(0)
    kind = np.arange(rows) % 3
    points = np.eye(16)[kind] + rng.normal(scale=0.05, size=(rows, 16))
    chance = np.array([[0.9, 0.2], [0.2, 0.9], [0.5, 0.5]])
    quality = (rng.random((rows, 2)) < chance[kind]).astype(float)
    means = np.array([quality[kind == k].mean(axis=0) for k in range(3)])
    return dataset(points, quality), means


def test_each_cluster_is_found_and_has_its_means() -> None:
    """With next to no shrinkage the prediction is the mean over the kind."""
    data, means = three_kinds()
    fitted = ClusterScorer(clusters=3, nearest=1, shrinkage=1e-6, **PLAIN).fit(data)

    [scores] = fitted.score([Query(text="?")] * 3, MODELS, np.eye(16, dtype=np.float32)[:3])

    assert scores.values == pytest.approx(means, abs=1e-4)
    assert scores.std == pytest.approx(np.sqrt(means * (1 - means) / 80), rel=1e-3)


def test_few_outcomes_are_pulled_to_the_mean() -> None:
    """One outcome in a cell: a base of 0.5 + 1/4 and one in three of the way from there to 1."""
    values = np.array([[1.0, np.nan], [0.0, 0.5], [0.5, 0.5]])

    table = Table.fit(values, np.array([0, 1, 1]), 2, shrinkage=1.0)

    # Model a has mean 0.5; cluster 0 saw +0.5 once, so effect_0 = 0.5 / (1 + 1) = 0.25.
    assert table.means[0, 0] == pytest.approx(0.75 + 0.25 / 2)
    assert table.means[0, 1] == pytest.approx(0.75)


def test_weights_are_a_softmax_over_the_nearest() -> None:
    """Computed by hand for three centres at known cosines."""
    centres = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    clusters = Clusters(origin=np.array([1.0, 1.0]), centres=centres)
    probe = np.array([[3.0, 1.0]])  # seen from the origin it points along the first centre

    two = clusters.weights(probe, nearest=2, temperature=0.2)
    one = clusters.weights(probe, nearest=1, temperature=0.2)

    fading = np.exp(-0.4 / 0.2)
    assert two[0] == pytest.approx([1 / (1 + fading), fading / (1 + fading), 0.0])
    assert one[0].tolist() == [1.0, 0.0, 0.0]
    assert clusters.weights(probe, nearest=9, temperature=0.2)[0, 2] > 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 2**40), st.floats(0, 0.5))
def test_a_shuffled_file_makes_the_same_predictions(seed, drawn, missing) -> None:
    """Whatever the order of rows and of columns, and whatever the seed."""
    rng = np.random.default_rng(seed)
    points, quality = rng.normal(size=(80, 6)).astype(np.float32), rng.random((80, 2))
    points[40:45] = points[:5]
    quality[rng.random((80, 2)) < missing] = np.nan
    order = rng.permutation(80)
    scorer = ClusterScorer(seed=drawn, **PLAIN)

    one = scorer.fit(dataset(points, quality)).raw(dataset(points, quality))
    moved = scorer.fit(dataset(points[order], quality[order][:, ::-1]))

    np.testing.assert_allclose(
        moved.raw(dataset(points, quality))[:, ::-1], one, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("rows", [1, 3, 25])
def test_few_or_equal_queries_make_few_clusters_and_no_warning(rows) -> None:
    """Never more clusters than a tenth of the queries, nor than there are different ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = ClusterScorer(**PLAIN).fit(dataset(np.ones((rows, 4)), np.full((rows, 2), 0.5)))

    assert fitted.state()["centres"].shape == (1, 4)
    [scores] = fitted.score([Query(text="?")], MODELS, np.zeros((1, 4), np.float32))
    assert scores.values == pytest.approx(np.array([[0.5, 0.5]]))


def test_many_clusters_are_bounded_by_the_queries() -> None:
    """240 queries make 24 clusters at most."""
    data, _ = three_kinds()

    assert len(ClusterScorer(**PLAIN).fit(data).state()["centres"]) == 24


def test_a_temperature_of_nearly_nothing_is_refused() -> None:
    """Distances divided by it would overflow."""
    with pytest.raises(ValueError, match="'temperature' must be >= 1e-06"):
        ClusterScorer(temperature=1e-300)
