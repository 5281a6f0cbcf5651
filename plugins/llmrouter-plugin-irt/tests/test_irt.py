"""What is special about the irt scorer."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, DatasetError, Floats, Model, NotFitted, Query
from llmrouter_plugin_irt import IrtScorer
from llmrouter_plugin_irt.newcomers import Newcomers
from llmrouter_plugin_irt.responses import Responses, sigmoid

NAMES = tuple("abcdefgh")


def simulated(seed: int = 0, n: int = 1200, more: int = 0) -> tuple[Dataset, Floats]:
    """Return answers by two-dimensional item response, and their chances, (n, 8 + more)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12)) / np.sqrt(12)
    m = len(NAMES) + more
    demands = x @ rng.normal(size=(12, 2)) * 2
    difficulty = x @ rng.normal(size=12) * 2
    logits = demands @ rng.normal(size=(2, m)) + rng.normal(size=m) * 0.7 - difficulty[:, None]
    chance = sigmoid(logits)
    dataset = Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(n)),
        models=(*NAMES, *(f"new{j}" for j in range(more))),
        quality=(rng.random((n, m)) < chance).astype(float),
        embeddings=x.astype(np.float32),
    )
    return dataset, chance


def pool(names: tuple[str, ...]) -> list[Model]:
    return [Model(name=name) for name in names]


def quality(scorer: IrtScorer, dataset: Dataset) -> Floats:
    return scorer.score(dataset.queries, pool(dataset.models), dataset.embeddings)[0].values


def test_the_chances_are_found_again() -> None:
    """On queries that were held out, nearer than by any constant per model."""
    dataset, chance = simulated(n=2400)
    fitted = IrtScorer().fit(dataset.take(range(1200)))

    error = quality(fitted, dataset.take(range(1200, 2400))) - chance[1200:]

    assert np.sqrt(np.square(error).mean()) < 0.08
    assert chance.std(axis=0).mean() > 0.2


def test_fifty_answers_tell_how_good_a_new_model_is() -> None:
    """Its mean quality on other queries is within five points, over twenty new models."""
    dataset, chance = simulated(n=1500, more=20)
    fitted = IrtScorer().fit(dataset.take(range(1000)).for_models(NAMES))
    anchors, others = dataset.take(range(1000, 1050)), dataset.take(range(1050, 1500))
    for name in dataset.models[8:]:
        fitted = fitted.joined(anchors.for_models([name]), name)

    found = quality(fitted, others)[:, 8:]

    wrong = np.abs(found.mean(axis=0) - chance[1050:, 8:].mean(axis=0))
    assert wrong.mean() < 0.05
    own = found - found.mean(axis=0), chance[1050:, 8:] - chance[1050:, 8:].mean(axis=0)
    assert np.corrcoef(own[0].ravel(), own[1].ravel())[0, 1] > 0.85


def test_a_new_model_leaves_the_others_alone_and_is_kept() -> None:
    """Also when it is saved, and when another one joins."""
    dataset, _ = simulated(n=400, more=2)
    fitted = IrtScorer().fit(dataset.for_models(NAMES))
    few = dataset.take(range(30))

    both = fitted.joined(few, "new0").joined(few, "new1")
    one = fitted.joined(few, "new1")
    found = both.score(dataset.queries, pool(dataset.models), dataset.embeddings)[0]

    np.testing.assert_array_equal(found.values[:, :8], quality(fitted, dataset.for_models(NAMES)))
    alone = quality(one, dataset.for_models([*NAMES, "new1"]))
    np.testing.assert_allclose(found.values[:, 9], alone[:, 8])
    restored = IrtScorer().restore(both.state())
    np.testing.assert_array_equal(quality(restored, dataset), found.values)
    assert found.std[:, 8:].min() > 0


def test_more_answers_make_a_new_model_more_certain() -> None:
    """The standard error shrinks with them."""
    dataset, _ = simulated(more=1)
    fitted = IrtScorer().fit(dataset.for_models(NAMES))

    few, many = (
        fitted.joined(dataset.take(range(a)), "new0").estimate(dataset.queries, dataset.embeddings)
        for a in (10, 500)
    )

    assert many[1][:, 8].mean() < few[1][:, 8].mean() / 2
    assert (few[1][:, :8] == many[1][:, :8]).all()


def test_a_new_model_needs_an_answer_and_a_name_of_its_own() -> None:
    """Errors say what to do."""
    dataset, _ = simulated(n=100, more=1)
    fitted = IrtScorer().fit(dataset.for_models(NAMES))
    silent = Dataset(
        queries=dataset.queries,
        models=dataset.models,
        quality=np.full_like(dataset.quality, np.nan),
        embeddings=dataset.embeddings,
    )

    with pytest.raises(DatasetError, match="ask it first"):
        fitted.joined(silent, "new0")
    with pytest.raises(DatasetError, match="ask it first"):
        fitted.joined(dataset, "never heard of")
    with pytest.raises(DatasetError, match="train it again"):
        fitted.joined(dataset, "a")
    with pytest.raises(NotFitted, match="llmrouter train"):
        IrtScorer().joined(dataset, "new0")


def test_a_new_model_has_amounts_too() -> None:
    """Those that every scorer that learns predicts for one."""
    dataset, _ = simulated(n=200, more=2)
    told = evolve(dataset, output_tokens=np.full((200, 10), 100.0))
    fitted = IrtScorer().fit(told.for_models(NAMES)).joined(told, "new0").joined(told, "new1")

    values, tokens = fitted.score(told.queries, pool(told.models), told.embeddings)

    assert values.values.shape == tokens.values.shape == (200, 10)
    np.testing.assert_allclose(tokens.values, 100.0, rtol=0.01)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3]))
def test_the_order_of_rows_and_columns_says_nothing(seed, missing) -> None:
    """To numerical noise, also with gaps."""
    rng = np.random.default_rng(seed)
    dataset, _ = simulated(seed, n=300)
    y = np.where(rng.random(dataset.quality.shape) < missing, np.nan, dataset.quality)
    x, rows, columns = dataset.embeddings, rng.permutation(300), rng.permutation(8)

    one = Responses.fit(x, y, 2, 256).logits(x)
    other = Responses.fit(x[rows], y[rows][:, columns], 2, 256).logits(x)

    np.testing.assert_allclose(other, one[:, columns], atol=1e-5)


def test_a_model_without_outcomes_is_as_the_usual_one() -> None:
    """As in a fold that lacks it: its level is that of all, its demands are shared."""
    dataset, _ = simulated(n=400)
    y = dataset.quality.copy()
    y[:, 3] = np.nan

    found = Responses.fit(dataset.embeddings, y, 2, 256)
    logits = found.logits(dataset.embeddings)

    assert sigmoid(found.levels[3]) == pytest.approx(np.nanmean(y), abs=0.01)
    others = np.delete(logits, 3, axis=1).mean(axis=1)
    assert np.corrcoef(others, logits[:, 3])[0, 1] > 0.9


def test_one_model_and_one_outcome_are_enough() -> None:
    """Nothing fails where there is next to nothing."""
    x = np.ones((1, 3), np.float32)

    for columns in (1, 2):
        assert np.isfinite(Responses.fit(x, np.ones((1, columns)), 2, 256).logits(x)).all()


def test_abilities_have_mean_zero_and_mean_square_one() -> None:
    """Which fixes their scale, and their sign by the third moment."""
    dataset, _ = simulated()

    theta = Responses.fit(dataset.embeddings, dataset.quality, 2, 256).abilities

    np.testing.assert_allclose(theta.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(theta.T @ theta / 8, np.eye(2), atol=1e-9)
    assert ((theta**3).sum(axis=0) >= 0).all()


def test_the_ability_of_a_new_model_is_at_the_maximum() -> None:
    """One level, no demands: the root of 3 - 4 p(z) = z / v, for v the prior's variance."""
    known = np.array([[-1.0], [1.0], [0.0]])  # v = (1 + 1 + 1) / 4
    none = Newcomers.of({})

    found = none.with_model(np.zeros((4, 0)), np.zeros(4), np.array([1.0, 1, 1, 0]), known)

    z = found.abilities[0, 0]
    p = float(sigmoid(np.array(z)))
    assert z > 0
    assert 3 - 4 * p == pytest.approx(z / 0.75, abs=1e-6)
    assert found.covariances[0, 0, 0] == pytest.approx(1 / (4 * p * (1 - p) + 1 / 0.75))
