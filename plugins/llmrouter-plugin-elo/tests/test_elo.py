"""What is special about the Elo scorer."""

import math

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Preference, Query
from llmrouter_plugin_elo import EloScorer
from llmrouter_plugin_elo.comparisons import Comparisons
from llmrouter_plugin_elo.ratings import dispersion, refit

NAN = math.nan
NAMES = ("a", "b", "c", "d")


def dataset(quality: Floats, embeddings: Floats | None = None) -> Dataset:
    n, m = quality.shape
    points = np.ones((n, 2)) if embeddings is None else embeddings
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(n)),
        models=NAMES[:m],
        quality=quality,
        embeddings=points.astype(np.float32),
    )


def models(data: Dataset) -> list[Model]:
    return [Model(name=name) for name in data.models]


def quality_of(scorer: EloScorer, data: Dataset, probe: Floats) -> Floats:
    queries = [Query(text="?")] * len(probe)
    [scores] = scorer.fit(data).score(queries, models(data), probe.astype(np.float32))
    return scores.values


def test_pairs_are_counted_by_hand() -> None:
    """A pair weighs one over the number of models asked; a tie is half a win to each side."""
    rows = Comparisons.of(dataset(np.array([[1, 0, NAN], [1, 1, 0.5], [1, NAN, NAN]])))

    expected = [[0, 1 / 2 + 1 / 6, 1 / 4], [1 / 6, 0, 1 / 4], [1 / 12, 1 / 12, 0]]
    np.testing.assert_allclose(rows.wins(), expected)


def test_two_models_have_the_logit_of_their_share() -> None:
    """Three of four games won, without a prior: log 3."""
    wins = np.array([[[0.0, 300.0], [100.0, 0.0]]])

    [ratings], _ = refit(wins, np.zeros(2), 1e-9, 30)

    assert ratings[0] - ratings[1] == pytest.approx(math.log(3))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 20))
def test_ratings_are_at_the_maximum_of_the_posterior(seed, precision) -> None:
    """There the gradient is zero, for every table at once."""
    rng = np.random.default_rng(seed)
    wins = rng.exponential(size=(3, 4, 4)) * (1 - np.eye(4)) * rng.choice([0.1, 1, 30])
    prior = rng.normal(size=4)

    ratings, _ = refit(wins, prior, precision, 30)

    chance = 1 / (1 + np.exp(ratings[:, None, :] - ratings[:, :, None]))
    met = wins + wins.transpose(0, 2, 1)
    gradient = (met * chance - wins).sum(axis=2) + precision * (ratings - prior)
    np.testing.assert_allclose(gradient, 0, atol=1e-8)


def test_three_steps_are_enough() -> None:
    """From the ratings of all queries to those of one, with as few comparisons as it may have."""
    wins = np.array([[[0.0, 20.0, 5.0], [0.0, 0.0, 9.0], [5.0, 1.0, 0.0]]])
    prior = np.array([0.5, 0.0, -0.5])

    few, many = (refit(wins, prior, 1.0, steps)[0] for steps in (3, 50))

    np.testing.assert_allclose(few, many, atol=0.01)


def test_a_model_that_never_lost_has_a_rating() -> None:
    """The prior keeps it finite."""
    fitted = EloScorer(weighting="none").fit(dataset(np.tile([1.0, 0.0], (50, 1))))

    assert np.isfinite(fitted.state()["ratings"]).all()
    assert fitted.state()["ratings"][0] > 1


def test_equal_scores_leave_models_equal() -> None:
    """Neither the order of the file nor that of the columns breaks a tie."""
    fitted = EloScorer(weighting="none").fit(
        dataset(np.repeat([[1.0], [0.0]], 20, 0) * np.ones(3))
    )

    np.testing.assert_allclose(fitted.state()["ratings"], 0, atol=1e-12)


def test_the_standard_error_is_the_spread_over_data_sets() -> None:
    """Ratings of many draws scatter as each of them says."""
    rng = np.random.default_rng(0)
    chance = np.array([0.8, 0.6, 0.5, 0.2])
    found, told = [], []
    for _ in range(300):
        rows = Comparisons.of(dataset((rng.random((200, 4)) < chance).astype(float)))
        [ratings], [inverse] = refit(rows.wins()[None], np.zeros(4), 1.0, 10)
        found.append(ratings - ratings.mean())
        told.append(np.sqrt(np.diag(dispersion(rows, ratings, inverse, 1.0))))

    np.testing.assert_allclose(np.mean(told, axis=0), np.std(found, axis=0), rtol=0.15)


@pytest.mark.parametrize("calibration", ["platt", "isotonic", "none"])
def test_a_model_asked_only_what_is_hard_is_not_taken_for_a_weak_one(calibration) -> None:
    """It wins its games, though its mean score is the lowest."""
    rng = np.random.default_rng(0)
    hard = np.arange(400) % 2
    chance = np.where(hard[:, None] == 1, [0.2, 0.1, 0.3], [0.9, 0.8, 0.95])
    quality = (rng.random((400, 3)) < chance).astype(float)
    quality[hard == 0, 2] = NAN
    data = dataset(quality)

    scorer = EloScorer(weighting="none", calibration=calibration)
    values = quality_of(scorer, data, np.ones((2, 2)))

    assert np.nanmean(quality, axis=0)[2] < 0.4 < np.nanmean(quality, axis=0)[1]
    assert values[0].argmax() == 2
    np.testing.assert_array_equal(values[0], values[1])


def test_a_fixed_ranking_tells_the_mean_quality() -> None:
    """Where every model was asked everything, that is what is expected."""
    rng = np.random.default_rng(0)
    quality = (rng.random((1000, 4)) < [0.8, 0.6, 0.5, 0.2]).astype(float)

    values = quality_of(EloScorer(weighting="none"), dataset(quality), np.ones((1, 2)))

    np.testing.assert_allclose(values[0], quality.mean(axis=0), atol=0.02)


@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_similar_queries_rate_models_otherwise(gaps) -> None:
    """Each kind of query goes to the model that is good at it."""
    rng = np.random.default_rng(0)
    kind = np.arange(400) % 2
    points = np.eye(4)[kind] + rng.normal(scale=0.1, size=(400, 4))
    chance = np.array([[0.9, 0.2, 0.5], [0.2, 0.9, 0.5]])[kind]
    quality = (rng.random((400, 3)) < chance).astype(float)
    quality[rng.random((400, 3)) < gaps] = NAN

    values = quality_of(EloScorer(), dataset(quality, points), np.eye(4)[:2])

    np.testing.assert_allclose(values, [[0.9, 0.2, 0.5], [0.2, 0.9, 0.5]], atol=0.15)


@pytest.mark.parametrize("weighting", ["none", "similarity"])
def test_preferences_are_comparisons(weighting) -> None:
    """What users liked better decides where scores are equal; a tie moves nothing."""
    data = dataset(np.ones((30, 3)))
    liked = tuple(Preference(query=i, better="b", worse="a") for i in range(30))
    tied = tuple(Preference(query=i, better="c", worse="a", tie=True) for i in range(30))
    stranger = (Preference(query=0, better="z", worse="b"),)

    fitted = EloScorer(weighting=weighting).fit(evolve(data, preferences=liked + tied + stranger))

    [raw] = fitted.raw(data.take([0]))
    assert raw.argmax() == 1
    assert raw[2] > raw[0]
    assert fitted.raw(data)[0] == pytest.approx(raw)


def test_rows_and_columns_may_come_in_any_order() -> None:
    """The same is predicted, to numerical noise."""
    rng = np.random.default_rng(3)
    quality = rng.choice([0, 0.5, 1, NAN], size=(80, 4))
    quality[:, 0] = 1.0
    data = dataset(quality, rng.normal(size=(80, 3)))
    rows, columns = rng.permutation(80), [2, 0, 3, 1]
    mixed = data.take(rows).for_models([NAMES[j] for j in columns])

    one, other = (EloScorer(k=20).fit(each).raw(data) for each in (data, mixed))

    np.testing.assert_allclose(other, one[:, columns], atol=1e-6)


def test_without_any_comparison_all_models_are_equal() -> None:
    """Each query was asked of one model only."""
    data = dataset(np.where(np.eye(3)[np.arange(30) % 3] > 0, 1.0, NAN))

    np.testing.assert_allclose(EloScorer().fit(data).raw(data), 0, atol=1e-12)


def test_notes_tell_the_ratings() -> None:
    """On Elo's scale, best first: 400 / ln 10 points for a logit."""
    fitted = EloScorer(weighting="none").fit(dataset(np.tile([0.0, 1.0, 1.0, 0.0], (50, 1))))
    points = 1000 + 400 / math.log(10) * fitted.state()["ratings"]

    note = fitted.notes()[-1]

    assert note.startswith(f"scorer 'quality': ratings b {points[1]:.0f} ± ")
    assert note.index("b ") < note.index("c ") < note.index("a ") < note.index("d ")


@pytest.mark.parametrize("option", ["prior", "temperature", "shrinkage"])
def test_options_of_nearly_nothing_are_refused(option) -> None:
    """Ratings without a prior need not exist, and a division overflows."""
    with pytest.raises(ValueError, match=f"'{option}' must be >= 1e-06"):
        EloScorer(**{option: 1e-300})
