"""The ability of a model that joins later, from its answers to a few queries."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats

from llmrouter_plugin_irt.responses import sigmoid

_STEPS = 200
_ENOUGH = 1e-9


@frozen(kw_only=True, eq=False)
class Newcomers:
    """Models that joined: `logit P = mean(x) + (a(x), 1)' z` with *mean* that of the known ones.

    Attributes:
        abilities: *z*, ability and level, (j, k + 1).
        covariances: Of *z* given the answers, (j, k + 1, k + 1).
    """

    abilities: Floats
    covariances: Floats

    def with_model(
        self, demands: Floats, mean: Floats, outcome: Floats, known: Floats
    ) -> Newcomers:
        """Return these and one more model: the most likely *z* and Laplace's covariance.

        The prior is normal, with mean and covariance of the abilities of the known models, to
        which one of unit covariance is added, so that a pool of one or two says something too.

        Args:
            demands: *a* of the queries it answered, (q, k).
            mean: Mean logit of the known models on them, (q,).
            outcome: Its outcomes in 0..1, (q,).
            known: *z* of the known models, (m, k + 1).
        """
        x = _with_constant(demands)
        away = known - known.mean(axis=0)
        size = x.shape[1]
        precision = np.linalg.inv((away.T @ away + np.eye(size)) / (len(known) + 1))
        bound = np.linalg.inv(x.T @ x / 4 + precision)
        prior = known.mean(axis=0)
        found = prior
        for _ in range(_STEPS):  # each raises the posterior: Boehning & Lindsay 1988
            rest = outcome - sigmoid(mean + x @ found)
            step = bound @ (x.T @ rest - precision @ (found - prior))
            found = found + step
            if np.abs(step).max() < _ENOUGH:
                break
        chance = sigmoid(mean + x @ found)
        information = x.T @ (x * (chance * (1 - chance))[:, None]) + precision
        return Newcomers(
            abilities=np.vstack([self.abilities.reshape(-1, size), found]),
            covariances=np.concatenate(
                [self.covariances.reshape(-1, size, size), np.linalg.inv(information)[None]]
            ),
        )

    def predict(self, demands: Floats, mean: Floats) -> tuple[Floats, Floats]:
        """Return the quality and its standard error for demands (n, k), means (n,); (n, j)."""
        x = _with_constant(demands)
        values = sigmoid(mean[:, None] + x @ self.abilities.T)
        variance = np.einsum("np,jpq,nq->nj", x, self.covariances, x)
        return values, values * (1 - values) * np.sqrt(variance)

    def arrays(self) -> dict[str, Floats]:
        """Return them as arrays, for a state."""
        return {"new_abilities": self.abilities, "new_covariances": self.covariances}

    @classmethod
    def of(cls, state: Arrays) -> Newcomers:
        """Return what *state* holds; none where no model joined."""
        return cls(
            abilities=state.get("new_abilities", np.zeros((0, 0))),
            covariances=state.get("new_covariances", np.zeros((0, 0, 0))),
        )


def _with_constant(demands: Floats) -> Floats:
    return np.hstack([demands, np.ones((len(demands), 1))])
