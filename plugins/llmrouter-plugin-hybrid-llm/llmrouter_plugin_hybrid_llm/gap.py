"""Expected quality of every model, from the large one's and what others gain or lose on it."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats
from llmrouter_core.learning import Ridge

_FEW = 5.0  # pairs of outcomes for which the difference of the means counts in a mean gap


@frozen(kw_only=True, eq=False)
class Gaps:
    """`quality_m = quality_large + a_m + b_m p_m`.

    Attributes:
        large: Regression of the large model's quality, one column.
        chance: Regression of the labels, *p*, m columns: 0..1 in training, though not bounded.
        base: *a*, (m,).
        slope: *b*, (m,); 0 for the large model, as is its *a*.
    """

    large: Ridge
    chance: Ridge
    base: Floats
    slope: Floats

    @classmethod
    def fit(cls, embeddings: Floats, quality: Floats, label: Floats, large: int) -> Gaps:
        """Return what was learned from *quality* and *label*, (n, m) each, NaN for gaps.

        The gap is regressed on the label. For labels of 0 and 1 this is the law of total
        expectation, `E H = p E[H | good enough] + (1 - p) E[H | not]`. Where a model was never
        asked what the large one was, the difference of their means is all that is known.

        Args:
            embeddings: (n, d).
            quality: Outcomes.
            label: How good each model was in place of the large one; the large one's own are
                all equal.
            large: The column of the large model.
        """
        known = ~np.isnan(quality)
        filled = np.where(known, quality, 0.0)
        seen = known.sum(axis=0)
        overall = filled.sum() / max(int(seen.sum()), 1)
        mean = np.where(seen > 0, filled.sum(axis=0) / np.maximum(seen, 1), overall)
        paired = ~np.isnan(label)
        gap = np.where(paired, filled - filled[:, [large]], 0.0)
        shift = (gap.sum(axis=0) + _FEW * (mean - mean[large])) / (paired.sum(axis=0) + _FEW)
        chance = Ridge.fit(embeddings, label)
        away = np.where(paired, label - chance.mean, 0.0)
        spread = np.square(away).sum(axis=0)
        slope = np.where(spread > 1e-9, (away * gap).sum(axis=0) / np.maximum(spread, 1e-9), 0.0)
        return cls(
            large=Ridge.fit(embeddings, quality[:, [large]]),
            chance=chance,
            base=shift - slope * chance.mean,
            slope=slope,
        )

    def values(self, embeddings: Floats) -> Floats:
        """Return the expected quality for *embeddings* (n, d), (n, m)."""
        return self.estimate(embeddings)[0]

    def std(self, embeddings: Floats) -> Floats:
        """Return the standard error of it, (n, m)."""
        return self.estimate(embeddings)[1]

    def estimate(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """Return both, (n, m) each; the error is as if the two regressions erred apart."""
        large, error = self.large.estimate(embeddings)
        chance, own = self.chance.estimate(embeddings)
        return large + (self.base + self.slope * chance), np.hypot(error, self.slope * own)

    def arrays(self) -> dict[str, Floats]:
        """Return what was learned as arrays, for a state."""
        return {
            **self.large.arrays("large_"),
            **self.chance.arrays("chance_"),
            "base": self.base,
            "slope": self.slope,
        }

    @classmethod
    def of(cls, state: Arrays) -> Gaps:
        """Return what *state* holds."""
        return cls(
            large=Ridge.of(state, "large_"),
            chance=Ridge.of(state, "chance_"),
            base=state["base"],
            slope=state["slope"],
        )
