"""Rules for embedders, scorers and selectors: arrays in, arrays out, nothing else changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from attrs import evolve

from llmrouter_core.errors import NoEligibleModel
from llmrouter_core.hooks import hookimpl
from llmrouter_core.testing.recording import toy_part
from llmrouter_core.testing.rules import check
from llmrouter_core.testing.subject import QUERIES, Subject, means_something
from llmrouter_core.testing.toys import toy_models, toy_scores
from llmrouter_core.types import Model, Query, Scores

DECIDING = ("embedder", "scorer", "selector")
ROUNDS = 3  # times that each thread asks
ARRAYS = Mapping[str, np.ndarray[Any, Any]]


def same(left: ARRAYS, right: ARRAYS, *, why: str, exactly: bool = False) -> None:
    """Assert that two answers agree: rankings exactly, numbers to six digits."""
    assert left.keys() == right.keys(), f"{why}: {sorted(left)} and {sorted(right)}"
    for name, array in left.items():
        other = right[name]
        equal = array.shape == other.shape and np.allclose(
            array, other, rtol=0 if exactly else 1e-5, atol=0 if exactly else 1e-6, equal_nan=True
        )
        assert equal, f"{why} ('{name}')"


@check(DECIDING)
def check_shapes_and_dtypes(subject: Subject) -> None:
    """Return finite float32 (n, d), scores (n, m) without +inf, or a ranking (n, k)."""
    means_something(subject.kind, subject.decisions(subject.fitted()))


@check(DECIDING)
def check_batch_equals_singles(subject: Subject) -> None:
    """Answer a batch as its queries would be answered one by one."""
    part = subject.ready()
    singles = [subject.decisions(part, [query]) for query in QUERIES]
    joined = {name: np.concatenate([one[name] for one in singles]) for name in singles[0]}

    same(subject.decisions(part), joined, why="a batch and its single queries differ")


@check(DECIDING)
def check_rows_follow_queries(subject: Subject) -> None:
    """Give the same rows in another order for queries in that order."""
    part, order = subject.ready(), np.array([3, 0, 5, 1, 4, 2])
    moved = subject.decisions(part, [QUERIES[row] for row in order])
    still = {name: array[order] for name, array in subject.decisions(part).items()}

    same(moved, still, why="rows do not follow the queries")


@check(("scorer", "selector"))
def check_columns_follow_models(subject: Subject) -> None:
    """Give the same columns in another order for models in that order."""
    part, models, order = subject.ready(), toy_models(), [2, 0, 1]
    moved = subject.decisions(part, models=[models[column] for column in order])
    still = subject.decisions(part)
    if subject.kind == "selector":
        back = np.array([*order, -1])  # the padding stays itself
        same({"ranking": back[moved["ranking"]]}, still, why="ranks do not follow the models")
    else:
        same(
            moved,
            {name: array[:, order] for name, array in still.items()},
            why="columns do not follow the models",
        )


@check(DECIDING)
def check_inputs_are_not_written(subject: Subject) -> None:
    """Leave what it is given as it is: lists, queries and arrays."""
    queries, models = list(QUERIES[::-1]), list(toy_models())
    subject.decisions(subject.ready(), queries, models, frozen=True)

    assert queries == list(QUERIES[::-1]), "it changed the list of queries"
    assert models == list(toy_models()), "it changed the list of models"


@check(DECIDING)
def check_empty_batch(subject: Subject) -> None:
    """Answer no query at all with no row, and not with an error."""
    for name, array in subject.decisions(subject.ready(), []).items():
        assert len(array) == 0, f"'{name}' has {len(array)} rows for no query"
        assert array.ndim == 2, f"'{name}' has shape {array.shape}"


@check(("scorer", "selector"))
def check_one_model(subject: Subject) -> None:
    """Be content with a pool of a single model, one of those it learned about."""
    part = subject.ready()
    for model in toy_models():
        for name, array in subject.decisions(part, models=[model]).items():
            assert array.shape == (len(QUERIES), 1), f"'{name}' has shape {array.shape}"


@check(("selector",))
def check_never_is_never_first(subject: Subject) -> None:
    """Put no model first that any score vetoes with -inf, however good its others are."""
    for column, model in enumerate(toy_models()):
        for name in toy_scores((), ()):
            marked = _Marked(column=column, name=name, value=-np.inf)
            firsts = {one.model.name for one in _decided(subject, marked)}
            assert model.name not in firsts, f"{model.name} stands first although never"


@check(("selector",))
def check_unknown_is_no_error(subject: Subject) -> None:
    """Rank even where a score is not known (NaN), for one model or for all."""
    for column in (0, slice(None)):
        for name in toy_scores((), ()):
            _decided(subject, _Marked(column=column, name=name, value=np.nan))


@check(DECIDING)
def check_same_answer_twice(subject: Subject) -> None:
    """Answer the same when asked twice, and when built twice with the same options."""
    part = subject.ready()
    first = subject.decisions(part)

    same(first, subject.decisions(part), why="a second answer differs", exactly=True)
    same(first, subject.decisions(subject.ready()), why="a part built alike answers otherwise")


@check(DECIDING)
def check_same_answer_from_four_threads(subject: Subject) -> None:
    """Give each of four threads that ask at once what it would get alone."""
    part = subject.ready()
    alone = [subject.decisions(part, [query]) for query in QUERIES[:4]]
    found = _in_threads([partial(subject.decisions, part, [query]) for query in QUERIES[:4]])
    for mine, answers in zip(alone, found, strict=True):
        assert len(answers) == ROUNDS, "a thread got an error"
        for answer in answers:
            same(mine, answer, why="a thread got another answer")


def _in_threads(asks: Sequence[Callable[[], Any]]) -> list[list[Any]]:
    """Return what each of *asks* returned, asked a few times, all at the same time."""
    barrier, found = threading.Barrier(len(asks)), [list[Any]() for _ in asks]

    def run(ask: Callable[[], Any], answers: list[Any]) -> None:
        barrier.wait(timeout=10)
        for _ in range(ROUNDS):
            answers.append(ask())

    threads = [threading.Thread(target=run, args=pair) for pair in zip(asks, found, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return found


class _Marked:
    """Scores in which one column of one name is replaced."""

    def __init__(self, *, column: Any, name: str, value: float) -> None:
        self.column, self.name, self.value = column, name, value

    @hookimpl
    def score(self, queries: list[Query], models: list[Model]) -> tuple[Scores, ...]:
        scores = toy_scores(queries, models)
        values = scores[self.name].values.copy()
        values[:, self.column] = self.value
        scores[self.name] = evolve(scores[self.name], values=values)
        return tuple(scores.values())


def _decided(subject: Subject, scorer: _Marked) -> list[Any]:
    """Return the decisions that *subject*, a selector, takes on the scores of *scorer*."""
    part, marked = subject.ready(), toy_part("scorer", scorer)
    try:
        return subject.pipeline(part, marked, toys=False).decide(QUERIES)
    except NoEligibleModel as error:
        raise AssertionError(f"nothing was left to choose: {error}") from error
