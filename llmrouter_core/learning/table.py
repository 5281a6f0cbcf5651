"""Mean score of every model on every kind of query, shrunk, with standard errors."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from llmrouter_core.types import Arrays, Floats, Ints


@frozen(kw_only=True, eq=False)
class Table:
    """What g kinds of queries say about m models.

    Attributes:
        means: Expected quality, (g, m).
        errors: Standard error of it, (g, m).
    """

    means: Floats
    errors: Floats

    @classmethod
    def fit(cls, values: Floats, kinds: Ints, count: int, shrinkage: float) -> Table:
        """Return the table of *values*, (n, m) in 0..1 with NaN for gaps.

        A cell is pulled towards the model's mean plus what the kind adds for all models,

            mean_gm = base_gm + sum (y - base_gm) / (n_gm + s),  base_gm = mean_m + effect_g

        which is the posterior mean of a normal model in which *s* is the variance of an outcome
        over that of a cell (Efron & Morris 1975). A model without any outcome has the mean of
        all.

        Args:
            values: The outcomes.
            kinds: The kind of each row, (n,), below *count*.
            count: How many kinds, g.
            shrinkage: *s*.
        """
        known = ~np.isnan(values)
        filled = np.where(known, values, 0.0)
        seen = known.sum(axis=0)
        every = max(int(seen.sum()), 1)
        mean = np.where(seen > 0, filled.sum(axis=0) / np.maximum(seen, 1), filled.sum() / every)
        rest = np.where(known, values - mean, 0.0)
        spread = np.square(rest).sum(axis=0)
        variance = np.where(seen > 1, spread / np.maximum(seen, 1), spread.sum() / every)
        belongs = (np.arange(count) == kinds[:, None]).astype(np.float64).T  # (g, n)
        cells, total = belongs @ known, belongs @ rest  # (g, m)
        effect = (total.sum(axis=1) / (cells.sum(axis=1) + shrinkage))[:, None]
        away = effect + (total - cells * effect) / (cells + shrinkage)  # from the model's mean
        within = belongs @ np.square(rest) - 2 * away * total + cells * np.square(away)
        noise = (np.maximum(within, 0.0) + shrinkage * variance) / (cells + shrinkage)
        return cls(
            means=np.clip(mean + away, 0.0, 1.0), errors=np.sqrt(noise / (cells + shrinkage))
        )

    def mixed(self, shares: Floats, *, one: bool = False) -> tuple[Floats, Floats]:
        """Return the mean and its standard error, (n, m) each, for *shares* of kinds, (n, g).

        Args:
            shares: How much each kind counts for a query; a row sums to one.
            one: Whether a query is of one kind only, and *shares* says how likely of which. How
                far the kinds lie apart is then a part of the error,

                    std^2 = sum_g p_g^2 error_g^2 + sum_g p_g (mean_g - mean)^2
        """
        mean: Floats = shares @ self.means
        variance = np.square(shares) @ np.square(self.errors)
        if one:
            variance = variance + np.maximum(shares @ np.square(self.means) - np.square(mean), 0.0)
        return mean, np.sqrt(variance)

    def arrays(self) -> dict[str, Floats]:
        """Return the table as arrays, for a state."""
        return {"means": self.means, "errors": self.errors}

    @classmethod
    def of(cls, state: Arrays) -> Table:
        """Return the table that *state* holds."""
        return cls(means=state["means"], errors=state["errors"])
