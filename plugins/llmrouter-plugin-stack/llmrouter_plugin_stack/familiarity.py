"""How familiar a query is: like the tasks that were learned from, or like none of them."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Dataset, Floats, Ints
from llmrouter_core.splitting import folds as group_folds

FEATURES = 2
_FEWEST = 3  # tasks, below which clusters of queries stand for tasks
_CLUSTERS = 8
_RIDGE = 10.0
_STEPS = 20


@frozen(kw_only=True, eq=False)
class Familiarity:
    """What is known of the queries that were learned from.

    Attributes:
        centre: Their mean embedding, (d,).
        centres: Direction of each task's mean from there, (t, d).
        half: Triangular root of the inverse scatter, (d, d): leverage is a squared length.
    """

    centre: Floats
    centres: Floats
    half: Floats

    @classmethod
    def fit(cls, dataset: Dataset, seed: int) -> Familiarity:
        """Return what is known of the queries of *dataset*."""
        assert dataset.embeddings is not None
        seen = dataset.embeddings.astype(np.float64)
        centre = seen.mean(axis=0)
        seen = seen - centre
        labels = tasks_of(dataset, seed)
        centres = np.stack([seen[labels == task].mean(axis=0) for task in np.unique(labels)])
        scatter = seen.T @ seen + _RIDGE * np.eye(seen.shape[1])
        half = np.linalg.inv(np.linalg.cholesky(scatter))
        return cls(
            centre=centre.astype(np.float32),
            centres=_unit(centres).astype(np.float32),
            half=half.astype(np.float32),
        )

    def features(self, embeddings: Floats) -> Floats:
        """Return minus log leverage, and the cosine to the nearest task's centre, (n, 2).

        Leverage, `x' (X'X + r I)^-1 x`, is large where a query lies in directions in which few
        of those that were learned from lay.
        """
        seen = embeddings - self.centre
        leverage = np.square(seen @ self.half.T).sum(axis=1)
        nearest = (_unit(seen) @ self.centres.T).max(axis=1)
        return np.stack([-np.log(leverage + 1e-6), nearest], axis=1)

    def arrays(self) -> dict[str, Floats]:
        """Return it as arrays, for a state."""
        return {f"familiar_{name}": getattr(self, name) for name in ("centre", "centres", "half")}

    @classmethod
    def of(cls, state: Arrays) -> Familiarity:
        """Return what *state* holds."""
        return cls(**{name: state[f"familiar_{name}"] for name in ("centre", "centres", "half")})


@frozen(kw_only=True, eq=False)
class Gate:
    """The probability that a query is of a task that was learned from.

    A logistic regression that tells queries held out from their task's folds (familiar) from
    queries whose whole task was held out (not), both taken as equally many.

    Attributes:
        mean: Of the features, (f,).
        spread: Of the features, (f,).
        weights: Intercept, then a weight for each standardised feature.
    """

    mean: Floats
    spread: Floats
    weights: Floats

    @classmethod
    def fit(cls, inside: Floats, outside: Floats) -> Gate:
        """Return the gate that tells *inside* (h, f) from *outside* (g, f)."""
        mean, spread = inside.mean(axis=0), inside.std(axis=0) + 1e-9
        x = (np.vstack([inside, outside]) - mean) / spread
        x = np.hstack([np.ones((len(x), 1)), x])
        y = np.repeat([1.0, 0.0], [len(inside), len(outside)])
        share = np.where(y > 0, 0.5 / len(inside), 0.5 / len(outside)) * len(x)
        weights = np.zeros(x.shape[1])
        prior = np.diag([1e-6, *[1.0] * (x.shape[1] - 1)])
        for _ in range(_STEPS):
            p = _sigmoid(x @ weights)
            gradient = x.T @ (share * (p - y)) + prior @ weights
            hessian = (x * (share * p * (1 - p))[:, None]).T @ x + prior
            weights -= np.linalg.solve(hessian, gradient)
        weights[1:] = np.maximum(weights[1:], 0.0)  # nobody is less known for being nearer
        return cls(mean=mean, spread=spread, weights=weights)

    def probability(self, features: Floats, familiar: float) -> Floats:
        """Return the probability for *features* (n, f) where a share *familiar* is, (n,)."""
        odds = self.weights[0] + (features - self.mean) / self.spread @ self.weights[1:]
        return _sigmoid(odds + np.log(familiar / (1 - familiar)))

    def arrays(self) -> dict[str, Floats]:
        """Return it as arrays, for a state."""
        return {f"gate_{name}": getattr(self, name) for name in ("mean", "spread", "weights")}

    @classmethod
    def of(cls, state: Arrays) -> Gate:
        """Return what *state* holds."""
        return cls(**{name: state[f"gate_{name}"] for name in ("mean", "spread", "weights")})


def tasks_of(dataset: Dataset, seed: int) -> Ints:
    """Return a number for the task of each query, (n,).

    Where the outcomes name fewer than three tasks, clusters of queries stand for them.
    """
    names, labels = np.unique(np.array(dataset.tasks, dtype=np.str_), return_inverse=True)
    if len(names) >= _FEWEST:
        return labels.astype(np.intp)
    assert dataset.embeddings is not None
    seen = _unit(dataset.embeddings - dataset.embeddings.mean(axis=0))
    return _clusters(seen, min(_CLUSTERS, max(1, len(seen) // 10)), seed)


def task_folds(dataset: Dataset, count: int, seed: int) -> Ints:
    """Return a fold for each query, (n,): whole tasks, as even as they allow.

    A single task is split by group, as if each fold were a task.
    """
    labels = tasks_of(dataset, seed)
    sizes = np.bincount(labels)
    if np.count_nonzero(sizes) < 2:
        return group_folds(zip(dataset.groups, dataset.texts, strict=True), count, seed)
    fold_of, load = np.zeros(len(sizes), np.intp), np.zeros(count)
    for task in np.argsort(-sizes, kind="stable"):
        fold_of[task] = int(np.argmin(load))
        load[fold_of[task]] += sizes[task]
    return fold_of[labels]


def _clusters(points: Floats, count: int, seed: int) -> Ints:
    """Return the cluster of each of *points*, by spherical k-means (Dhillon & Modha 2001)."""
    rng = np.random.default_rng(seed)
    centres = points[np.sort(rng.permutation(len(points))[:count])]
    labels = np.zeros(len(points), np.intp)
    for _ in range(_STEPS):
        labels = np.argmax(points @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, points)
        centres = _unit(sums)
    return labels


def _unit(rows: Floats) -> Floats:
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    found: Floats = rows / np.maximum(length, 1e-9)[:, None]
    return found


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found
