"""A model that joins later, expressed by those that were learned, from a few answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from llmrouter_core.types import Arrays, Floats, Ints

_STRENGTHS = tuple(float(2**power) for power in range(-2, 8))


@frozen(kw_only=True, eq=False)
class Joined:
    """Models that joined, as linear combinations of the m models that were learned.

    If the outcome of a model is `y = bias + sum_j w_j y_j` plus noise that has nothing to do with
    the query, then so is its expectation, `E[y | q] = bias + sum_j w_j E[y_j | q]`: the weights
    are learned from answers to a few anchor queries, the rest from what is known already. This is
    a control variate for the mean, and a factor model with the known models as factors.

    Attributes:
        weights: (k, m), for k models that joined.
        bias: (k,).
        error: Standard error of each model's level, (k,).
    """

    weights: Floats
    bias: Floats
    error: Floats

    @classmethod
    def none(cls, m: int) -> Joined:
        """Return that no model joined those *m*."""
        return cls(weights=np.zeros((0, m)), bias=np.zeros(0), error=np.zeros(0))

    def with_model(self, known: Floats, outcome: Floats) -> Joined:
        """Return these and one more model.

        Ridge regression of the outcomes on those of the known models, pulled towards equal
        weights (a model that finds hard what the others find hard), its strength chosen by
        leaving one anchor out.

        Args:
            known: Outcomes of the learned models on the anchors, (a, m), without gaps.
            outcome: Outcomes of the new model, (a,).
        """
        a, m = known.shape
        centre, level = known.mean(axis=0), float(outcome.mean())
        seen, rest = known - centre, outcome - level
        common = seen.mean(axis=1)
        prior = float(common @ rest) / (float(common @ common) + 1.0)
        prior = min(max(prior, 0.0), 1.5)
        rest = rest - prior * common
        gram, products = seen.T @ seen, seen.T @ rest
        best: tuple[float, Floats] | None = None
        for strength in _STRENGTHS:
            inverse = np.linalg.inv(gram + strength * np.eye(m))
            own = inverse @ products
            leverage = np.einsum("am,mk,ak->a", seen, inverse, seen) + 1 / a
            error = float(np.square((rest - seen @ own) / np.maximum(1 - leverage, 0.05)).mean())
            if best is None or error < best[0]:
                best = error, own
        assert best is not None
        weights = best[1] + prior / m
        return Joined(
            weights=np.vstack([self.weights, weights]),
            bias=np.append(self.bias, level - weights @ centre),
            error=np.append(self.error, np.sqrt(best[0] / a)),
        )

    def extend(self, values: Floats, std: Floats) -> tuple[Floats, Floats]:
        """Return *values* and *std*, (n, m), with a column for each model that joined."""
        if not len(self.bias):
            return values, std
        more = np.clip(values @ self.weights.T + self.bias, 0.0, 1.0)
        spread = np.sqrt(np.square(std) @ np.square(self.weights.T) + np.square(self.error))
        return np.hstack([values, more]), np.hstack([std, spread])

    def arrays(self) -> dict[str, Floats]:
        """Return them as arrays, for a state."""
        return {
            "joined_weights": self.weights,
            "joined_bias": self.bias,
            "joined_error": self.error,
        }

    @classmethod
    def of(cls, state: Arrays) -> Joined:
        """Return what *state* holds."""
        return cls(
            weights=state["joined_weights"],
            bias=state["joined_bias"],
            error=state["joined_error"],
        )


def anchors(quality: Floats, budget: int, *, known: Sequence[int] = ()) -> Ints:
    """Return the rows of *quality*, (n, m), whose answers tell most about a new model.

    D-optimal design, greedily: each next anchor is the query that adds most to the determinant
    of the information about level and weights (Fedorov 1972), `x' A^-1 x` for x the outcomes of
    the known models on it beside a constant. Among equals the earlier row is taken.

    Args:
        quality: Outcomes of the learned models; gaps count as the model's mean.
        budget: How many anchors, at most n.
        known: Rows asked already.
    """
    mean = np.nan_to_num(np.nanmean(quality, axis=0)) if len(quality) else np.zeros(0)
    filled = np.where(np.isnan(quality), mean, quality)
    x = np.hstack([np.ones((len(filled), 1)), filled - mean])
    inverse = np.eye(x.shape[1])
    taken = np.zeros(len(x), bool)
    order: list[int] = []
    for place in range(min(budget + len(known), len(x))):
        if place < len(known):
            row = int(known[place])
        else:
            gain = np.einsum("np,pq,nq->n", x, inverse, x)
            gain[taken] = -np.inf
            row = int(np.argmax(gain))
            order.append(row)
        taken[row] = True
        pulled = inverse @ x[row]
        inverse = inverse - np.outer(pulled, pulled) / (1 + x[row] @ pulled)
    return np.array(order, dtype=np.intp)
