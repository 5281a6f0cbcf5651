"""RouteLLM's figures of a router: the pair of models, its columns and what they become."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from llmrouter_core.evaluation import pairs
from llmrouter_core.evaluation.replay import Replay
from llmrouter_core.evaluation.resampling import Means, figure
from llmrouter_core.types import Floats, Ints, Model

if TYPE_CHECKING:
    from llmrouter_core.training import Dataset


@frozen(kw_only=True)
class Pair:
    """A weak and a strong model of a pool.

    Attributes:
        names: Their names, the weak one first.
        weak: Column of the weak model.
        strong: Column of the strong model.
    """

    names: tuple[str, str]
    weak: int
    strong: int

    def columns(self, test: Dataset, run: Replay) -> dict[Hashable, Floats]:
        """Return the columns of every threshold between the two, on queries both answered."""
        weak, strong = test.quality[:, self.weak], test.quality[:, self.strong]
        both = ~np.isnan(weak) & ~np.isnan(strong)
        found: dict[Hashable, Floats] = {
            "weak": np.where(both, weak, np.nan),
            "strong": np.where(both, strong, np.nan),
            "recovered": np.where(both, run.own.quality - weak, np.nan),
            "recoverable": np.where(np.isnan(run.own.quality), np.nan, strong - weak),
        }
        for number, moved in enumerate(self._thresholds(run)):
            found["pair", number, "quality"] = np.where(
                both, np.where(moved, strong, weak), np.nan
            )
            found["pair", number, "share"] = np.where(both, moved, np.nan)
        return found

    def _thresholds(self, run: Replay) -> list[Floats]:
        return [] if run.solved else pairs.thresholds(self._eagerness(run))

    def _eagerness(self, run: Replay) -> Floats:
        """Return how much each query wants the strong model, (n,).

        By the predicted gap in quality; where no quality is predicted, by the number of settings
        of the knob at which the strong model is ranked before the weak one.
        """
        quality = run.decisions.quality
        if quality is not None:
            low, high = (
                np.where(np.isfinite(values), values, np.nan)
                for values in (quality[:, self.weak], quality[:, self.strong])
            )
            gap: Floats = high - low
            return gap
        rankings = list(run.decisions.turned.values()) or [run.decisions.ranking]
        ahead = [_rank(one, self.strong) < _rank(one, self.weak) for one in rankings]
        total: Floats = np.sum(ahead, axis=0).astype(float)
        return total

    def figures(self, drawn: Means, run: Replay) -> dict[str, Any]:
        """Return PGR, APGR and CPT, if the strong model is the better one."""
        weak, strong = drawn["weak"], drawn["strong"]
        if not strong[0] > weak[0]:
            return {"pair": self.names}
        gap = np.where(strong > weak, strong - weak, np.nan)  # no gap, nothing to recover
        found: dict[str, Any] = {"pair": self.names}
        whole = drawn["recoverable"]  # on the queries that the router answered too
        pgr = drawn["recovered"] / np.where(whole > 0, whole, np.nan)
        if not np.isnan(pgr[0]):
            found["pgr"] = figure(pgr)
        if run.solved:
            return found
        numbers = range(len(self._thresholds(run)))
        shares = drawn.stack([("pair", number, "share") for number in numbers])
        quality = drawn.stack([("pair", number, "quality") for number in numbers])
        x, y = pairs.curve(shares, (quality - weak[:, None]) / gap[:, None])
        x, y = (
            np.where(np.isnan(gap)[:, None], np.nan, x),
            np.where(np.isnan(gap)[:, None], np.nan, y),
        )
        return {
            **found,
            "apgr": figure(pairs.apgr(x, y)),
            "cpt50": figure(pairs.cpt(x, y, 0.5)),
            "cpt80": figure(pairs.cpt(x, y, 0.8)),
        }


def pair_of(
    pool: Sequence[Model], costs: Floats, best: int, weak: str | None, strong: str | None
) -> Pair | None:
    """Return the pair to measure, or None if weak and strong are the same model.

    Args:
        pool: The models.
        costs: Mean dollars of each, (m,), NaN where unknown.
        best: Column of the best single model.
        weak: Name of the weak one; else the cheapest, or the smallest where no cost is known.
        strong: Name of the strong one; else the best single.

    Raises:
        ValueError: A name is not in the pool.
    """
    names = [model.name for model in pool]
    for what, name in (("weak", weak), ("strong", strong)):
        if name is not None and name not in names:
            raise ValueError(
                f"'{what}' is no model of the pool: {name}; it has {', '.join(names)}"
            )
    cheapest = (
        min(range(len(pool)), key=lambda j: pool[j].scale)
        if np.isnan(costs).all()
        else int(np.nanargmin(costs))
    )
    low = cheapest if weak is None else names.index(weak)
    high = best if strong is None else names.index(strong)
    return None if low == high else Pair(names=(names[low], names[high]), weak=low, strong=high)


def _rank(ranking: Ints, column: int) -> Ints:
    """Return the place of *column* in each row, (n,); after all others where it is missing."""
    found = ranking == column
    place: Ints = np.where(found.any(axis=1), found.argmax(axis=1), ranking.shape[1])
    return place
