"""Arms: other rankings that get a share of the traffic."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from attrs import define, field, validators
from llmrouter_core import BadResult, ConfigError, Ints, Model, Query, Scores, Selector


@define(eq=False, kw_only=True)
class Arm:
    """A ranking and its share: a model that comes first, or what another selector says.

    Attributes:
        weight: Share of the traffic, above 0 to 1.
        model: Model that comes first where it may answer; the router's ranking follows.
        selector: The selector whose ranking it is.
    """

    weight: float = field(validator=[validators.gt(0.0), validators.le(1.0)])
    model: str | None = None
    selector: Selector | None = None
    _wanted: tuple[str, ...] = field(init=False, repr=False, default=())

    def __attrs_post_init__(self) -> None:
        if (self.model is None) == (self.selector is None):
            raise ConfigError("arm", ["an arm is a model or a selector; give one of them"])
        if hasattr(self.selector, "fit"):
            name = type(self.selector).__name__
            raise ConfigError(
                "arm", [f"{name} learns, and a part within an arm is not trained; use another"]
            )
        if self.selector is not None:
            self._wanted = tuple(inspect.signature(self.selector.select).parameters)

    def rankings(
        self,
        queries: Sequence[Query],
        models: Sequence[Model],
        scores: Mapping[str, Scores],
        own: list[list[int]],
    ) -> list[list[int]]:
        """Return this arm's ranking of each query, where the router's are *own*.

        Raises:
            ConfigError: There is no such model.
            BadResult: The selector returned something else.
        """
        if self.selector is None:
            return self._first(models, own)
        given = {"queries": queries, "models": models, "scores": scores}
        found = self.selector.select(**{name: given[name] for name in self._wanted})
        if not is_ranking(found, len(queries), len(models)):
            got = getattr(found, "shape", type(found).__name__)
            raise BadResult(
                f"extension 'experiment': its arm {type(self.selector).__name__} returned {got}, "
                f"expected columns of the pool ({len(queries)}, k) with k from 1 to {len(models)}"
            )
        ranked: list[list[int]] = found.tolist()
        return ranked

    def _first(self, models: Sequence[Model], own: list[list[int]]) -> list[list[int]]:
        """Return *own* with the model first in every row that ranks it."""
        [column] = [j for j, model in enumerate(models) if model.name == self.model][:1] or [-1]
        if column < 0:
            known = ", ".join(model.name for model in models)
            problem = f"there is no model '{self.model}'; the pool has: {known} @ arms"
            raise ConfigError("extension.experiment", [problem])
        return [
            [column, *(other for other in row if other != column)] if column in row else row
            for row in own
        ]


def is_ranking(found: Any, rows: int, models: int) -> TypeGuard[Ints]:
    """Return whether *found* is what a selector must return."""
    return (
        isinstance(found, np.ndarray)
        and found.ndim == 2
        and len(found) == rows
        and 1 <= found.shape[1] <= models
        and found.dtype.kind == "i"
        and (not rows or bool(found.min() >= -1 and found.max() < models))
    )
