"""Rank by the first rule that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import Attribute, define, field, frozen
from llmrouter_core import Ints, Model, Query, hookimpl

from llmrouter_plugin_rules.choosing import Order, chosen, meant, ordered
from llmrouter_plugin_rules.conditions import Asked, Conditions


@frozen(kw_only=True, eq=False)
class Rule(Conditions):
    """Whom to ask when its conditions hold.

    Attributes:
        models: Who comes first, in this order: names, `tag:x` for all that have the tag, or
            `smallest`, `largest`, `cheapest` for one model each.
        otherwise: Order of the rest of the pool; that of the selector by default.
        only: Whether the rest is not asked at all.
    """

    models: tuple[str, ...] = field(default=(), validator=meant)
    otherwise: Order | None = None
    only: bool = field(default=False)

    @only.validator
    def _says_whom(self, _: Attribute[Any], only: bool) -> None:
        if not self.models and (only or self.otherwise is None):
            raise ValueError("the rule says nothing of whom to ask; add: models = […]")


@frozen(kw_only=True, eq=False)
class _Pool:
    """How a pool is ranked.

    Attributes:
        models: The pool.
        rest: Its columns where no rule fits, (m,).
        rows: Each rule that is not passed over, and how it ranks them, (m,), padded with -1.
    """

    models: Sequence[Model]
    rest: Ints
    rows: tuple[tuple[Rule, Ints], ...]


@define(eq=False, kw_only=True)
class RulesSelector:
    """Rank for each query by the first rule that fits; the rest of the pool follows.

    A rule whose models are all missing from the pool, because nobody has the tag, is passed over
    unless it says `only`.

    Attributes:
        rules: The rules, in the order in which they are tried.
        otherwise: Order of the models about which no rule says anything: `smallest`, `largest` or
            `cheapest` first, or as the `pool` lists them.
    """

    rules: tuple[Rule, ...] = ()
    otherwise: Order = "smallest"
    _pool: _Pool | None = field(init=False, default=None, repr=False)

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        """Return the ranking of the first rule that fits each query, (n, m), padded with -1.

        Raises:
            ConfigError: A rule names a model that is no candidate.
        """
        pool = self._pool
        if pool is None or pool.models is not models:  # the same at every decision of a router
            pool = self._pool = self._known(models)
        rows = [self._ranked(query, pool) for query in queries]
        return np.array(rows, dtype=np.intp).reshape(-1, len(models))

    def _ranked(self, query: Query, pool: _Pool) -> Ints:
        """Return the ranking for *query*, (m,)."""
        asked = Asked(query)
        for rule, columns in pool.rows:
            if rule.hold(asked):
                return columns
        return pool.rest

    def _known(self, models: Sequence[Model]) -> _Pool:
        """Return how *models* are ranked."""
        rows = [(rule, self._row(place, models)) for place, rule in enumerate(self.rules)]
        return _Pool(
            models=models,
            rest=np.array(ordered(models, self.otherwise), dtype=np.intp),
            rows=tuple(
                (rule, np.array(row, dtype=np.intp)) for rule, row in rows if row is not None
            ),
        )

    def _row(self, place: int, models: Sequence[Model]) -> list[int] | None:
        """Return how the rule at *place* ranks *models*, (m,); None where it has to be passed."""
        rule = self.rules[place]
        order = rule.otherwise or self.otherwise
        first = chosen(rule.models, models, order, f"selector.rules.{place + 1}.models")
        if rule.only:
            return [*first, *[-1] * (len(models) - len(first))]
        if rule.models and not first:
            return None
        return [*first, *(column for column in ordered(models, order) if column not in first)]
