"""What is special about the kNN scorer."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import ConfigError, Dataset, DatasetError, Floats, Model, NotFitted, Query
from llmrouter_plugin_knn import KnnScorer

MODELS = [Model(name="a"), Model(name="b")]


def dataset(embeddings: Floats, quality: Floats, **matrices: Floats) -> Dataset:
    queries = tuple(Query(text=f"query {i}") for i in range(len(quality)))
    names = tuple(model.name for model in MODELS[: quality.shape[1]])
    return Dataset(
        queries=queries,
        models=names,
        quality=quality,
        embeddings=embeddings.astype(np.float32),
        **matrices,
    )


def by_hand(scorer: KnnScorer, points: Floats, y: Floats, query: Floats) -> tuple[float, float]:
    """Return mean and std for one model, computed as the README says, one row at a time."""
    centre = points.mean(axis=0)
    near = []
    for point, outcome in zip(points, y, strict=True):
        a, b = point - centre, query - centre
        near.append((float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))), outcome))
    near.sort(reverse=True)
    near = near[: scorer.k]
    known = [value for value in y if not np.isnan(value)]
    prior, variance = np.mean(known), np.var(known, ddof=1)
    total = second = weight = squared = 0.0
    for similarity, outcome in near:
        if not np.isnan(outcome):
            w = np.exp((similarity - near[0][0]) / scorer.temperature)
            total, second = total + w * outcome, second + w * outcome**2
            weight, squared = weight + w, squared + w * w
    s = scorer.shrinkage
    mean = (total + s * prior) / (weight + s)
    spread = (second + s * (variance + prior**2)) / (weight + s) - mean**2
    effective = (weight + s) ** 2 / (squared + s)
    return float(mean), float(np.sqrt(spread / effective))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.floats(0.1, 20),
    st.floats(0.02, 2),
    st.floats(0, 0.6),
)
def test_it_computes_what_the_equation_says(seed, k, shrinkage, temperature, missing) -> None:
    """Vectorised and by hand agree, also where outcomes are missing."""
    rng = np.random.default_rng(seed)
    points, quality = rng.normal(size=(30, 8)), rng.random((30, 2)).astype(np.float32)
    gaps = np.where(rng.random((30, 2)) < missing, np.nan, quality)
    gaps[:3] = quality[:3]
    scorer = KnnScorer(
        k=k, shrinkage=shrinkage, temperature=temperature, targets=("quality",), calibration="none"
    )
    query = rng.normal(size=(1, 8)).astype(np.float32)

    [scores] = scorer.fit(dataset(points, gaps)).score([Query(text="?")], MODELS, query)

    for column in range(2):
        mean, std = by_hand(scorer, points, gaps[:, column], query[0])
        assert scores.values[0, column] == pytest.approx(mean, abs=2e-4)
        assert scores.std[0, column] == pytest.approx(std, abs=2e-3)


def test_columns_follow_the_pool_and_strangers_are_refused() -> None:
    """A smaller or reordered pool works; a model it never saw is named."""
    rng = np.random.default_rng(1)
    fitted = KnnScorer().fit(dataset(rng.normal(size=(20, 4)), rng.random((20, 2))))
    query, embedding = [Query(text="?")], rng.normal(size=(1, 4)).astype(np.float32)

    [both] = fitted.score(query, MODELS, embedding)
    [swapped] = fitted.score(query, MODELS[::-1], embedding)

    np.testing.assert_array_equal(swapped.values, both.values[:, ::-1])
    with pytest.raises(NotFitted, match=r"learned a, b but not c"):
        fitted.score(query, [Model(name="c")], embedding)


def test_few_neighbours_are_less_sure() -> None:
    """The standard error falls as more neighbours agree, and never reaches zero."""
    rng = np.random.default_rng(2)
    points = rng.normal(size=(400, 4))
    data = dataset(points, (rng.random((400, 2)) < 0.5).astype(float))
    query, embedding = [Query(text="?")], rng.normal(size=(1, 4)).astype(np.float32)

    errors = [
        KnnScorer(k=k, temperature=10, calibration="none")
        .fit(data)
        .score(query, MODELS, embedding)[0]
        .std.mean()
        for k in (5, 50, 400)
    ]

    assert errors[0] > errors[1] > errors[2] > 0


def test_examples_name_the_nearest_queries_and_their_outcomes() -> None:
    """Examples hold ids and scores; texts only where they were asked for."""
    points = np.eye(3)
    quality = np.array([[1.0, 0.0], [0.0, np.nan], [0.5, 0.5]])
    data = dataset(points, quality)
    embedding = np.array([1.0, 0.1, 0.0], np.float32)

    silent = KnnScorer().fit(data).examples(Query(text="?"), embedding)
    telling = KnnScorer(texts=True).fit(data).examples(Query(text="?"), embedding)

    assert [example["id"] for example in silent[:2]] == [data.ids[0], data.ids[1]]
    assert silent[0]["quality"] == {"a": 1.0, "b": 0.0}
    assert silent[1]["quality"] == {"a": 0.0, "b": None}
    assert "text" not in silent[0]
    assert telling[0]["text"] == "query 0"


def test_untrained_it_says_how_to_train_it() -> None:
    """The next step is in the message."""
    with pytest.raises(NotFitted, match="llmrouter train"):
        KnnScorer().score([Query(text="?")], MODELS, np.zeros((1, 4), np.float32))


def test_targets_that_nobody_recorded_are_refused() -> None:
    """There is nothing to predict then; the message says what to record."""
    lesson = dataset(np.eye(3), np.ones((3, 2)))

    with pytest.raises(DatasetError, match=r"no latency and no cost.*change its targets"):
        KnnScorer(targets=("latency", "cost")).fit(lesson)


def test_one_row_of_training_is_enough() -> None:
    """More neighbours than rows means all rows."""
    fitted = KnnScorer(k=100).fit(dataset(np.ones((1, 3)), np.array([[1.0, 0.0]])))
    embedding = np.ones((1, 3), dtype=np.float32)

    [scores] = fitted.score([Query(text="hi")], MODELS, embedding)

    assert scores.values.tolist() == [[1.0, 0.0]]


def test_how_many_queries_are_looked_at_at_a_time_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Large pools are scored in smaller blocks, so that the memory stays bounded."""
    rng = np.random.default_rng(0)
    fitted = KnnScorer(k=3).fit(dataset(rng.normal(size=(20, 4)), rng.random((20, 2))))
    queries = [Query(text=str(i)) for i in range(7)]
    embeddings = rng.normal(size=(7, 4)).astype(np.float32)

    [whole] = fitted.score(queries, MODELS, embeddings)
    monkeypatch.setattr("llmrouter_plugin_knn._CELLS", 1)
    [one_by_one] = fitted.score(queries, MODELS, embeddings)

    assert np.allclose(whole.values, one_by_one.values, atol=1e-6)


def test_an_approximate_search_finds_nearly_the_same() -> None:
    """Read from all lists it is exact; read from few it finds most, and says the same queries."""
    pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    points = np.repeat(rng.normal(size=(40, 16)), 50, axis=0) + rng.normal(size=(2000, 16)) / 3
    data = dataset(points, rng.random((2000, 2)))
    queries = [Query(text=str(i)) for i in range(20)]
    embeddings = (points[:20] + 0.01).astype(np.float32)
    options = {"k": 10, "calibration": "none"}

    exact = KnnScorer(**options).fit(data)
    [wanted] = exact.score(queries, MODELS, embeddings)
    every = KnnScorer(search="approximate", probes=10**6, **options).fit(data)
    [whole] = every.score(queries, MODELS, embeddings)
    few = KnnScorer(search="approximate", probes=4, **options).fit(data)
    [some] = few.restore(few.state()).score(queries, MODELS, embeddings)

    np.testing.assert_allclose(whole.values, wanted.values, atol=1e-5)
    assert np.isclose(some.values, wanted.values, atol=1e-5).mean() > 0.7
    assert few.examples(queries[3], embeddings[3])[0]["id"] == data.ids[3]


def test_few_points_are_searched_exactly_whatever_is_asked() -> None:
    """Lists of a handful of points would only cost time."""
    rng = np.random.default_rng(4)
    data = dataset(rng.normal(size=(30, 4)), rng.random((30, 2)))

    assert "lists" not in KnnScorer(search="approximate").fit(data).state()


def test_without_faiss_an_approximate_search_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extra has a name."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    rng = np.random.default_rng(5)
    data = dataset(rng.normal(size=(1000, 4)), rng.random((1000, 2)))

    with pytest.raises(ConfigError, match=r"llmrouter-plugin-knn\[ann\]"):
        KnnScorer(search="approximate").fit(data)


def test_a_temperature_of_nearly_nothing_is_refused() -> None:
    """Similarities divided by it would overflow."""
    with pytest.raises(ValueError, match="'temperature' must be >= 1e-06"):
        KnnScorer(temperature=1e-300)
