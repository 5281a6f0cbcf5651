"""Linear support vector regressions: one of what models have in common, one of each model."""

from __future__ import annotations

import numpy as np
from llmrouter_core import Floats
from llmrouter_core.learning import Ridge

_SCALE = 10.0  # of the constant feature, lest the penalty pull intercepts to zero
_ENOUGH = 1e-4  # of the gradient, at which a machine is learned


def regressions(features: Floats, quality: Floats, tube: float) -> tuple[Floats, Floats]:
    """Return slopes (r, m) and intercepts (m,) of the *quality* (n, m), NaN for gaps.

        quality_m = mean_m + f(x) + g_m(x)

    *f* learns the mean over the models of what a query's outcomes are above their models' means,
    *g_m* what is left of the outcomes of m. Each minimises

        |w|^2 / 2 + C * sum max(0, |y - w x - a| - tube)^2,  C = 1 / (2 strength)

    with the strength of ridge regression (no tube) that leaves one out best, one for *f* and one
    for all *g_m*: what tells models apart takes a stronger pull than what they share. A model
    without outcomes is *f* on the mean of all.
    """
    known = ~np.isnan(quality)
    count = known.sum(axis=0)
    total = np.where(known, quality, 0.0).sum(axis=0)
    overall = total.sum() / count.sum() if count.any() else 0.5
    mean = np.where(count > 0, total / np.maximum(count, 1), overall)
    told = known.sum(axis=1)
    above = np.where(known, quality - mean, 0.0).sum(axis=1) / np.maximum(told, 1)
    above = np.where(told > 0, above, np.nan)[:, None]
    shared, shift = _machine(features, above[:, 0], _strength(features, above), tube)
    rest = quality - mean - (features @ shared + shift)[:, None]
    strength = _strength(features, rest)
    found = [_machine(features, column, strength, tube) for column in rest.T]
    slopes = np.stack([own for own, _ in found], axis=1) + shared[:, None]
    return slopes, mean + shift + np.array([intercept for _, intercept in found])


def _strength(features: Floats, values: Floats) -> float:
    return Ridge.fit(features, values).strength


def _machine(
    features: Floats, values: Floats, strength: float, tube: float
) -> tuple[Floats, float]:
    """Return slopes (r,) and intercept of *values* (n,), NaN for gaps."""
    from sklearn.svm import LinearSVR  # type: ignore[import-untyped,unused-ignore]

    rows = np.flatnonzero(~np.isnan(values))
    if not len(rows):
        return np.zeros(features.shape[1]), 0.0
    machine = LinearSVR(
        loss="squared_epsilon_insensitive",
        dual=False,  # the primal is solved without anything random
        epsilon=tube,
        C=1 / (2 * strength),
        tol=_ENOUGH,
        intercept_scaling=_SCALE,
        max_iter=1000,
    ).fit(features[rows], values[rows])
    return machine.coef_.astype(np.float64), float(machine.intercept_.item())
