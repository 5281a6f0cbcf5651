"""Ridge regression with gaps, its strength chosen by leaving one out in closed form.

    B = argmin sum over known cells (y - mean - (x - centre) B)^2 + strength * |B|^2

Hoerl & Kennard 1970; the error of leaving one out is r / (1 - h) for residual r and leverage h
(Allen 1974), so that no model is fitted twice. Columns that know the same queries share one
decomposition.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from llmrouter_core.dataset import means
from llmrouter_core.types import Arrays, Floats, Ints

STRENGTHS = tuple(float(10**power) for power in np.arange(-1.0, 4.01, 0.5))
"""The strengths tried, for embeddings of about length one."""

_DIRECTIONS = 64  # along which the standard error tells queries apart; the rest share one
_PATTERNS = 64  # sets of known queries told apart; beyond that, gaps are filled with the mean


@frozen(kw_only=True, eq=False)
class Ridge:
    """A fitted regression of c columns on embeddings of d dimensions.

    Attributes:
        centre: Mean embedding, (d,).
        slopes: (d, c).
        mean: Mean of each column over what is known, (c,).
        noise: Standard deviation of the residuals left out one by one, (c,).
        basis: Directions of the embeddings, (d, r).
        gains: Variance of an estimate along each direction over that of the noise, (r,).
        rest: The same for every other direction.
        count: How many queries each column knows, (c,).
        strength: The strength that was chosen.
    """

    centre: Floats
    slopes: Floats
    mean: Floats
    noise: Floats
    basis: Floats
    gains: Floats
    rest: float
    count: Floats
    strength: float

    @classmethod
    def fit(
        cls, embeddings: Floats, values: Floats, strengths: tuple[float, ...] = STRENGTHS
    ) -> Ridge:
        """Return the regression of *values*, (n, c) with NaN for gaps, on *embeddings*, (n, d).

        The strength is shared by all columns: it minimises the sum of their squared errors, each
        column's over its own variance.
        """
        centre = embeddings.mean(axis=0)
        seen = (embeddings - centre).astype(np.float64)
        mean = np.nan_to_num(means(values))
        known = ~np.isnan(values)
        centred = np.where(known, values - mean, 0.0)
        count = known.sum(axis=0).astype(float)
        variance = np.maximum((centred**2).sum(axis=0) / np.maximum(count, 1), 1e-24)
        patterns = list(_patterns(known))
        solvers = [
            _Solver(seen[rows], centred[np.ix_(rows, columns)]) for rows, columns in patterns
        ]
        errors = np.zeros((len(strengths), values.shape[1]))  # squared, summed
        for solver, (_, columns) in zip(solvers, patterns, strict=True):
            for number, strength in enumerate(strengths):
                errors[number, columns] = solver.left_out(strength)
        chosen = int(np.argmin((errors / variance).sum(axis=1)))
        strength = strengths[chosen]
        slopes = np.zeros((seen.shape[1], values.shape[1]))
        for solver, (_, columns) in zip(solvers, patterns, strict=True):
            slopes[:, columns] = solver.slopes(strength)
        largest = max(solvers, key=lambda solver: solver.rows)
        basis, gains, rest = largest.spread(strength)
        return cls(
            centre=centre.astype(np.float32),
            slopes=slopes.astype(np.float32),
            mean=mean,
            noise=np.sqrt(errors[chosen] / np.maximum(count, 1)),
            basis=basis.astype(np.float32),
            gains=gains,
            rest=rest,
            count=count,
            strength=strength,
        )

    @cached_property
    def _ready(self) -> tuple[Floats, Floats, Floats]:
        """Slopes and basis as one matrix, the gains beyond *rest*, and one over *count*."""
        both = np.hstack([self.slopes, self.basis])
        return both, self.gains - self.rest, 1 / np.maximum(self.count, 1.0)

    def values(self, embeddings: Floats) -> Floats:
        """Return the estimates for *embeddings* (n, d), (n, c)."""
        return self.estimate(embeddings)[0]

    def std(self, embeddings: Floats) -> Floats:
        """Return their standard errors, (n, c)."""
        return self.estimate(embeddings)[1]

    def estimate(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """Return the estimates for *embeddings* (n, d) and their standard errors, (n, c) each.

        The error is `noise * sqrt(1 / count + x' G x)`.
        """
        both, gains, once = self._ready
        seen = embeddings - self.centre
        found = seen @ both  # (n, c + r): a single product is quicker than two
        c = len(self.mean)
        size = np.einsum("nd,nd->n", seen, seen)
        leverage = np.maximum(np.square(found[:, c:]) @ gains + size * self.rest, 0.0)  # (n,)
        std: Floats = self.noise * np.sqrt(leverage[:, None] + once)
        return found[:, :c] + self.mean, std

    def arrays(self, prefix: str = "") -> dict[str, Floats]:
        """Return the regression as arrays, for a state."""
        found = {
            name: np.asarray(getattr(self, name))
            for name in ("centre", "slopes", "mean", "noise", "basis", "gains", "rest", "count")
        }
        found["strength"] = np.asarray(self.strength)
        return {prefix + name: array for name, array in found.items()}

    @classmethod
    def of(cls, state: Arrays, prefix: str = "") -> Ridge:
        """Return the regression that *state* holds under *prefix*."""
        names = ("centre", "slopes", "mean", "noise", "basis", "gains", "count")
        return cls(
            **{name: state[prefix + name] for name in names},
            rest=float(state[prefix + "rest"]),
            strength=float(state[prefix + "strength"]),
        )


def _patterns(known: Any) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows and columns of each set of columns that know the same rows."""
    found: dict[bytes, list[int]] = {}
    for column in range(known.shape[1]):
        found.setdefault(known[:, column].tobytes(), []).append(column)
    if len(found) > _PATTERNS:
        yield np.arange(len(known)), np.arange(known.shape[1])
        return
    for columns in found.values():
        rows = np.flatnonzero(known[:, columns[0]])
        yield (rows if len(rows) else np.arange(len(known))), np.array(columns)


class _Solver:
    """Ridge regressions of one set of rows, for any strength, after one decomposition."""

    def __init__(self, seen: Floats, centred: Floats) -> None:
        self.rows = len(seen)
        # The smaller of the two Gram matrices has the same eigenvalues as the larger.
        if len(seen) >= seen.shape[1]:
            values, self.vectors = np.linalg.eigh(seen.T @ seen)
            self.values = np.maximum(values, 0.0)
            self.turned = seen @ self.vectors  # (n, r)
        else:
            values, left = np.linalg.eigh(seen @ seen.T)
            self.values = np.maximum(values, 0.0)
            self.turned = left * np.sqrt(self.values)
            self.vectors = seen.T @ left / np.sqrt(np.maximum(self.values, 1e-12))
        self.products = self.turned.T @ centred  # (r, c)
        self.centred = centred

    def left_out(self, strength: float) -> Floats:
        """Return the sum of squared errors of each column when each row is left out, (c,)."""
        weights = 1 / (self.values + strength)
        fitted = self.turned @ (weights[:, None] * self.products)
        leverage = np.square(self.turned) @ weights + 1 / max(self.rows, 2)
        errors = (self.centred - fitted) / np.maximum(1 - leverage, 1e-3)[:, None]
        found: Floats = np.square(errors).sum(axis=0)
        return found

    def slopes(self, strength: float) -> Floats:
        """Return the slopes, (d, c)."""
        found: Floats = self.vectors @ (self.products / (self.values + strength)[:, None])
        return found

    def spread(self, strength: float) -> tuple[Floats, Floats, float]:
        """Return directions (d, r), the gain along each (r,), and that along all others."""
        weights = 1 / (self.values + strength)
        order = np.argsort(-self.values, kind="stable")
        first, others = order[:_DIRECTIONS], order[_DIRECTIONS:]
        rest = float(weights[others].mean()) if len(others) else 1 / strength
        return self.vectors[:, first], weights[first], rest
