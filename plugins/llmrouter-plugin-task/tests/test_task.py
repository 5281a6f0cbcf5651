"""What is special about the task scorer."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Dataset, Floats, Model, Query
from llmrouter_core.learning import Ridge, Table
from llmrouter_plugin_task import TaskScorer
from llmrouter_plugin_task.posterior import Posterior

MODELS = [Model(name="a"), Model(name="b")]
PLAIN = {"calibration": "none", "targets": ("quality",)}


def dataset(embeddings: Floats, quality: Floats, tasks: list[str]) -> Dataset:
    return Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(len(quality))),
        models=tuple(model.name for model in MODELS),
        quality=quality,
        tasks=tuple(tasks),
        embeddings=embeddings.astype(np.float32),
    )


def two_tasks(rows: int = 200) -> Dataset:
    """Return queries of two tasks; each model is good at one of them."""
    rng = np.random.default_rng(0)
    kind = np.arange(rows) % 2
    points = np.eye(8)[kind] + rng.normal(scale=0.1, size=(rows, 8))
    chance = np.array([[0.9, 0.2], [0.2, 0.9]])[kind]
    quality = (rng.random((rows, 2)) < chance).astype(float)
    return dataset(points, quality, [["cooking", "maths"][k] for k in kind])


def ask(scorer: TaskScorer, embedding: Floats, **facts: object) -> tuple[Floats, Floats]:
    """Return values and standard errors of one query, (2,) each."""
    query = Query(text="?", facts=facts)
    [scores] = scorer.score([query], MODELS, embedding[None].astype(np.float32))
    return scores.values[0], scores.std[0]


def test_the_table_is_what_the_equation_says() -> None:
    """Two kinds, two models, a gap and a cell without any outcome, computed by hand."""
    values = np.array([[1.0, 1.0], [0.0, np.nan], [0.5, np.nan]])

    table = Table.fit(values, np.array([0, 0, 1]), 2, shrinkage=2.0)

    # Means of the models: 0.5 and 1. Around them kind 0 has 0.5, -0.5 and 0; kind 1 has 0.
    assert table.means == pytest.approx(np.array([[0.5, 1.0], [0.5, 1.0]]))
    # Model a: variance (0.25 + 0.25) / 3 overall; kind 0: (0.5 + 2/6) / (2 + 2), over 2 + 2.
    assert table.errors[0, 0] == pytest.approx(np.sqrt((0.5 + 2 / 6) / 4 / 4))
    assert table.errors[1, 0] == pytest.approx(np.sqrt((2 / 6) / 3 / 3))


def test_what_a_task_adds_for_all_models_reaches_a_model_never_asked_on_it() -> None:
    """A hard task is expected to be hard for the model that was not asked."""
    values = np.array([[0.9, 0.8]] * 20 + [[0.1, np.nan]] * 20)

    table = Table.fit(values, np.repeat([0, 1], 20), 2, shrinkage=1.0)

    # Model a is 0.4 under its mean of 0.5 on the second task, and 0.4 above it on the first.
    assert table.means[1, 1] == pytest.approx(0.8 - 0.4 * 20 / 21, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(0, 0.9))
def test_the_order_of_rows_and_columns_does_not_matter(seed, shrinkage, missing) -> None:
    """The table moves with its columns and stays as it is when rows are shuffled."""
    rng = np.random.default_rng(seed)
    values, kinds = rng.random((30, 4)), rng.integers(3, size=30)
    values[rng.random((30, 4)) < missing] = np.nan
    rows, columns = rng.permutation(30), rng.permutation(4)

    table = Table.fit(values, kinds, 3, shrinkage)
    moved = Table.fit(values[rows][:, columns], kinds[rows], 3, shrinkage)

    np.testing.assert_allclose(moved.means, table.means[:, columns], atol=1e-12)
    np.testing.assert_allclose(moved.errors, table.errors[:, columns], atol=1e-12)
    assert ((table.means >= 0) & (table.means <= 1)).all()


def test_a_mixture_counts_how_far_its_kinds_lie_apart() -> None:
    """Half and half of 0.2 and 0.8: mean 0.5, variance 0.09 beside that of the means."""
    table = Table(means=np.array([[0.2], [0.8]]), errors=np.array([[0.1], [0.3]]))

    mean, std = table.mixed(np.array([[0.5, 0.5], [1.0, 0.0]]), one=True)

    assert mean[:, 0] == pytest.approx([0.5, 0.2])
    assert std[:, 0] == pytest.approx([np.sqrt(0.25 * (0.01 + 0.09) + 0.09), 0.1])


def test_a_task_that_is_told_is_believed() -> None:
    """The facts say more than the embedding, and leave less doubt."""
    data = two_tasks()
    fitted = TaskScorer(**PLAIN).fit(data)
    means = fitted.state()["means"]
    between = np.full(8, 0.1)

    for row, task in enumerate(["cooking", "maths"]):
        values, std = ask(fitted, np.eye(8)[1 - row], task=task)
        assert values == pytest.approx(means[row])
        assert std == pytest.approx(fitted.state()["errors"][row])
        assert (std < ask(fitted, between)[1]).all()


@pytest.mark.parametrize("task", ["unheard of", "", None, 3, ["maths"], {"maths": 1}])
def test_a_task_it_does_not_know_is_guessed_instead(task) -> None:
    """As if nothing had been said."""
    fitted = TaskScorer(**PLAIN).fit(two_tasks())

    told, untold = ask(fitted, np.eye(8)[1], task=task), ask(fitted, np.eye(8)[1])

    np.testing.assert_array_equal(told, untold)
    assert untold[0][1] > untold[0][0] + 0.4, "the embedding says maths"


def test_rows_of_a_batch_do_not_mix() -> None:
    """One query names its task, the other does not."""
    fitted = TaskScorer(**PLAIN).fit(two_tasks())
    queries = [Query(text="?", facts={"task": "cooking"}), Query(text="?")]
    probe = np.eye(8, dtype=np.float32)[[1, 1]]

    [scores] = fitted.score(queries, MODELS, probe)

    assert scores.values[0] == pytest.approx(ask(fitted, np.eye(8)[1], task="cooking")[0])
    assert scores.values[1] == pytest.approx(ask(fitted, np.eye(8)[1])[0])


def test_far_from_every_task_it_says_the_mean_of_all() -> None:
    """More caution, nearer to the mean; near the tasks it hardly matters."""
    data = two_tasks(60)
    far = np.eye(8)[5] * 3 + np.eye(8)[1] * 0.5  # a little like maths, but mostly like nothing
    gaps, near = [], []
    for caution in (0.0, 2.0, 10.0):
        fitted = TaskScorer(caution=caution, **PLAIN).fit(data)
        middle = fitted.state()["means"].mean(axis=0)
        gaps.append(np.abs(ask(fitted, far)[0] - middle).max())
        near.append(np.abs(ask(fitted, np.eye(8)[1])[0] - middle).max())

    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[1] < 0.8 * near[1]


def test_the_guess_is_the_equation() -> None:
    """Three tasks by hand, from the same regression."""
    rng = np.random.default_rng(3)
    kinds = np.arange(90) % 3
    x = (np.eye(6)[kinds] + rng.normal(scale=0.5, size=(90, 6))).astype(np.float32)
    told = Posterior.fit(x, kinds, 3, caution=1.0)
    ridge = Ridge.fit(x, np.eye(3)[kinds])

    found = told.shares(x[:4], caution=1.0)

    for row in range(4):
        weight = []
        for g in range(3):
            unit = np.sqrt(2) / 3  # standard deviation of an indicator whose mean is 1/3
            away = (ridge.values(x[row : row + 1])[0, g] - 1 / 3) / unit
            error = ridge.std(x[row : row + 1])[0, g] / unit
            root = np.sqrt(1 + np.pi / 8 * (told.sharpness * error) ** 2)
            weight.append(np.exp(told.sharpness * away / root) / 3)
        assert found[row] == pytest.approx(np.array(weight) / sum(weight), rel=1e-4)
    assert 0.5 < told.recognised < 1


def test_noise_has_no_task_in_it() -> None:
    """Where the embedding says nothing, the guess is little more than the shares."""
    rng = np.random.default_rng(4)
    kinds = (np.arange(400) % 4 == 0).astype(np.intp)
    told = Posterior.fit(rng.normal(size=(400, 5)).astype(np.float32), kinds, 2, caution=2.0)

    shares = told.shares(rng.normal(size=(100, 5)).astype(np.float32), caution=2.0)

    assert shares[:, 1] == pytest.approx(np.full(100, 0.25), abs=0.1)


def test_without_tasks_it_says_the_means_of_the_models_and_tells_so() -> None:
    """Every query gets the same, and the notes say why."""
    data = two_tasks()
    fitted = TaskScorer(**PLAIN).fit(dataset(data.embeddings, data.quality, [""] * len(data)))

    here, there = ask(fitted, np.eye(8)[0])[0], ask(fitted, np.eye(8)[1], task="maths")[0]

    assert here == pytest.approx(data.quality.mean(axis=0))
    assert there == pytest.approx(here)
    assert "no outcome names its task" in fitted.notes()[-1]


def test_queries_without_a_task_are_a_kind_of_their_own() -> None:
    """They cannot be named, but they are recognised."""
    data = two_tasks()
    tasks = ["" if task == "maths" else task for task in data.tasks]
    fitted = TaskScorer(**PLAIN).fit(dataset(data.embeddings, data.quality, tasks))

    values, _ = ask(fitted, np.eye(8)[1])

    assert fitted.state()["tasks"].tolist() == ["", "cooking"]
    assert values[1] > values[0] + 0.4
    assert "tasks learned: 1; the embedding tells 100%" in fitted.notes()[-1]


def test_very_many_tasks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most frequent are kept; the others count as none."""
    monkeypatch.setattr("llmrouter_plugin_task._MOST", 2)
    data = two_tasks(60)
    tasks = ["often"] * 30 + ["seldom"] * 20 + ["once"] * 10

    fitted = TaskScorer(**PLAIN).fit(dataset(data.embeddings, data.quality, tasks))

    assert fitted.state()["tasks"].tolist() == ["", "often", "seldom"]


def test_a_fold_may_lack_a_task_and_a_model() -> None:
    """A task with a single query and a model hardly ever asked train without a warning."""
    data = two_tasks(40)
    quality = data.quality.copy()
    quality[1:, 1] = np.nan
    tasks = ["rare", *data.tasks[1:]]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = TaskScorer(targets=("quality",)).fit(dataset(data.embeddings, quality, tasks))

    values, std = ask(fitted, np.eye(8)[0])
    assert np.isfinite(values).all()
    assert (std > 0).all()
