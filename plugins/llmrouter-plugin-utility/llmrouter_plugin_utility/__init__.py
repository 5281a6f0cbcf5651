"""Select by what an answer is worth: quality against cost and latency, with one knob."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define, field, validators
from llmrouter_core import ConfigError, Floats, Ints, Model, Query, Scores, hookimpl, named_score


@define(eq=False, kw_only=True)
class UtilitySelector:
    """Rank by `(1 - t) * w * quality - t * (cost + s * latency)`, in US dollars.

    *w* is the willingness to pay of RouterBench (Hu et al. 2024, arXiv 2403.12031, section 3): the
    dollars one fully right answer is worth. *t* is the knob: 0 is quality first, 1 is cost first,
    and 0.5 maximises worth minus cost. A query's facts may set `tradeoff` for itself.

    A model of unknown quality follows every model of known quality; equal utilities go to the
    cheaper model, then to the order of the pool.

    Attributes:
        tradeoff: The knob *t*, from 0 to 1.
        willingness_to_pay: *w*, US dollars for an answer of quality 1.
        second: *s*, US dollars that a second of waiting costs.
        caution: Standard errors of quality to take off, so that a well-known model is preferred.
        quality: Name of the score that predicts quality.
        cost: Name of the score that predicts dollars; needed unless *tradeoff* is 0.
        latency: Name of the score that predicts seconds; needed where *second* is not 0.
    """

    tradeoff: float = field(default=0.5, validator=[validators.ge(0), validators.le(1)])
    willingness_to_pay: float = field(
        default=0.01, validator=[validators.ge(0), validators.lt(math.inf)]
    )
    second: float = field(default=0.0, validator=[validators.ge(0), validators.lt(math.inf)])
    caution: float = field(default=0.0, validator=[validators.ge(0), validators.lt(math.inf)])
    quality: str = "quality"
    cost: str = "cost"
    latency: str = "latency"

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        """Return every model for every query, best first, (n, m)."""
        quality = self._quality(scores)  # (n, m)
        knob = self._knob(queries)  # scalar or (n, 1)
        needed = bool(knob.any() if isinstance(knob, np.ndarray) else knob)
        if not needed and self.cost not in scores:  # nothing to weigh, nothing to break ties by
            # NaN sorts last, which is where an unknown quality belongs.
            return np.argsort(-quality, axis=-1, kind="stable")
        spent = self._spent(scores, needed=needed)  # (n, m)
        with np.errstate(invalid="ignore"):  # a model vetoed by -inf may become NaN, the last
            utility = (1 - knob) * self.willingness_to_pay * quality - knob * spent
        return np.lexsort((spent, -utility), axis=-1).astype(np.intp, copy=False)

    def _quality(self, scores: Mapping[str, Scores]) -> Floats:
        predicted = named_score(scores, self.quality, "selector.quality")
        if self.caution and predicted.std is not None:
            return predicted.values - self.caution * predicted.std
        return predicted.values

    def _spent(self, scores: Mapping[str, Scores], *, needed: bool) -> Floats:
        spent = _known(named_score(scores, self.cost, "selector.tradeoff").values)
        if needed and self.second:
            waited = _known(named_score(scores, self.latency, "selector.second").values)
            spent = spent + self.second * waited
        return spent

    def _knob(self, queries: Sequence[Query]) -> float | Floats:
        if not any("tradeoff" in query.facts for query in queries):
            return self.tradeoff
        knobs = [query.facts.get("tradeoff", self.tradeoff) for query in queries]
        for knob in knobs:
            if isinstance(knob, bool) or not isinstance(knob, int | float) or not 0 <= knob <= 1:
                raise ConfigError(
                    "query", [f"'tradeoff' must be a number from 0 to 1, got {knob!r} @ facts"]
                )
        return np.array(knobs, dtype=float)[:, None]  # (n, 1)


def _known(values: Floats) -> Floats:
    """Return *values* with what is unknown at the dearest known value of its row, or 0."""
    if not np.isnan(values).any():
        return values
    dearest = np.where(np.isnan(values), 0.0, values).max(axis=-1, keepdims=True, initial=0.0)
    return np.where(np.isnan(values), dearest, values)
