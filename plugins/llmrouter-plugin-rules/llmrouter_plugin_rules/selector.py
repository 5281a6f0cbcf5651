"""Rank by the first rule that fits."""

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
    def _says_whom(self, _: "Attribute[Any]", only: bool) -> None:
        if not self.models and (only or self.otherwise is None):
            raise ValueError("the rule says nothing of whom to ask; add: models = […]")


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

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        """Return the ranking of the first rule that fits each query, (n, m), padded with -1.

        Raises:
            ConfigError: A rule names a model that is no candidate.
        """
        rows = [self._row(place, models) for place in range(len(self.rules))]
        rest = np.array(ordered(models, self.otherwise), dtype=np.intp)  # (m,)
        ranking = np.tile(rest, (len(queries), 1))  # (n, m)
        for row, query in zip(ranking, queries, strict=True):
            asked = Asked(query)
            for rule, columns in zip(self.rules, rows, strict=True):
                if columns is not None and rule.hold(asked):
                    row[:] = columns
                    break
        return ranking

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
