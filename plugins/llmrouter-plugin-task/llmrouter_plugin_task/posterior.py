"""Which task a query belongs to, by its embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats, Ints
from llmrouter_core.learning import Ridge

_SHARPNESS = tuple(float(2**power) for power in np.arange(-3.0, 6.01, 0.5))


@frozen(kw_only=True, eq=False)
class Posterior:
    """Probability of each of g tasks.

    Each task's indicator is regressed on the embedding by one ridge regression; with *share_g*
    its mean, *away_g* what is predicted beyond it in standard deviations of the indicator, and
    *error_g* the standard error of that,

        p_g ~ share_g * exp(b * away_g / sqrt(1 + pi/8 * (c * b * error_g)^2))

    The root is the probability of a logistic model averaged over what is not known about it
    (MacKay 1992): far from everything that was learned, errors are large, and what is left is
    the shares.

    Attributes:
        ridge: The regression of the indicators.
        sharpness: *b*, the most likely one for queries left out of the regression one by one.
        recognised: Share of these whose own task was the most probable.
    """

    ridge: Ridge
    sharpness: float
    recognised: float

    @classmethod
    def fit(cls, embeddings: Floats, kinds: Ints, count: int, caution: float) -> Posterior:
        """Return what *embeddings*, (n, d), say about *kinds*, (n,) below *count*."""
        belongs = (np.arange(count) == kinds[:, None]).astype(np.float64)
        ridge = Ridge.fit(embeddings, belongs)
        seen = (embeddings - ridge.centre).astype(np.float64)
        inverse = np.linalg.inv(seen.T @ seen + ridge.strength * np.eye(seen.shape[1]))
        leverage = np.einsum("nd,nd->n", seen @ inverse, seen) + 1 / len(seen)
        kept = np.maximum(1 - leverage, 1e-3)[:, None]
        left_out = belongs - (belongs - ridge.values(embeddings)) / kept
        errors = ridge.noise * np.sqrt(leverage[:, None] / kept)
        rows = np.arange(len(kinds))
        likelihood = []
        for sharpness in _SHARPNESS:
            shares = _shares(ridge, left_out, errors, sharpness, caution)
            likelihood.append(np.log(np.maximum(shares[rows, kinds], 1e-12)).mean())
        best = _SHARPNESS[int(np.argmax(likelihood))]
        shares = _shares(ridge, left_out, errors, best, caution)
        recognised = float((shares.argmax(axis=1) == kinds).mean())
        return cls(ridge=ridge, sharpness=best, recognised=recognised)

    def shares(self, embeddings: Floats, caution: float) -> Floats:
        """Return the probability of each task, (n, g), where *caution* is *c*."""
        values, errors = self.ridge.estimate(embeddings)
        return _shares(self.ridge, values, errors, self.sharpness, caution)

    def arrays(self) -> dict[str, Any]:
        """Return the posterior as arrays, for a state."""
        return {
            **self.ridge.arrays("task_"),
            "sharpness": np.asarray(self.sharpness),
            "recognised": np.asarray(self.recognised),
        }

    @classmethod
    def of(cls, state: Arrays) -> Posterior:
        """Return the posterior that *state* holds."""
        return cls(
            ridge=Ridge.of(state, "task_"),
            sharpness=float(state["sharpness"]),
            recognised=float(state["recognised"]),
        )


def _shares(
    ridge: Ridge, values: Floats, errors: Floats, sharpness: float, caution: float
) -> Floats:
    share = ridge.mean
    scale = sharpness / np.sqrt(share * (1 - share))
    logit = scale * (values - share)
    logit /= np.sqrt(1 + np.pi / 8 * np.square(caution * scale * errors))
    logit += np.log(share)
    found: Floats = np.exp(logit - logit.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found
