"""What is special about the hybrid-llm scorer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, DatasetError, Floats, Model, Query
from llmrouter_plugin_hybrid_llm import HybridLlmScorer
from llmrouter_plugin_hybrid_llm.gap import Gaps
from llmrouter_plugin_hybrid_llm.labels import labels, relaxation

NAMES = ("small", "middle", "large")
KINDS = ("deterministic", "probabilistic", "transformed")
each_kind = pytest.mark.parametrize("kind", KINDS)


def dataset(embeddings: Floats, quality: Floats, names: tuple[str, ...] = NAMES) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=names,
        quality=quality,
        embeddings=embeddings.astype(np.float32),
    )


def two_kinds(seed: int = 0, n: int = 240) -> Dataset:
    """Return easy and hard queries: the small model fails on hard ones, the large on few."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 2
    points = np.eye(4)[kind] + rng.normal(scale=0.1, size=(n, 4))
    chance = np.array([[0.9, 0.8, 0.9], [0.1, 0.5, 0.9]])[kind]
    return dataset(points, (rng.random((n, 3)) < chance).astype(float))


def pool(names: tuple[str, ...] = NAMES) -> list[Model]:
    return [Model(name=name) for name in names]


def scores(scorer: HybridLlmScorer, names: tuple[str, ...] = NAMES) -> Floats:
    """Return what *scorer* expects of an easy and of a hard query."""
    probe = np.eye(4, dtype=np.float32)[:2]
    return scorer.score([Query(text="?"), Query(text="!")], pool(names), probe)[0].values


# ---------------------------------------------------------------------- labels


def test_labels_by_hand() -> None:
    """Better, equal, worse and unknown."""
    gap = np.array([[0.5], [0.0], [-0.2], [np.nan]])
    soft = [1 / (1 + math.exp(-1)), 0.5, 1 / (1 + math.exp(0.4)), np.nan]

    np.testing.assert_array_equal(labels(gap, "deterministic", 0.1)[:, 0], [1, 1, 0, np.nan])
    np.testing.assert_allclose(labels(gap, "probabilistic", 0.5)[:, 0], soft)
    np.testing.assert_array_equal(labels(gap, "transformed", 0.1)[:, 0], [1, 1, 0, np.nan])


def test_a_model_that_always_falls_short_is_granted_the_median() -> None:
    """Where none of its labels was 1, half of them are."""
    gap = np.array([[-0.1], [-0.2], [-0.3], [-0.4]])

    assert relaxation(gap[:, 0]) == pytest.approx(0.2)
    assert labels(gap, "transformed", 0.1)[:, 0].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("gap", [[], [0.0, 0.3], [0.0]])
def test_a_model_that_never_falls_short_is_granted_nothing(gap) -> None:
    """Nor one that is unknown."""
    assert relaxation(np.array(gap)) == 0.0


@given(st.lists(st.integers(-10, 10), min_size=1, max_size=30))
def test_no_other_relaxation_tells_queries_apart_better(gap) -> None:
    """Compared with the mean difference over all pairs, counted out."""

    def apart(t: float) -> float:
        label = np.array(gap) / 10 >= -t - 1e-9
        return float(np.mean(label[:, None] != label))

    best = max(apart(t / 10) for t in range(11))
    assert apart(relaxation(np.array(gap) / 10)) == pytest.approx(best)


def test_rounding_makes_no_model_worse() -> None:
    """0.1 + 0.2 is 0.3."""
    gap = np.array([[0.3 - (0.1 + 0.2)]])

    assert gap[0, 0] < 0
    assert labels(gap, "deterministic", 0.1)[0, 0] == 1
    assert labels(gap, "transformed", 0.1)[0, 0] == 1


# ---------------------------------------------------------------------- from labels to quality


def test_the_gap_follows_from_the_label_by_hand() -> None:
    """A gap of -1 where the label is 0 and of 0 where it is 1: `E H = p - 1`."""
    quality = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    label = labels(quality - quality[:, [1]], "deterministic", 0.1)

    found = Gaps.fit(np.zeros((4, 2), np.float32), quality, label, 1)

    assert found.slope == pytest.approx([1.0, 0.0])
    assert found.base == pytest.approx([-1.0, 0.0])
    assert found.values(np.zeros((1, 2))) == pytest.approx(np.array([[0.75, 1.0]]))


def test_a_model_never_asked_with_the_large_one_differs_by_its_mean() -> None:
    """Its gap is nowhere known."""
    quality = np.array([[0.2, np.nan], [0.4, np.nan], [np.nan, 0.8], [np.nan, 1.0]])
    label = labels(quality - quality[:, [1]], "deterministic", 0.1)

    found = Gaps.fit(np.zeros((4, 2), np.float32), quality, label, 1)

    assert found.values(np.zeros((1, 2))) == pytest.approx(np.array([[0.3, 0.9]]))


@each_kind
def test_the_small_model_is_good_enough_where_queries_are_easy(kind) -> None:
    """It nears the large one there and falls far behind elsewhere."""
    easy, hard = scores(HybridLlmScorer(labels=kind).fit(two_kinds()))

    assert easy[2] - easy[0] < 0.2
    assert hard[2] - hard[0] > 0.5
    assert hard[0] < hard[1] < hard[2]


def test_the_standard_error_has_both_regressions() -> None:
    """For the large model there is one; others have that of their label too."""
    data = two_kinds()
    found = Gaps.of(HybridLlmScorer().fit(data).state())
    x = data.embeddings[:5]
    own = found.large.std(x)[:, 0]

    std = found.std(x)

    np.testing.assert_allclose(std[:, 2], own)
    np.testing.assert_allclose(
        std[:, 0], np.sqrt(own**2 + (found.slope[0] * found.chance.std(x)[:, 0]) ** 2)
    )
    assert (std[:, 0] > own).all()


# ---------------------------------------------------------------------- which one is large


def large(scorer: HybridLlmScorer, data: Dataset) -> str:
    return data.models[int(scorer.learn(data)["large"])]


def test_the_large_model_is_the_best_or_the_one_that_is_named() -> None:
    """And `notes` tells which."""
    data = two_kinds()
    fitted = HybridLlmScorer(large="middle").fit(data)

    assert large(HybridLlmScorer(), data) == "large"
    assert int(fitted.state()["large"]) == 1
    assert fitted.notes()[-1] == "scorer 'quality': every model is compared with 'middle'"


def test_of_equally_good_models_the_first_by_name_is_large() -> None:
    """Whatever the order of the columns."""
    x, y = np.eye(4), np.array([[1.0, 0.0], [0.0, 1.0]] * 2)

    assert large(HybridLlmScorer(), dataset(x, y, ("b", "a"))) == "a"
    assert large(HybridLlmScorer(), dataset(x, y, ("a", "b"))) == "a"


def test_one_lucky_answer_makes_no_model_large() -> None:
    """Of 40 answers 36 are good; one of one says less."""
    y = np.full((40, 2), np.nan)
    y[:, 0] = np.arange(40) >= 4
    y[0, 1] = 1.0

    assert large(HybridLlmScorer(), dataset(np.eye(40), y, ("tried", "lucky"))) == "tried"


@pytest.mark.parametrize("names", [("small", "middle", "other"), NAMES])
def test_a_large_model_without_outcomes_is_refused(names) -> None:
    """The message names what can be had instead."""
    data = two_kinds()
    quality = data.quality.copy()
    quality[:, 2] = np.nan if names == NAMES else 1.0
    expected = ", ".join(names[:2] if names == NAMES else names)

    with pytest.raises(DatasetError, match=f"'large'.*set large to one of {expected}$"):
        HybridLlmScorer(large="large").fit(dataset(data.embeddings, quality, names))


@pytest.mark.parametrize("named", ["", "large"])
@each_kind
def test_a_model_may_have_no_outcome_in_a_fold(kind, named) -> None:
    """Not even the large one, which leaves it to the best; what is predicted is finite."""
    data = two_kinds()
    for column in range(3):
        quality = data.quality.copy()
        quality[:, column] = np.nan
        scorer = HybridLlmScorer(labels=kind, large=named)

        found = scorer.prepare(scorer.learn(dataset(data.embeddings, quality)))

        assert np.isfinite(found.values(data.embeddings)).all()
        assert np.isfinite(found.std(data.embeddings)).all()


# ---------------------------------------------------------------------- order


@each_kind
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.4))
def test_the_order_of_rows_and_of_columns_changes_nothing(kind, seed, missing) -> None:
    """Neither with gaps; nothing is read from where a row or a column stands."""
    data, rng = two_kinds(seed, 60), np.random.default_rng(seed)
    quality = np.where(rng.random((60, 3)) < missing, np.nan, data.quality)
    rows, columns = rng.permutation(60), rng.permutation(3)
    scorer = HybridLlmScorer(labels=kind)
    names = tuple(NAMES[j] for j in columns)
    other = dataset(data.embeddings[rows], quality[np.ix_(rows, columns)], names)

    before = scorer.prepare(scorer.learn(dataset(data.embeddings, quality)))
    after = scorer.prepare(scorer.learn(other))

    x = data.embeddings[:10]
    np.testing.assert_allclose(after.values(x), before.values(x)[:, columns], atol=1e-5)
    np.testing.assert_allclose(after.std(x), before.std(x)[:, columns], atol=1e-5)
