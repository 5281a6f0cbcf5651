"""Select the cheapest model that is predicted good enough."""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Floats, Ints, Model, Query, Scores, hookimpl, named_score


@define(eq=False, kw_only=True)
class ThresholdSelector:
    """Rank models that are good enough from cheap to dear, then the rest from good to bad.

    With two models and *slack* it is the rule of Hybrid LLM (Ding et al. 2024, arXiv 2404.14618):
    the small model answers unless the large one is predicted better by more than the slack.

    Attributes:
        good_enough: Predicted quality from which a model is good enough.
        slack: If given, a model is good enough within this much of the best predicted quality
            for the query, whatever *good_enough* says.
        quality: Name of the score that predicts quality.
        cost: Name of the score that predicts dollars; without it the blended price decides.
    """

    good_enough: float = field(default=0.7, validator=[validators.ge(0), validators.le(1)])
    slack: float | None = field(
        default=None, validator=validators.optional([validators.ge(0), validators.le(1)])
    )
    quality: str = "quality"
    cost: str = "cost"

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        """Return every model for every query, best first, (n, m)."""
        values = named_score(scores, self.quality, "selector").values
        quality = np.where(np.isnan(values), -np.inf, values)  # (n, m)
        if self.slack is None:
            bar: float | Floats = self.good_enough
        else:
            bar = quality.max(axis=1, keepdims=True, initial=-np.inf) - self.slack  # (n, 1)
        cost = self._cost(models, scores, quality.shape)
        short = ~((quality >= bar) & np.isfinite(quality))
        second = np.where(short, -quality, cost)
        third = np.where(short, cost, -quality)
        return np.lexsort((third, second, short), axis=-1).astype(np.intp, copy=False)

    def _cost(
        self, models: Sequence[Model], scores: Mapping[str, Scores], shape: tuple[int, ...]
    ) -> Floats:
        """Return what sorts models from cheap to dear, (n, m); unknown is dearest."""
        if self.cost in scores:
            cost = scores[self.cost].values
        else:
            prices = [np.nan if m.price is None else m.price.blended for m in models]
            cost = np.broadcast_to(np.array(prices, dtype=float), shape)
        return np.where(np.isnan(cost), np.inf, cost)
