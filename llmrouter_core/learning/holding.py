"""What a scorer says of queries that were held out while it learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen

from llmrouter_core.dataset import Dataset
from llmrouter_core.splitting import folds as folds_of
from llmrouter_core.types import Floats, Ints

LEARNED, ASKED, PROBED = 20_000, 4096, 128
"""Beyond so many queries a single fold is held out; so many held-out queries are predicted; on
so many the models of the folds are compared."""

Predict = Callable[[Dataset], Floats]
Learn = Callable[[Dataset], Predict]


@frozen(kw_only=True, eq=False)
class Held:
    """Predictions for held-out queries.

    Attributes:
        rows: Rows of the data set that were predicted, (h,).
        values: Predictions, (h, m).
        spread: Standard error of a prediction by what leaving a fold out changes, (m,).
    """

    rows: Ints
    values: Floats
    spread: Floats


def held_out(
    learn: Learn,
    dataset: Dataset,
    whole: Predict,
    folds: int,
    seed: int,
    *,
    fold: Ints | None = None,
) -> Held:
    """Return what is predicted for queries of *dataset* by learning from the other folds.

    Folds are whole groups of queries, and equal texts stay together. The spread is the
    delete-a-group jackknife (Kott 2001): `var = (k - 1) * mean over folds of (p_fold - p)^2` on
    the same queries.

    Args:
        learn: Returns a function that predicts, (n, m), having learned from a data set.
        dataset: The outcomes.
        whole: What was learned from all of them.
        folds: How many folds.
        seed: Seed of the folds and of the queries that are looked at.
        fold: The fold of each query, (n,), from 0 to *folds* - 1, where it is not to be drawn.
    """
    if fold is None:
        fold = folds_of(zip(dataset.groups, dataset.texts, strict=True), folds, seed)
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.permutation(len(dataset))[:PROBED])
    probe = dataset.take(asked)
    usual = whole(probe)
    used = range(min(folds, int(fold.max(initial=0)) + 1) if len(dataset) <= LEARNED else 1)
    rows, values, changes = [], [], []
    for number in used:
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(inside) or not len(outside):
            continue
        share = max(1, ASKED // len(used))
        outside = np.sort(rng.permutation(outside)[:share])
        predict = learn(dataset.take(inside))
        rows.append(outside)
        values.append(predict(dataset.take(outside)))
        changes.append(np.square(predict(probe) - usual).mean(axis=0))
    if not rows:
        m = len(dataset.models)
        return Held(rows=np.zeros(0, np.intp), values=np.zeros((0, m)), spread=np.zeros(m))
    return Held(
        rows=np.concatenate(rows),
        values=np.concatenate(values),
        spread=np.sqrt((folds - 1) * np.mean(changes, axis=0)),
    )
