"""Weighted means over neighbours, shrunk, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llmrouter_core import Arrays, Floats, Ints


def moments(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of each column of *values* (n, t, m) over what is known, (t, m).

    A column without any outcome takes the mean of its target, one with a single outcome the
    variance of its target: it is then as unsure as what is known about the others.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    count = known.sum(axis=0)  # (t, m)
    overall = filled.sum(axis=(0, 2)) / np.maximum(count.sum(axis=1), 1)  # (t,)
    mean = np.where(count > 0, filled.sum(axis=0) / np.maximum(count, 1), overall[:, None])
    spread = np.where(known, (values - mean) ** 2, 0.0)
    pooled = spread.sum(axis=(0, 2)) / np.maximum(count.sum(axis=1), 1)  # (t,)
    variance = np.where(count > 1, spread.sum(axis=0) / np.maximum(count - 1, 1), pooled[:, None])
    return mean, variance


def estimate(
    state: Arrays, found: Ints, similarity: Floats, columns: Sequence[int],
    shrinkage: float, temperature: float,
) -> tuple[Floats, Floats]:
    """Return the shrunk mean and its standard error, (n, t, m) each.

    Args:
        state: `values` (p, t, m), `mean` and `variance` (t, m).
        found: Rows of the neighbours, (n, k).
        similarity: Their cosines, (n, k).
        columns: The m columns of `values` that are wanted.
        shrinkage: How many nearest neighbours the mean counts for.
        temperature: How fast weights fade.
    """
    t = state["values"].shape[1]
    n, k = found.shape
    nearest = similarity.max(axis=1, keepdims=True)
    weights = np.exp((similarity - nearest) / temperature)[:, None, :]  # (n, 1, k)
    values = state["values"][found].reshape(n, k, -1)  # (n, k, t * m)
    known = ~np.isnan(values)
    if known.all():
        sums = weights @ values
        squares = weights @ (values * values)
        total, total_squares = weights.sum(axis=2, keepdims=True), (weights**2).sum(
            axis=2, keepdims=True
        )
    else:
        filled = np.where(known, values, np.float32(0))
        sums = weights @ filled
        squares = weights @ (filled * filled)
        voted = known.astype(np.float32)
        total, total_squares = weights @ voted, weights**2 @ voted
    prior, variance = state["mean"].ravel(), state["variance"].ravel()  # (t * m,)
    weight = total + shrinkage
    mean = (sums + shrinkage * prior) / weight  # (n, 1, t * m)
    second = (squares + shrinkage * (variance + prior**2)) / weight
    effective = weight**2 / (total_squares + shrinkage)
    std = np.sqrt(np.maximum(second - mean**2, 0.0) / effective)
    shape = (n, t, -1)
    return mean.reshape(shape)[:, :, columns], std.reshape(shape)[:, :, columns]
