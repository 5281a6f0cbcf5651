"""What is special about the stack: weights, caution, familiarity and the plateau guard."""

import numpy as np
import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import (
    ConfigError,
    Dataset,
    DatasetError,
    Floats,
    LLMRouter,
    Model,
    Query,
    Scores,
    hookimpl,
)
from llmrouter_core.learning import LearnedScorer, Ridge
from llmrouter_plugin_stack import ShapeScorer, StackScorer
from llmrouter_plugin_stack.blend import Blend
from llmrouter_plugin_stack.familiarity import Familiarity, Gate, task_folds
from llmrouter_plugin_stack.guard import Guard

MODELS = [Model(name="a"), Model(name="b")]


@define(eq=False, kw_only=True)
class LineScorer(LearnedScorer):
    """A ridge regression, as a member."""

    def learn(self, dataset):
        return Ridge.fit(dataset.embeddings, dataset.quality).arrays()

    def predict(self, learned, queries, embeddings):
        ridge = Ridge.of(learned)
        return ridge.values(embeddings), ridge.std(embeddings)


@define(eq=False, kw_only=True)
class NoiseScorer(LearnedScorer):
    """Say something that has nothing to do with the query's outcome."""

    def learn(self, dataset):
        return {"m": np.array(len(dataset.models))}

    def predict(self, learned, queries, embeddings):
        seeds = [abs(int(1e6 * row.sum())) for row in embeddings]
        return np.array([np.random.default_rng(s).random(int(learned["m"])) for s in seeds])


@define(eq=False, kw_only=True)
class FlatScorer:
    """A scorer that learns nothing and has no errors; some models it does not know."""

    @hookimpl
    def score(self, queries, models):
        return Scores("quality", np.tile([0.5, np.nan], (len(queries), 1))[:, : len(models)])


def dataset(embeddings: Floats, quality: Floats, tasks=None, groups=None) -> Dataset:
    count = len(quality)
    given = {} if groups is None else {"groups": groups}
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(count)),
        models=("a", "b"),
        quality=quality,
        embeddings=embeddings.astype(np.float32),
        tasks=tasks or ("",) * count,
        **given,
    )


def split(seed: int = 0, skill: float = 0.9) -> Dataset:
    """Return two kinds of queries, of three tasks each, and models good at one kind."""
    rng = np.random.default_rng(seed)
    kind = np.arange(600) % 2
    points = np.eye(8)[kind] + rng.normal(scale=0.15, size=(600, 8))
    chance = np.array([[skill, 1 - skill], [1 - skill, skill]])[kind]
    tasks = tuple(f"t{k}{i % 3}" for i, k in enumerate(kind))
    return dataset(points, (rng.random((600, 2)) < chance).astype(float), tasks)


def stack(**options) -> StackScorer:
    members = {"line": LineScorer(), "noise": NoiseScorer()}
    return StackScorer(**{"members": members, **options})


def test_members_earn_their_place() -> None:
    """The one that predicts is believed, the one that guesses is not even asked."""
    fitted = stack().fit(split())

    blend = fitted._learned.blend
    assert blend.weights[0, 1] > 0.3
    assert blend.weights[1, 1] < 0.1
    assert "line" in fitted.notes()[0]
    assert blend.brier[-1] <= blend.brier[0] + 1e-3
    assert blend.brier[-1] < blend.brier[1]


def test_what_is_predicted_is_calibrated() -> None:
    """On new queries a predicted quality is the mean score, with an error that is small."""
    fitted, new = stack().fit(split()), split(seed=1)

    [scores] = fitted.score(new.queries, MODELS, new.embeddings)

    sure = scores.values > 0.7
    assert new.quality[sure].mean() == pytest.approx(scores.values[sure].mean(), abs=0.06)
    assert (scores.std > 0).all()
    assert (scores.values.argmax(axis=1) == np.arange(600) % 2).mean() > 0.9


def test_the_plateau_guard_serves_the_best_single_model() -> None:
    """Where no model is good at anything in particular, every query goes to the best one."""
    rng = np.random.default_rng(2)
    data = dataset(rng.normal(size=(500, 8)), (rng.random((500, 2)) < [0.6, 0.7]).astype(float))
    fitted = stack().fit(data)

    [scores] = fitted.score(data.queries, MODELS, data.embeddings)

    assert (scores.values.argmax(axis=1) == 1).all()
    assert "the plateau guard holds" in fitted.notes()[1]
    assert "'b'" in fitted.notes()[1]


def test_the_guard_lets_go_where_choosing_pays() -> None:
    """And says by how much."""
    fitted = stack().fit(split())

    assert not fitted._learned.guard.holds
    assert "may be chance" not in fitted.notes()[1]
    assert "points of quality over" in fitted.notes()[1]


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_guard_that_holds_leaves_cheaper_models_their_quality(seed) -> None:
    """Only what was predicted above the best single model is held below it."""
    rng = np.random.default_rng(seed)
    values = rng.random((50, 4))
    guard = Guard(best=2, gain=0.0, error=0.1, holds=True)

    found = guard.apply(values)

    assert (found.argmax(axis=1) == 2).all()
    below = values < values[:, [2]] - 1e-6
    np.testing.assert_array_equal(found[below], values[below])


def test_an_unfamiliar_query_is_met_with_doubt() -> None:
    """Far from everything seen, models differ less than near to it."""
    fitted = stack(doubt=8.0).fit(split())
    near = np.eye(8, dtype=np.float32)[:2]
    odd = near.copy()
    odd[:, 2:] = np.random.default_rng(0).normal(scale=1.5, size=(2, 6))
    queries = [Query(text="?"), Query(text="!")]

    [known], [strange] = (fitted.score(queries, MODELS, rows) for rows in (near, odd))
    spread = [np.abs(np.diff(one.values, axis=1)).max() for one in (known, strange)]

    assert spread[1] < spread[0]
    gate, familiarity = fitted._learned.gate, fitted._learned.familiarity
    probabilities = [gate.probability(familiarity.features(rows), 0.8) for rows in (near, odd)]
    assert probabilities[1].max() < probabilities[0].min()


def test_whole_tasks_are_held_out_evenly() -> None:
    """No task stands on both sides; without tasks, clusters take their place."""
    data = split()
    fold = task_folds(data, 3, 0)
    of_task: dict[str, set[int]] = {}
    for task, number in zip(data.tasks, fold.tolist(), strict=True):
        of_task.setdefault(task, set()).add(number)

    assert all(len(found) == 1 for found in of_task.values())
    assert np.bincount(fold).max() <= 2 * np.bincount(fold).min()

    nameless = dataset(data.embeddings, data.quality)
    assert len(set(task_folds(nameless, 3, 0).tolist())) > 1


def test_leverage_and_nearness_are_computed_as_said() -> None:
    """x' (X'X + r I)^-1 x, and the cosine to the nearest task's centre."""
    data = split()
    found = Familiarity.fit(data, 0)
    x = (data.embeddings - data.embeddings.mean(axis=0)).astype(float)
    row = np.linspace(-1, 1, 8, dtype=np.float32)
    seen = row - data.embeddings.mean(axis=0)
    leverage = seen @ np.linalg.inv(x.T @ x + 10 * np.eye(8)) @ seen
    centres = [x[np.array(data.tasks) == task].mean(axis=0) for task in sorted(set(data.tasks))]
    cosines = [seen @ c / np.linalg.norm(seen) / np.linalg.norm(c) for c in centres]

    [[minus_log, nearest]] = found.features(row[None, :])

    assert minus_log == pytest.approx(-np.log(leverage + 1e-6), abs=1e-3)
    assert nearest == pytest.approx(max(cosines), abs=1e-4)


def test_the_gate_tells_what_it_was_shown() -> None:
    """Half of the mass on either side, moved by how many are expected to be familiar."""
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, size=(900, 2)), rng.normal(-1, 1, size=(100, 2))
    gate = Gate.fit(inside, outside)

    assert gate.probability(np.zeros((1, 2)), 0.5)[0] == pytest.approx(0.5, abs=0.1)
    assert gate.probability(np.ones((1, 2)), 0.5)[0] > 0.85
    assert gate.probability(np.zeros((1, 2)), 0.9)[0] == pytest.approx(0.9, abs=0.05)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_weights_are_at_the_constrained_optimum(seed) -> None:
    """The gradient is zero where a weight is positive, and pushes outward where it is zero."""
    rng = np.random.default_rng(seed)
    truth = rng.random((300, 3))
    quality = (rng.random((300, 3)) < truth).astype(float)
    values = np.stack(
        [
            np.clip(truth + rng.normal(scale=0.2, size=truth.shape), 0.03, 0.97),
            rng.uniform(0.03, 0.97, size=truth.shape),
        ]
    )
    blend = Blend.fit(values, np.full_like(values, np.nan), quality, ["probability"] * 2)

    common, own = blend._sides(values)
    eta = blend.intercepts + np.einsum("k,knm->nm", blend.weights[:, 0], common)
    rest = 1 / (1 + np.exp(-(eta + np.einsum("k,knm->nm", blend.weights[:, 1], own)))) - quality
    for side, weights in ((common, blend.weights[:, 0]), (own, blend.weights[:, 1])):
        gradient = np.einsum("nm,knm->k", rest, np.broadcast_to(side, values.shape)) + weights
        assert (np.abs(gradient[weights > 0]) < 1e-3).all()
        assert (gradient[weights == 0] > -1e-3).all()


def test_any_scorer_can_be_a_member() -> None:
    """One that does not learn, knows too little and states no error is no problem."""
    data = split()
    members = {"line": LineScorer(), "flat": FlatScorer()}
    fitted = StackScorer(members=members).fit(data)
    restored = StackScorer(members=members).restore(fitted.state())

    [one], [other] = (s.score(data.queries, MODELS, data.embeddings) for s in (fitted, restored))

    np.testing.assert_array_equal(one.values, other.values)
    assert "not needed: flat" in fitted.notes()[0]


def test_members_come_from_the_config() -> None:
    """With options of their own, checked as those of any part."""
    config = {
        "router": "auto",
        "caller": "sim",
        "scorer": {
            "quality": {
                "use": "stack",
                "members": {"shape": "shape", "few": {"use": "shape", "k": 1}},
            }
        },
    }
    with pytest.raises(ConfigError, match=r"unknown option 'k'.*@ scorer.quality.members.few"):
        LLMRouter(config)
    with pytest.raises(ConfigError, match="a member's name is not"):
        StackScorer(members={"a.b": ShapeScorer()})


def test_a_scorer_that_wraps_others_cannot_be_a_member() -> None:
    """There is nothing inside a stack that it could add to."""

    class Adding:
        @hookimpl(wrapper=True)
        def score(self):
            return [*(yield), None]

    with pytest.raises(ConfigError, match="'cost' adds to what other scorers say"):
        StackScorer(members={"cost": Adding()})


def test_a_member_may_say_nothing() -> None:
    """It then gets no weight."""

    class Silent:
        @hookimpl
        def score(self):
            return None

    members = {"line": LineScorer(), "silent": Silent()}
    fitted = StackScorer(members=members).fit(split())

    assert "not needed: silent" in fitted.notes()[0]


def test_queries_of_one_group_cannot_be_stacked() -> None:
    """Nothing can be held out; the message says what to do."""
    data = dataset(np.eye(8), np.ones((8, 2)), groups=("all",) * 8)

    with pytest.raises(DatasetError, match="one group"):
        stack().fit(data)


def test_shape_is_seen_not_read() -> None:
    """Long queries with code are told from short ones without, whatever the words."""
    texts = [f"def f{i}(x):\n    return {i} * x\n" * 5 for i in range(40)]
    texts += [f"Name a river number {i}." for i in range(40)]
    quality = np.repeat([[0.9, 0.2], [0.1, 0.8]], 40, axis=0)
    data = Dataset(
        queries=tuple(Query(text=text) for text in texts),
        models=("a", "b"),
        quality=quality,
        embeddings=np.zeros((80, 2), np.float32),
    )
    fitted = ShapeScorer().fit(data)
    queries = [Query(text="class A:\n    def g(self):\n        return 3\n" * 4), Query(text="Hi?")]

    [scores] = fitted.score(queries, MODELS, np.zeros((2, 2), np.float32))

    assert scores.values.argmax(axis=1).tolist() == [0, 1]
