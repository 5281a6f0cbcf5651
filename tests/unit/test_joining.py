"""Models that join by a few answers: which queries, what is learned, and what they take."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrouter_core import Dataset, DatasetError, Model, Query
from llmrouter_core.learning import Joined, LearnedScorer, anchors
from llmrouter_core.learning.amounts import AMOUNTS
from llmrouter_core.types import Arrays, Floats

# ---------------------------------------------------------------------------- anchors


@settings(max_examples=60)
@given(
    n=st.integers(0, 60),
    m=st.integers(1, 5),
    budget=st.integers(0, 70),
    seed=st.integers(0, 50),
    gaps=st.floats(0, 1),
)
def test_anchors_are_different_rows_as_many_as_wanted(n, m, budget, seed, gaps) -> None:
    """Whatever is known of the others, even nothing; and the same each time."""
    rng = np.random.default_rng(seed)
    quality = np.where(rng.random((n, m)) < gaps, np.nan, rng.integers(0, 2, (n, m)))
    found = anchors(quality, budget, seed=seed)

    assert len(set(found.tolist())) == len(found) == min(n, budget)
    assert all(0 <= row < n for row in found)
    np.testing.assert_array_equal(found, anchors(quality, budget, seed=seed))


def test_every_kind_of_query_has_its_share_of_the_anchors() -> None:
    """Four kinds, a tenth to four tenths of the queries: at random a kind would be off by more."""
    kinds = np.repeat([0, 1, 2, 3], [40, 80, 120, 160])
    quality = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])[kinds]
    for seed in range(20):
        counts = np.bincount(kinds[anchors(quality, 40, seed=seed)], minlength=4)

        assert np.abs(counts - [4, 8, 12, 16]).max() <= 2


def test_every_query_stands_the_same_chance() -> None:
    """So the mean over the anchors is right on average, whatever the new model can do."""
    quality = np.random.default_rng(1).random((40, 3))
    drawn = np.zeros(40)
    for seed in range(2000):
        drawn[anchors(quality, 8, seed=seed)] += 1

    # 2,000 draws at 1/5 have a standard deviation of 18.
    assert np.abs(drawn - 400).max() < 5 * 18


# ---------------------------------------------------------------------------- quality


def estimated(known: Floats, outcome: Floats) -> tuple[float, float]:
    """Return the level over the rows of *known*, and its error."""
    joined = Joined.none(known.shape[1]).with_model(known, outcome)
    return float(joined.bias[0] + known.mean(axis=0) @ joined.weights[0]), float(joined.error[0])


def test_the_level_is_moved_to_all_queries() -> None:
    """The anchors are easy ones; a copy of the known model is as good as that on all."""
    known = np.tile([[1.0], [0.0]], (100, 1))
    outcome = np.full(200, np.nan)
    outcome[:60] = known[:60, 0]
    outcome[100:140:2] = 1.0  # the even rows are easy
    level, error = estimated(known, outcome)

    assert np.nanmean(outcome) == pytest.approx(50 / 80)
    assert level == pytest.approx(0.5, abs=0.02)
    assert error < 0.03


def test_one_answer_says_little() -> None:
    """Its level is shrunk: 0.25 ^ 2 over that plus 0.01, the variance taken for granted."""
    known = np.array([[0.2, 0.4], [0.4, 0.6]])
    level, _ = estimated(known, np.array([1.0, np.nan]))
    # One row has no slope: weights 1/2 each; the level there is 1 - (0.3 - 0.4) = 1.1.
    trust = 0.0625 / 0.0725

    assert level == pytest.approx(trust * 1.1 + (1 - trust) * 0.4)


@pytest.mark.parametrize("m", [1, 2, 10])
def test_five_answers_are_enough_to_join(m) -> None:
    """With fewer anchors than models, too, estimates are finite and in 0..1."""
    rng = np.random.default_rng(m)
    known = rng.integers(0, 2, (50, m)).astype(float)
    outcome = np.full(50, np.nan)
    outcome[anchors(known, 5)] = [1, 0, 1, 1, 0]
    joined = Joined.none(m).with_model(known, outcome)
    values, std = joined.extend(known, np.full(known.shape, 0.1))

    assert values.shape == std.shape == (50, m + 1)
    assert ((values >= 0) & (values <= 1)).all()
    assert (std > 0).all()


def test_many_answers_find_which_model_it_is_like() -> None:
    """Then its outcomes are predicted by that model's, not by the mean of all."""
    rng = np.random.default_rng(0)
    known = rng.integers(0, 2, (2000, 3)).astype(float)
    weights = Joined.none(3).with_model(known, known[:, 1]).weights[0]

    np.testing.assert_allclose(weights, [0, 1, 0], atol=0.05)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_and_models_changes_nothing(seed) -> None:
    """The regression knows neither."""
    rng = np.random.default_rng(seed)
    known, outcome = rng.random((30, 4)), rng.random(30)
    outcome[rng.random(30) < 0.5] = np.nan
    outcome[0] = 1.0
    rows, columns = rng.permutation(30), rng.permutation(4)
    one = Joined.none(4).with_model(known, outcome)
    other = Joined.none(4).with_model(known[np.ix_(rows, columns)], outcome[rows])

    np.testing.assert_allclose(other.weights[0], one.weights[0, columns], atol=1e-9)
    np.testing.assert_allclose(other.bias, one.bias, atol=1e-9)


def test_the_error_says_how_wrong_the_level_is() -> None:
    """Over many draws, levels miss the truth by about the error they claim."""
    misses, claimed = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        ease = rng.random(400)[:, None]
        outcomes = (rng.random((400, 4)) < 0.3 + 0.6 * ease).astype(float)
        known, new = outcomes[:, :3], outcomes[:, 3]
        rows = anchors(known, 50, seed=seed)
        outcome = np.full(400, np.nan)
        outcome[rows] = new[rows]
        level, error = estimated(known, outcome)
        misses.append(level - new.mean())
        claimed.append(error)

    assert abs(np.mean(misses)) < 0.01
    assert np.sqrt(np.mean(np.square(misses))) == pytest.approx(np.mean(claimed), rel=0.25)


# ---------------------------------------------------------------------------- amounts


def test_the_ratio_is_that_of_the_sums() -> None:
    """Twice the tokens of the others; its error is that of the residuals."""
    known, outcome = np.full((4, 2), 0.5), np.array([1.0, 0.0, 1.0, np.nan])
    taken = np.array([30.0, 10.0, 80.0, np.nan])
    expected = np.array([10.0, 20.0, 30.0, 40.0])
    joined = Joined.none(2).with_model(known, outcome, {"output_tokens": (taken, expected)})
    values, std = joined.extend_amounts(
        "output_tokens", np.array([[100.0, 300.0]]), np.zeros((1, 2))
    )
    # Ratio 120 / 60; residuals 10, -30, 20; sqrt(3 * 1400 / 2) / 60.
    scatter = np.sqrt(3 * 1400 / 2) / 60

    assert joined.ratios[0, AMOUNTS.index("output_tokens")] == 2
    np.testing.assert_allclose(values, [[100, 300, 400]])
    np.testing.assert_allclose(std[0, 2], 200 * scatter)


def test_without_records_it_takes_what_the_others_take() -> None:
    """As uncertain as they differ."""
    joined = Joined.none(2).with_model(np.full((2, 2), 0.5), np.array([1.0, 0.0]))
    values, std = joined.extend_amounts("latency", np.array([[1.0, 3.0]]), np.zeros((1, 2)))

    np.testing.assert_allclose(values, [[1, 3, 2]])
    np.testing.assert_allclose(std, [[0, 0, 1]])


# ---------------------------------------------------------------------------- in a scorer


class Mean(LearnedScorer):
    """Says of every query what the model's mean is."""

    def learn(self, dataset: Dataset) -> Arrays:
        return {"mean": np.nan_to_num(np.nanmean(dataset.quality, axis=0))}

    def predict(self, learned: Arrays, queries, embeddings: Floats) -> Floats:
        return np.tile(learned["mean"], (len(queries), 1))


def recorded(quality: Floats, *names: str, **matrices: Floats) -> Dataset:
    n = len(quality)
    embeddings = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    queries = tuple(Query(text=f"q{i}") for i in range(n))
    return Dataset(
        queries=queries, models=names, quality=quality, embeddings=embeddings, **matrices
    )


@pytest.fixture
def taught() -> tuple[LearnedScorer, Floats, Floats]:
    """A scorer of two models, with what it learned from."""
    quality = np.random.default_rng(1).integers(0, 2, (80, 2)).astype(float)
    tokens = np.tile([10.0, 30.0], (80, 1))
    scorer = Mean(calibration="none").fit(recorded(quality, "a", "b", output_tokens=tokens))
    return scorer, quality, tokens


def test_a_scorer_with_new_models_survives_its_state(taught) -> None:
    """Two join one after the other; both have quality and lengths of their own."""
    scorer, quality, tokens = taught
    models = [Model(name=name) for name in "abcd"]
    for name, size in (("c", 60.0), ("d", 5.0)):
        column = np.full((80, 1), np.nan)
        column[::4] = 1.0
        more = recorded(
            np.hstack([quality, column]),
            *("a", "b", name),
            output_tokens=np.hstack([tokens, column * size]),
        )
        scorer = scorer.joined(more, name)
    again = Mean(calibration="none").restore(scorer.state())
    asked = recorded(quality, "a", "b")
    first, second = (one.score(asked.queries, models, asked.embeddings) for one in (scorer, again))

    assert [scores.name for scores in first] == ["quality", "output_tokens"]
    for one, other in zip(first, second, strict=True):
        assert one.values.shape == (80, 4)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.std, other.std)
    assert (first[0].values[:, 2:] > first[0].values[:, :2].max()).all()
    np.testing.assert_allclose(first[1].values[0], [10, 30, 60, 5], rtol=0.01)


def test_gaps_of_the_others_are_what_is_predicted(taught) -> None:
    """Without any outcome of theirs, and without their columns, the result is the same."""
    scorer, _, _ = taught
    column = np.full((80, 1), np.nan)
    column[:20] = 1.0
    gaps = recorded(np.hstack([np.full((80, 2), np.nan), column]), "a", "b", "c")
    alone = scorer.joined(recorded(column, "c"), "c").state()

    for key, value in scorer.joined(gaps, "c").state().items():
        np.testing.assert_array_equal(value, alone[key])


def test_who_is_known_or_never_answered_cannot_join(taught) -> None:
    """Each with its reason."""
    scorer, quality, _ = taught
    with pytest.raises(DatasetError, match="knows model 'a' already"):
        scorer.joined(recorded(quality, "a", "b"), "a")
    with pytest.raises(DatasetError, match="'c' has no outcome"):
        scorer.joined(recorded(quality, "a", "b"), "c")
