"""Policies: what each gets on every query, and those that a router must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from llmrouter_core.dataset import means
from llmrouter_core.types import Floats, Model

if TYPE_CHECKING:
    from llmrouter_core.training import Dataset


@frozen(kw_only=True, eq=False)
class Outcome:
    """What a policy gets on each query.

    Attributes:
        quality: Score, (n,); NaN where it is not known.
        cost: US dollars of every call made, (n,); NaN where it is not known.
        shares: Share of the query that each model answers, (n, m).
    """

    quality: Floats
    cost: Floats
    shares: Floats


def expected_costs(dataset: Dataset, pool: Sequence[Model]) -> Floats:
    """Return US dollars per call, (n, m): as recorded, else price x tokens, else NaN."""
    prices = np.array(
        [
            [np.nan, np.nan] if model.price is None else [model.price.input, model.price.output]
            for model in pool
        ]
    )  # (m, 2)
    priced = (dataset.input_tokens * prices[:, 0] + dataset.output_tokens * prices[:, 1]) / 1e6
    return np.where(np.isnan(dataset.cost), priced, dataset.cost)


def baselines(
    test: Dataset, train: Dataset, costs: Floats, pool: Sequence[Model] = ()
) -> dict[str, Floats]:
    """Return each baseline policy as the share it gives each model, (n, m).

    Args:
        test: What is replayed.
        train: What says which model is best, overall and for each task.
        costs: US dollars of each call in *test*, (n, m).
        pool: The models of the columns, which say what is smallest and largest.
    """
    n, m = test.quality.shape
    known = ~np.isnan(test.quality)
    policies = {"random": known / np.maximum(known.sum(axis=1, keepdims=True), 1)}
    if not np.isnan(costs).all():
        policies["cheapest"] = one_hot(np.full(n, np.nanargmin(means(costs))), m)
    if pool:
        small = min(range(m), key=lambda j: pool[j].scale)
        policies["smallest"] = one_hot(np.full(n, small), m)
        large = min(range(m), key=lambda j: pool[j].reverse_scale)
        policies["largest"] = one_hot(np.full(n, large), m)
    best = best_single(train)
    policies["best single"] = one_hot(np.full(n, best), m)
    policies["per-task best"] = one_hot(_best_by_task(test, train, best), m)
    filled = np.where(known, test.quality, -np.inf)
    dear = np.where(np.isnan(costs), np.inf, costs)
    policies["oracle"] = one_hot(np.lexsort((dear, -filled), axis=1)[:, 0], m)
    return policies


def best_single(train: Dataset) -> int:
    """Return the column with the best mean score."""
    return int(np.nanargmax(means(train.quality)))


def _best_by_task(test: Dataset, train: Dataset, best: int) -> Any:
    """Return for each query of *test* the best model of its task on *train*, (n,)."""
    tasks = np.asarray(train.tasks)
    chosen = {}
    for task in set(test.tasks):
        found = means(train.quality[tasks == task])  # (m,)
        chosen[task] = best if np.isnan(found).all() else int(np.nanargmax(found))
    return np.array([chosen[task] for task in test.tasks], np.intp)


def expected(share: Floats, quality: Floats, costs: Floats) -> Outcome:
    """Return what a policy gets that gives each model its *share* of a query, (n, m)."""
    return Outcome(quality=_expected(share, quality), cost=_expected(share, costs), shares=share)


def one_hot(columns: Any, m: int) -> Floats:
    """Return the shares of a policy that gives each query to one of *columns*, (n, m)."""
    shares: Floats = np.eye(m)[columns]
    return shares


def _expected(share: Floats, values: Floats) -> Floats:
    """Return each query's expected value under *share*; NaN where a used cell is unknown.

    A query that no model gets, because none has an outcome, is NaN too: nothing is no zero.
    """
    used = share > 0
    total = np.where(used, share * np.where(np.isnan(values), 0.0, values), 0.0).sum(axis=1)
    unknown = (used & np.isnan(values)).any(axis=1) | ~used.any(axis=1)
    return np.where(unknown, np.nan, total)  # (n,)
