"""Bootstrap intervals over groups of queries: one set of resamples for every figure.

Percentile intervals (Efron 1979). Whole groups are drawn with replacement, so that near copies
count as one observation; all columns share the draws, so that differences are paired. A figure
that is no mean, such as an area, is computed anew on the means of each resample.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from llmrouter_core.evaluation.report import Figure, Interval
from llmrouter_core.types import Floats

_AT_ONCE = 64  # resamples weighed at a time, which bounds the memory


class Means:
    """The mean of each column, on the queries as they are and on every resample.

    Args:
        columns: Values by name, (n,) each; NaN is unknown and counts for nothing.
        groups: Group of each query.
        resamples: How many resamples to draw, R.
        seed: Seed of the draws.
        tell: Called with the share done.
    """

    def __init__(
        self,
        columns: Mapping[Hashable, Floats],
        groups: Sequence[str],
        resamples: int,
        seed: int,
        tell: Callable[[float], None] = lambda share: None,
    ) -> None:
        if resamples < 1:
            raise ValueError(f"'resamples' must be at least 1: {resamples}")
        _, index = np.unique(np.asarray(groups), return_inverse=True)
        size = int(index.max()) + 1 if len(index) else 0
        self._place = {name: place for place, name in enumerate(columns)}
        sums = np.zeros((size, len(columns)))
        counts: list[Floats] = []
        used: list[int] = []
        known_as: dict[bytes, int] = {}  # most columns know the same queries: count them once
        for place, values in enumerate(columns.values()):
            known = ~np.isnan(values)
            sums[:, place] = np.bincount(index, np.where(known, values, 0.0), minlength=size)
            key = known.tobytes()
            if key not in known_as:
                known_as[key] = len(counts)
                counts.append(np.bincount(index, known, minlength=size).astype(float))
            used.append(known_as[key])
        amounts = np.stack(counts, axis=1) if counts else np.zeros((size, 0))
        self._means = np.empty((resamples + 1, len(columns)))  # row 0: as they are
        self._means[0] = _ratio(sums.sum(axis=0), amounts.sum(axis=0)[used])
        rng = np.random.default_rng(seed)
        for start in range(0, resamples, _AT_ONCE):
            weights = _weights(rng, min(_AT_ONCE, resamples - start), size)  # (r, groups)
            block = slice(start + 1, start + 1 + len(weights))
            self._means[block] = _ratio(weights @ sums, (weights @ amounts)[:, used])
            tell((start + len(weights)) / resamples)

    def __getitem__(self, name: Hashable) -> Floats:
        """Return the means of *name*, (R + 1,): first as they are, then each resample."""
        means: Floats = self._means[:, self._place[name]]
        return means

    def stack(self, names: Sequence[Hashable]) -> Floats:
        """Return the means of *names*, (R + 1, len(names))."""
        means: Floats = self._means[:, [self._place[name] for name in names]]
        return means

    def figure(self, name: Hashable) -> Figure:
        """Return the mean of *name* with its interval."""
        return figure(self[name])


def figure(values: Floats) -> Figure:
    """Return (R + 1,) *values* of a statistic as its first with the interval of the others."""
    return Figure(value=float(values[0]), interval=interval(values[1:]))


def interval(values: Floats) -> Interval:
    """Return the 2.5 % and 97.5 % points of (R,) *values*; NaN where nothing is known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return (float("nan"), float("nan"))
    if np.isfinite(known).all():
        low, high = np.percentile(known, [2.5, 97.5])
    else:  # between a number and infinity there is nothing to interpolate
        low, high = np.percentile(known, [2.5, 97.5], method="nearest")
    return float(low), float(high)


def _weights(rng: np.random.Generator, rows: int, size: int) -> Floats:
    """Return how often each group is drawn, (rows, size)."""
    drawn = rng.integers(size, size=(rows, size)) if size else np.zeros((rows, 0), int)
    drawn += size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(float)


def _ratio(total: Floats, count: Floats) -> Floats:
    return np.where(count > 0, total / np.maximum(count, 1e-12), np.nan)
