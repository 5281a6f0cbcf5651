"""Weighted means over neighbours, shrunk, with standard errors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen
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


@frozen(eq=False)
class Outcomes:
    """The outcomes of p training queries, packed so that one product gives every sum.

    Attributes:
        packed: float32 (p, 2c) or (p, 3c) for c = t * m columns: outcomes, their squares and,
            where some are unknown, which are known; the unknown are 0.
        mean: What is shrunk to, (c,).
        second: Second moment around zero of what is shrunk to, (c,).
        shape: t and m.
        targets: Names of the t targets.
        columns: Column of each of the m models, by name.
    """

    packed: Floats
    mean: Floats
    second: Floats
    shape: tuple[int, int]
    targets: tuple[str, ...]
    columns: Mapping[str, int]

    @classmethod
    def of(cls, state: Arrays) -> Outcomes:
        """Return the outcomes of *state*, which `KnnScorer.state` describes."""
        values = state["values"]
        flat = values.reshape(len(values), -1)
        known = ~np.isnan(flat)
        filled = np.where(known, flat, 0.0)
        blocks = [filled, filled * filled]
        if not known.all():
            blocks.append(known.astype(np.float32))
        mean = state["mean"].ravel()
        return cls(
            packed=np.concatenate(blocks, axis=1, dtype=np.float32),
            mean=mean,
            second=state["variance"].ravel() + mean**2,
            shape=values.shape[1:],
            targets=tuple(state["targets"].tolist()),
            columns={name: column for column, name in enumerate(state["models"].tolist())},
        )

    def estimate(
        self, found: Ints, similarity: Floats, shrinkage: float, temperature: float
    ) -> tuple[Floats, Floats]:
        """Return the shrunk mean and its standard error, (n, t, m) each.

        Args:
            found: Rows of the neighbours, (n, k).
            similarity: Their cosines, (n, k).
            shrinkage: How many nearest neighbours the mean counts for.
            temperature: How fast weights fade.
        """
        c = len(self.mean)
        nearest = similarity.max(axis=1, keepdims=True)
        weights = np.exp((similarity - nearest) / temperature)[:, None, :]  # (n, 1, k)
        packed = self.packed.take(found, axis=0)  # (n, k, 2c or 3c); quicker than an index
        sums = (weights @ packed)[:, 0].astype(np.float64)
        if packed.shape[2] == 2 * c:
            total = weights.sum(axis=2)  # (n, 1)
            squared = np.square(weights).sum(axis=2)
        else:
            total = sums[:, 2 * c :]  # (n, c)
            squared = (np.square(weights) @ packed[:, :, 2 * c :])[:, 0]
        weight = total + shrinkage
        mean = (sums[:, :c] + shrinkage * self.mean) / weight  # (n, c)
        second = (sums[:, c : 2 * c] + shrinkage * self.second) / weight
        effective = weight**2 / (squared + shrinkage)
        std = np.sqrt(np.maximum(second - mean**2, 0.0) / effective)
        return mean.reshape(-1, *self.shape), std.reshape(-1, *self.shape)
