"""The plateau guard: no choosing by query without evidence that choosing pays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats

_BELOW = 1e-6  # how far below the best single model the others are held


@frozen(kw_only=True, eq=False)
class Guard:
    """What held-out queries say of choosing by query against the best single model.

    Attributes:
        best: Column of the best single model.
        gain: Mean gain in quality over it, of the model predicted best.
        error: Standard error of the gain.
        holds: Whether the gain is not beyond chance.
    """

    best: int
    gain: float
    error: float
    holds: bool

    @classmethod
    def fit(cls, values: Floats, quality: Floats, evidence: float) -> Guard:
        """Return the guard, given predictions (h, m) for held-out queries and their outcomes."""
        known = ~np.isnan(quality)
        mean = np.where(known, quality, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        best = int(np.argmax(np.where(known.any(axis=0), mean, -np.inf)))
        chosen = values.argmax(axis=1)
        gains = quality[np.arange(len(quality)), chosen] - quality[:, best]
        gains = gains[~np.isnan(gains)]
        gain = float(gains.mean()) if len(gains) else 0.0
        error = float(gains.std() / np.sqrt(max(len(gains), 1)))
        return cls(best=best, gain=gain, error=error, holds=gain <= evidence * error)

    def apply(self, values: Floats) -> Floats:
        """Return *values* (n, m); where the guard holds, none is above the best single model's."""
        if not self.holds:
            return values
        ceiling = values[:, [self.best]]
        found: Floats = np.minimum(values, ceiling - _BELOW)
        found[:, self.best] = ceiling[:, 0]
        return found

    def note(self, models: Sequence[str]) -> str:
        """Return what the guard found, as a sentence."""
        low, high = (100 * (self.gain + z * self.error) for z in (-1.96, 1.96))
        told = (
            f"choosing by query gained {100 * self.gain:+.1f} [{low:+.1f}, {high:+.1f}] points of "
            f"quality over '{models[self.best]}' on held-out queries"
        )
        if not self.holds:
            return told
        return (
            f"{told}, which may be chance: the plateau guard holds, and no model is taken to be "
            "better than that one; cheaper ones are still chosen where they are worth it"
        )

    def arrays(self) -> dict[str, Floats]:
        """Return it as arrays, for a state."""
        return {"guard": np.array([float(self.best), self.gain, self.error, float(self.holds)])}

    @classmethod
    def of(cls, state: Arrays) -> Guard:
        """Return what *state* holds."""
        best, gain, error, holds = state["guard"].tolist()
        return cls(best=int(best), gain=gain, error=error, holds=bool(holds))
