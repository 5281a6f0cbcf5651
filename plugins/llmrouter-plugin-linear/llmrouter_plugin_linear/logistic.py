"""Logistic regression of many columns at once, with gaps and fractional targets."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats
from llmrouter_core.learning import Ridge

_STEPS = 200
_ENOUGH = 1e-5  # of the largest change of a slope, at which it stops


@frozen(kw_only=True, eq=False)
class Logistic:
    """`sigmoid(a + (x - centre)' b)` for each of m columns.

    Attributes:
        ridge: The ridge regression of the same columns: its centre, its standard error.
        intercepts: *a*, (m,).
        slopes: *b*, (d, m).
    """

    ridge: Ridge
    intercepts: Floats
    slopes: Floats

    @classmethod
    def fit(cls, embeddings: Floats, values: Floats, ridge: Ridge) -> Logistic:
        """Return the regression of *values*, (n, m) in 0..1 with NaN for gaps.

        Minorisation-maximisation (Boehning & Lindsay 1988): the Hessian `X'WX` of every column is
        at most `X'X / 4`, so that one inverse serves all columns and all steps, each of which
        raises the likelihood. The penalty is a quarter of the ridge's, for the same reason.
        """
        seen = (embeddings - ridge.centre).astype(np.float64)
        known = ~np.isnan(values)
        target = np.where(known, values, 0.0)
        penalty = ridge.strength / 4
        gram = seen.T @ seen / 4
        inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.clip((target.sum(axis=0) + 0.5) / (count + 1), 1e-3, 1 - 1e-3)
        intercepts = np.log(mean / (1 - mean))
        slopes = np.zeros((seen.shape[1], values.shape[1]))
        for _ in range(_STEPS):
            rest = np.where(known, target - _sigmoid(intercepts + seen @ slopes), 0.0)
            step = inverse @ (seen.T @ rest - penalty * slopes)
            slopes += step
            intercepts += 4 * rest.sum(axis=0) / count
            if np.abs(step).max() < _ENOUGH * max(1.0, float(np.abs(slopes).max())):
                break
        return cls(ridge=ridge, intercepts=intercepts, slopes=slopes.astype(np.float32))

    def values(self, embeddings: Floats) -> Floats:
        """Return the expected qualities for *embeddings* (n, d), (n, m)."""
        seen = embeddings - self.ridge.centre
        return _sigmoid(self.intercepts + seen @ self.slopes)

    def estimate(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """Return them and their standard errors, (n, m) each: those of the ridge regression."""
        return self.values(embeddings), self.ridge.estimate(embeddings)[1]

    def arrays(self) -> dict[str, Floats]:
        """Return the regression as arrays, for a state."""
        return {**self.ridge.arrays(), "intercepts": self.intercepts, "logits": self.slopes}

    @classmethod
    def of(cls, state: Arrays) -> Logistic:
        """Return the regression that *state* holds."""
        return cls(ridge=Ridge.of(state), intercepts=state["intercepts"], slopes=state["logits"])


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found
