"""What is special about the mlp scorer."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Query
from llmrouter_plugin_mlp import MlpScorer
from llmrouter_plugin_mlp.network import Network, shaped
from llmrouter_plugin_mlp.training import Settings, _gradients, _losses, train

MODELS = [Model(name="a"), Model(name="b")]
SMALL = Settings(hidden=4, dropout=0.0, rate=0.01, epochs=5, patience=5)


def dataset(embeddings: Floats, quality: Floats) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=tuple("abcdef"[: quality.shape[1]]),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
    )


def corners(seed: int = 0) -> Dataset:
    """Return queries of four kinds; a is good where signs agree, b where they differ."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(400, 2))
    alike = (signs[:, 0] == signs[:, 1]).astype(float)
    points = signs + rng.normal(scale=0.2, size=(400, 2))
    chance = 0.1 + 0.8 * np.stack([alike, 1 - alike], axis=1)
    return dataset(points, (rng.random((400, 2)) < chance).astype(float))


def test_what_no_straight_line_tells_apart_is_learned() -> None:
    """Exclusive or is the oldest task of a hidden layer."""
    probe = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], dtype=np.float32)
    scorer = MlpScorer(hidden=16, dropout=0.0, rate=0.02).fit(corners())

    [scores] = scorer.score([Query(text="?")] * 4, MODELS, probe)

    wanted = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    assert scores.values == pytest.approx(wanted, abs=0.15)
    assert (scores.std > 0).all()


def test_a_network_is_what_its_equation_says() -> None:
    """Computed by hand: u = (1, -1) after shaping, hidden (2, 0), logit 2 * 0.5 - 1 = 0."""
    network = Network(
        origin=np.zeros(2, np.float32),
        inner=np.array([[[1.0, -1.0], [-1.0, 1.0]]], np.float32),
        inner_bias=np.zeros((1, 1, 2), np.float32),
        outer=np.array([[[0.5, 1.0], [9.0, 9.0]]], np.float32),
        outer_bias=np.array([[[-1.0, -2.0 + np.log(3)]]], np.float32),
    )

    said = network.values(np.array([[5.0, -5.0]], np.float32))

    assert said == pytest.approx(np.array([[[0.5, 0.75]]]), abs=1e-6)


def test_the_error_is_the_spread_of_the_members() -> None:
    """Mean and standard deviation of what each of them says; one alone leaves it to the core."""
    data = corners()
    scorer = MlpScorer(hidden=4, members=3, epochs=2)
    learned = scorer.prepare(scorer.learn(data))
    said = learned.values(data.embeddings)

    mean, std = scorer.predict(learned, data.queries, data.embeddings)
    alone = evolve(scorer, members=1)

    np.testing.assert_allclose(mean, said.mean(axis=0))
    np.testing.assert_allclose(std, said.std(axis=0, ddof=1))
    assert said.std(axis=0).max() > 0
    assert isinstance(
        alone.predict(alone.prepare(alone.learn(data)), data.queries, data.embeddings), np.ndarray
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_gradient_is_that_of_the_loss(seed) -> None:
    """By differences of the loss along a random direction, with gaps."""
    rng = np.random.default_rng(seed)
    shapes = [(1, 3, 4), (1, 1, 4), (1, 4, 2), (1, 1, 2)]
    weights = [rng.normal(size=shape) for shape in shapes]
    seen, target = rng.normal(size=(6, 3)), rng.random((6, 2))
    known = rng.random((6, 2)) < 0.7
    known[0] = True
    looked_at = np.ones((1, 6), dtype=bool)
    way = [rng.normal(size=shape) for shape in shapes]

    def loss(step: float) -> float:
        moved = [w + step * d for w, d in zip(weights, way, strict=True)]
        return float(_losses(moved, seen, target, known, looked_at)[0]) * known.sum() / 6

    found = _gradients(weights, seen, target, known[None], 0.0, rng)

    slope = sum(float((g * d).sum()) for g, d in zip(found, way, strict=True))
    assert slope == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-3, abs=1e-4)


def test_a_model_without_outcomes_stays_at_the_mean_of_all() -> None:
    """Its output never moves: half of all outcomes are good."""
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    y = np.full((40, 2), np.nan)
    y[:, 0] = np.arange(40) % 2
    kept = (np.arange(40) % 5 == 0)[None]

    said = train(x, y, kept, SMALL, 0).values(x)

    assert said[0, :, 1] == pytest.approx(np.full(40, 0.5), abs=1e-6)


def test_noise_is_not_learned() -> None:
    """Where no step helps on the kept part, the weights of the start are kept: the mean."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 30)).astype(np.float32)
    y = (np.arange(50) % 2).astype(float)[:, None]
    kept = (np.arange(50) < 10)[None]
    y[kept[0]] = 0.5  # any other prediction than one half is worse there
    eager = evolve(SMALL, rate=0.1)

    said = train(x, y, kept, eager, 0).values(x)

    assert said == pytest.approx(np.full((1, 50, 1), 0.5), abs=1e-6)


@pytest.mark.parametrize("kept", [False, True])
def test_queries_that_cannot_be_parted_are_all_learned(kept) -> None:
    """A single group has no part to keep."""
    data = corners()
    nothing = np.full((1, 400), kept)
    eager = evolve(SMALL, hidden=16, rate=0.02, epochs=20)

    said = train(data.embeddings, data.quality, nothing, eager, 0).values(data.embeddings)[0]

    assert np.square(said - data.quality).mean() < 0.15


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_and_columns_decides_nothing(seed) -> None:
    """With gaps, and queries that are the same."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    x[50:] = x[:10]
    y = np.where(rng.random((60, 3)) < 0.3, np.nan, rng.random((60, 3)))
    data = dataset(x, y)
    rows, columns = rng.permutation(60), rng.permutation(3)
    moved = data.take(rows)
    moved = evolve(
        moved,
        models=tuple(data.models[j] for j in columns),
        quality=moved.quality[:, columns],
        status=moved.status[:, columns],
    )
    scorer = MlpScorer(hidden=4, members=2, calibration="none")

    usual, other = scorer.fit(data).raw(data), scorer.fit(moved).raw(data)

    np.testing.assert_allclose(other, usual[:, columns], atol=1e-6)


def test_embeddings_are_seen_from_their_mean_at_one_length() -> None:
    """(3, 4) is of length 5, and comes to sqrt(2)."""
    found = shaped(np.array([[4.0, 5.0], [1.0, 1.0]], np.float32), np.ones(2, np.float32))

    assert found == pytest.approx(np.sqrt(2) * np.array([[0.6, 0.8], [0.0, 0.0]]), abs=1e-6)
