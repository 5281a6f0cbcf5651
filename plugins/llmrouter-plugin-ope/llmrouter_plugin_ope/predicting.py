"""A model of what each model would have got, for the doubly robust estimate.

    q(x, a) = mean_a + slope * (s_a(x) - centre_a)

with s the score that was logged, a mean of its own for each model a (drawn towards that of all
by ten queries) and one slope for all. Each fifth of the log is predicted from the other four, by
whole groups: no row speaks for itself, so that a wrong prediction costs width and not truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llmrouter_core import Floats, Ints

_FOLDS = 5
_DRAWN = 10.0  # queries that the mean of all counts for


def predicted(
    values: Floats, chosen: Ints, scores: Floats, groups: Sequence[str], seed: int
) -> Floats:
    """Return what is expected of every model for every query, (n, m).

    Args:
        values: What came of the chosen model, (n,); NaN is unknown.
        chosen: Its column, (n,).
        scores: What was predicted, (n, m); NaN is unknown.
        groups: Rows of one group are predicted from others.
        seed: Seed of the folds.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max()) + 1 if len(group) else 0
    fold = np.random.default_rng(seed).permutation(count)[group] % _FOLDS if count else group
    found = np.empty(scores.shape)
    for number in range(_FOLDS):
        here = fold == number
        others = ~here & ~np.isnan(values)
        if not others.any():  # one group is all there is
            found[here] = 0.0
            continue
        found[here] = _fitted(values[others], chosen[others], scores[others], scores[here])
    return found


def _fitted(values: Floats, chosen: Ints, scores: Floats, asked: Floats) -> Floats:
    m = scores.shape[1]
    told = scores[np.arange(len(values)), chosen]
    known = ~np.isnan(told)
    number = np.bincount(chosen, minlength=m)
    mean = _drawn(np.bincount(chosen, values, minlength=m), number, float(values.mean()))
    middle = float(told[known].mean()) if known.any() else 0.0
    heard = np.bincount(chosen[known], minlength=m)
    centre = _drawn(np.bincount(chosen[known], told[known], minlength=m), heard, middle)
    apart = np.where(known, told - centre[chosen], 0.0)
    spread = float(apart @ apart)
    slope = float(apart @ (values - mean[chosen])) / spread if spread > 1e-300 else 0.0
    further = np.where(np.isnan(asked), 0.0, asked - centre)
    found: Floats = mean + slope * further
    return found


def _drawn(total: Any, count: Any, towards: float) -> Floats:
    found: Floats = (total + _DRAWN * towards) / (count + _DRAWN)
    return found
