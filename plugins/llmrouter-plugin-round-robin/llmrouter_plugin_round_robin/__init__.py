"""Take turns among the models: smooth weighted round robin, safe from any thread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import Attribute, define, field
from llmrouter_core import ConfigError, Ints, Model, Query, Scores, hookimpl
from llmrouter_core.structuring import near

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _weights(_: Any, attribute: Attribute[Any], value: Mapping[str, float]) -> None:
    """Check that every weight may be one."""
    wrong = [name for name, weight in value.items() if not 0 <= weight < math.inf]
    if wrong:
        raise ValueError(f"'{attribute.name}' are finite and not negative; correct '{wrong[0]}'")


@define(eq=False, kw_only=True)
class RoundRobinSelector:
    """Put each model first in its turn, as often as its weight says and as evenly as possible.

    This is the smooth weighted round robin of nginx. For each query every candidate's credit
    grows by its weight; the largest credit comes first and pays the sum of all weights. Equal
    weights take turns in the order of their names; weights 5, 1, 1 give a a b a c a a. The
    ranking is the order of credits, so that fallbacks are who is due next.

    A model that a scorer vetoes for a query has no part in that query's turn: it gains no credit,
    and the others share the turn by their weights.

    The turns are counted in this part alone: another process counts its own, and a restart
    begins anew. Looking at a decision takes a turn too.

    Attributes:
        weights: The weight of each model by name; a model that is not listed weighs 1. A model of
            weight 0 is a fallback only.
    """

    weights: Mapping[str, float] = field(factory=dict, validator=_weights)
    _credit: dict[str, float] = field(init=False, repr=False, factory=dict)
    _lock: Lock = field(init=False, repr=False, factory=Lock)

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        """Return every model for every query, who has its turn first, (n, m).

        Raises:
            ConfigError: A weight is for a model that is no candidate.
        """
        names = [model.name for model in models]
        for name in self.weights:
            if name not in names:
                reason = f"there is no candidate '{name}'{near(name, names)}"
                raise ConfigError("router", [f"{reason} @ selector.weights"])
        barred = np.zeros((len(queries), len(names)), dtype=bool)  # (n, m)
        for one in scores.values():
            barred |= np.isneginf(one.values)
        ranking = np.empty(barred.shape, dtype=np.intp)
        with self._lock:  # a batch takes its turns in one go
            for row, vetoed in zip(ranking, barred, strict=True):
                row[:] = self._turn(names, vetoed)
        return ranking

    def _turn(self, names: Sequence[str], vetoed: NDArray[np.bool_]) -> list[int]:
        """Return the order of one turn, (m,), and charge whoever comes first."""
        weights = [self.weights.get(name, 1.0) for name in names]
        allowed = [column for column in range(len(names)) if not vetoed[column]]
        sharing = [column for column in allowed if weights[column]]
        for column in sharing:
            name = names[column]
            self._credit[name] = self._credit.get(name, 0.0) + weights[column]
        order = sorted(
            range(len(names)),
            key=lambda column: (
                bool(vetoed[column]),
                not weights[column],
                -self._credit.get(names[column], 0.0),
                names[column],
            ),
        )
        if sharing:
            self._credit[names[order[0]]] -= sum(weights[column] for column in sharing)
        return order
