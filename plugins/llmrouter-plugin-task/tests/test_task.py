"""What is special about the task scorer."""

import numpy as np
import pytest
from llmrouter_core import Dataset, Model, Query
from llmrouter_plugin_task import TaskScorer
from llmrouter_plugin_task.table import Table

MODELS = [Model(name="a"), Model(name="b")]


def dataset(*, named: bool = True) -> Dataset:
    """Return two tasks that the embedding tells apart; each model is good at one."""
    rng = np.random.default_rng(0)
    kind = np.arange(200) % 2
    points = 2 * np.eye(4)[kind] + rng.normal(scale=0.2, size=(200, 4))
    chance = np.array([[0.9, 0.2], [0.3, 0.8]])[kind]
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(200)),
        models=("a", "b"),
        quality=(rng.random((200, 2)) < chance).astype(float),
        tasks=tuple(("maths", "cooking")[k] if named else "" for k in kind),
        embeddings=points.astype(np.float32),
    )


def test_a_cell_is_pulled_towards_its_model_and_its_task() -> None:
    """By hand: two tasks, one model, four outcomes, shrinkage 2."""
    values = np.array([[1.0], [1.0], [0.0], [1.0]])
    table = Table.fit(values, np.array([0, 0, 1, 1]), 2, shrinkage=2.0)

    mean = 0.75
    effect = (0.25 + 0.25) / (2 + 2)
    first = mean + effect + (0.5 - 2 * effect) / (2 + 2)
    other = (-0.75 + 0.25) / (2 + 2)
    second = mean + other + (-0.5 - 2 * other) / (2 + 2)
    assert table.means[:, 0] == pytest.approx([first, second])
    assert (table.errors > 0).all()


def test_the_embedding_tells_the_task_where_nobody_does() -> None:
    """Each kind of query goes to the model that is good at it."""
    probe = 2 * np.eye(4, dtype=np.float32)[:2]

    [scores] = TaskScorer().fit(dataset()).score([Query(text="?")] * 2, MODELS, probe)

    assert scores.values.argmax(axis=1).tolist() == [0, 1]


def test_a_task_that_is_told_is_believed_and_an_unknown_one_is_not() -> None:
    """Facts win over the embedding; a name nobody recorded changes nothing."""
    fitted = TaskScorer(calibration="none").fit(dataset())
    maths = 2 * np.eye(4, dtype=np.float32)[:1]
    told, odd = ({"task": "cooking"}, {"task": "astrology"})

    [plain] = fitted.score([Query(text="?")], MODELS, maths)
    [named] = fitted.score([Query(text="?", facts=told)], MODELS, maths)
    [other] = fitted.score([Query(text="?", facts=odd)], MODELS, maths)

    assert plain.values.argmax() == 0
    assert named.values.argmax() == 1
    np.testing.assert_array_equal(other.values, plain.values)


def test_far_from_every_task_their_shares_are_all_that_is_known() -> None:
    """Then the prediction is near the models' means, and its error larger."""
    data = dataset()
    fitted = TaskScorer(calibration="none").fit(data)
    near = 2 * np.eye(4, dtype=np.float32)[:1]
    far = np.array([[1.0, 1.0, 30.0, -30.0]], np.float32)

    [known], [strange] = (fitted.score([Query(text="?")], MODELS, x) for x in (near, far))

    assert np.abs(strange.values - data.quality.mean(axis=0)).max() < 0.15
    assert strange.std.min() > known.std.max()


def test_outcomes_without_tasks_give_the_means_and_say_so() -> None:
    """Every query is judged alike."""
    data = dataset(named=False)
    fitted = TaskScorer(calibration="none").fit(data)

    [scores] = fitted.score(data.queries, MODELS, data.embeddings)

    assert np.ptp(scores.values, axis=0) == pytest.approx(0)
    assert scores.values[0] == pytest.approx(data.quality.mean(axis=0), abs=0.02)
    assert "no outcome names its task" in fitted.notes()[-1]
