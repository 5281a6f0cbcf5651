"""Whether a predicted quality of 0.8 means 0.8.

For the predictions p and observations y of one model, with ten bins of equal count by p:

    ECE   = sum over bins b of  n_b / n * |mean of p in b - mean of y in b|
    Brier = mean of (p - y)^2

ECE: Naeini, Cooper & Hauskrecht 2015, with the equal-count bins of Nixon et al. 2019
(arXiv 1904.01685); Brier 1950. ECE of a small sample is above zero even for a perfect predictor.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from llmrouter_core.evaluation.report import Calibration
from llmrouter_core.evaluation.resampling import Means, interval
from llmrouter_core.types import Floats, Ints

_BINS = 10


def columns(name: str, predicted: Floats, observed: Floats) -> dict[Hashable, Floats]:
    """Return the columns whose means say how well *predicted*, (n,), meets *observed*, (n,)."""
    error = predicted - observed  # NaN where either is unknown
    bins = _bins(error, predicted)
    found: dict[Hashable, Floats] = {("brier", name): error**2}
    for number in range(_BINS):
        inside = np.where(bins == number, error, 0.0)
        found["bin", name, number] = np.where(np.isnan(error), np.nan, inside)
    return found


def calibration(name: str, predicted: Floats, observed: Floats, means: Means) -> Calibration:
    """Return how well *predicted* meets *observed*, from the *means* of their columns."""
    error = predicted - observed
    bins = _bins(error, predicted)
    ece = np.abs(means.stack([("bin", name, number) for number in range(_BINS)])).sum(axis=1)
    brier = means["brier", name]
    full = [np.flatnonzero(bins == number) for number in range(_BINS)]
    return Calibration(
        model=name,
        ece=float(ece[0]),
        ece_interval=interval(ece[1:]),
        brier=float(brier[0]),
        brier_interval=interval(brier[1:]),
        bins=tuple(
            (float(predicted[rows].mean()), float(observed[rows].mean()), len(rows))
            for rows in full
            if len(rows)
        ),
    )


def _bins(error: Floats, predicted: Floats) -> Ints:
    """Return the bin of each query by its place in the order of *predicted*, -1 if unknown."""
    known = np.flatnonzero(~np.isnan(error))
    bins = np.full(len(error), -1, np.intp)
    order = known[np.argsort(predicted[known], kind="stable")]
    bins[order] = np.arange(len(order)) * _BINS // max(1, len(order))
    return bins
