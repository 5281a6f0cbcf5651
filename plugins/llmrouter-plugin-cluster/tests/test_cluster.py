"""What is special about the cluster scorer."""

import numpy as np
import pytest
from llmrouter_core import Dataset, Model, Query
from llmrouter_plugin_cluster import ClusterScorer

MODELS = [Model(name="a"), Model(name="b")]


def dataset(count: int = 200) -> Dataset:
    """Return two tight clusters of queries; each model is good at one."""
    rng = np.random.default_rng(0)
    kind = np.arange(count) % 2
    points = np.eye(4)[kind] + rng.normal(scale=0.05, size=(count, 4))
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(count)),
        models=("a", "b"),
        quality=np.array([[1.0, 0.0], [0.0, 1.0]])[kind],
        embeddings=points.astype(np.float32),
    )


def test_a_cell_is_the_shrunk_mean_of_its_cluster() -> None:
    """By hand: 100 queries of one kind, mean 1, shrunk to the overall mean 0.5."""
    state = ClusterScorer(clusters=2, shrinkage=10.0).fit(dataset()).state()

    assert sorted(state["means"][:, 0]) == pytest.approx([5 / 110, 105 / 110])
    assert state["counts"].tolist() == [[110.0, 110.0]] * 2


def test_a_query_goes_to_the_model_that_is_good_near_it() -> None:
    """One cluster each, and an error that is small."""
    probe = np.eye(4, dtype=np.float32)[:2]

    [scores] = ClusterScorer(clusters=2).fit(dataset()).score([Query(text="?")] * 2, MODELS, probe)

    assert scores.values.argmax(axis=1).tolist() == [0, 1]
    assert (scores.std > 0).all()


def test_the_nearest_clusters_are_mixed_by_their_nearness() -> None:
    """Half-way between two clusters both count alike; one alone is only the nearest."""
    data = dataset()
    middle = np.array([[0.5, 0.5, 0, 0]], np.float32) + 0 * data.embeddings[:1]
    options = {"clusters": 2, "calibration": "none", "temperature": 10.0}

    [both] = ClusterScorer(nearest=2, **options).fit(data).score([Query(text="?")], MODELS, middle)
    [one] = ClusterScorer(nearest=1, **options).fit(data).score([Query(text="?")], MODELS, middle)

    assert both.values[0] == pytest.approx([0.5, 0.5], abs=0.05)
    assert np.abs(one.values[0] - 0.5).min() > 0.4


def test_few_queries_have_few_clusters() -> None:
    """Ten for each at least; a single one is a table of means."""
    state = ClusterScorer().fit(dataset(12)).state()

    assert state["centres"].shape == (1, 4)
    assert state["means"][0] == pytest.approx([0.5, 0.5])


def test_the_order_of_rows_changes_nothing() -> None:
    """Clusters start from queries drawn by their identity."""
    data = dataset()
    turned = data.take(np.arange(len(data))[::-1])

    one, other = (ClusterScorer().learn(part) for part in (data, turned))

    np.testing.assert_allclose(one["means"], other["means"])
