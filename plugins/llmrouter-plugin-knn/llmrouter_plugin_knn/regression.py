"""Weighted means over neighbours, shrunk, with standard errors."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats, Ints


def moments(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of each column of *values* (n, m) over what is known, (m,).

    A column without any outcome takes the mean of all, one with a single outcome the variance of
    all: it is then as unsure as what is known about the others.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    count = known.sum(axis=0)  # (m,)
    every = max(int(count.sum()), 1)
    mean = np.where(count > 0, filled.sum(axis=0) / np.maximum(count, 1), filled.sum() / every)
    spread = np.where(known, (values - mean) ** 2, 0.0)
    pooled = spread.sum() / every
    variance = np.where(count > 1, spread.sum(axis=0) / np.maximum(count - 1, 1), pooled)
    return mean, variance


@frozen(eq=False)
class Outcomes:
    """The outcomes of p training queries, packed so that one product gives every sum.

    Attributes:
        packed: float32 (p, 2m) or (p, 3m): outcomes, their squares and, where some are unknown,
            which are known; the unknown are 0.
        mean: What is shrunk to, (m,).
        second: Second moment around zero of what is shrunk to, (m,).
    """

    packed: Floats
    mean: Floats
    second: Floats

    @classmethod
    def of(cls, state: Arrays) -> Outcomes:
        """Return the outcomes of *state*, which `KnnScorer.learn` describes."""
        values = state["values"]
        known = ~np.isnan(values)
        filled = np.where(known, values, 0.0)
        blocks = [filled, filled * filled]
        if not known.all():
            blocks.append(known.astype(np.float32))
        mean = state["mean"]
        return cls(
            packed=np.concatenate(blocks, axis=1, dtype=np.float32),
            mean=mean,
            second=state["variance"] + mean**2,
        )

    def estimate(
        self, found: Ints, similarity: Floats, shrinkage: float, temperature: float
    ) -> tuple[Floats, Floats]:
        """Return the shrunk mean and its standard error, (n, m) each.

        Args:
            found: Rows of the neighbours, (n, k).
            similarity: Their cosines, (n, k).
            shrinkage: How many nearest neighbours the mean counts for.
            temperature: How fast weights fade.
        """
        m = len(self.mean)
        nearest = similarity.max(axis=1, keepdims=True)
        weights = np.exp((similarity - nearest) / temperature)[:, None, :]  # (n, 1, k)
        packed = self.packed.take(found, axis=0)  # (n, k, 2m or 3m); quicker than an index
        sums = (weights @ packed)[:, 0].astype(np.float64)
        if packed.shape[2] == 2 * m:
            total = weights.sum(axis=2)  # (n, 1)
            squared = np.square(weights).sum(axis=2)
        else:
            total = sums[:, 2 * m :]  # (n, m)
            squared = (np.square(weights) @ packed[:, :, 2 * m :])[:, 0]
        weight = total + shrinkage
        mean = (sums[:, :m] + shrinkage * self.mean) / weight  # (n, m)
        second = (sums[:, m : 2 * m] + shrinkage * self.second) / weight
        effective = weight**2 / (squared + shrinkage)
        std = np.sqrt(np.maximum(second - mean**2, 0.0) / effective)
        return mean, std
