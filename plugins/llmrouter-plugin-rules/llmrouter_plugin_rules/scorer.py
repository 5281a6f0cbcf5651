"""Veto what cannot answer, or may not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from attrs import Attribute, define, field, frozen
from llmrouter_core import Model, Query, Scores, hookimpl

from llmrouter_plugin_rules.choosing import chosen, meant
from llmrouter_plugin_rules.conditions import Asked, Conditions
from llmrouter_plugin_rules.requests import NEEDS, Need, most_tokens_of, needs_of


@frozen(kw_only=True, eq=False)
class Gate(Conditions):
    """Who may answer when its conditions hold.

    Attributes:
        allow: Nobody but these: names, `tag:x`, `smallest`, `largest` or `cheapest`.
        deny: None of these.
    """

    allow: tuple[str, ...] = field(default=(), validator=meant)
    deny: tuple[str, ...] = field(default=(), validator=meant)

    @deny.validator
    def _says_whom(self, _: Attribute[Any], deny: tuple[str, ...]) -> None:
        if not self.allow and not deny:
            raise ValueError("the rule says nothing of who may answer; add: deny = […]")


@frozen(kw_only=True, eq=False)
class _Pool:
    """What the vetoes need to know of the models of a pool.

    Attributes:
        models: The pool.
        everyone: Its columns.
        windows: Column and context window of each model whose window is known.
        smallest: The smallest of these windows.
        lacks: For each need that some models meet, the columns of those that do not.
        outside: For each region that some models are in, the columns of those that are not.
        gates: Each rule with the columns that it keeps out.
    """

    models: Sequence[Model]
    everyone: tuple[int, ...]
    windows: tuple[tuple[int, int], ...]
    smallest: int
    lacks: Mapping[Need, tuple[int, ...]]
    outside: Mapping[str, tuple[int, ...]]
    gates: tuple[tuple[Gate, tuple[int, ...]], ...]


@define(eq=False, kw_only=True)
class RulesScorer:
    """Score 0 for a model that may answer and -inf for one that cannot or may not.

    The core takes a model with -inf out of every ranking, so this goes with any selector. A query
    with the fact `region` is only for models with the tag `region:…` of it: who says nothing of
    where it processes data may not answer.

    Attributes:
        name: Name of the score.
        context: Veto models whose context window is too small for the request and the answer it
            allows (`max_tokens`); an unknown window is large enough.
        capabilities: Veto models that lack the tag of what the request shows: `vision`, `audio`,
            `tools`, `json`. Only tags that at least one candidate has count.
        rules: Further vetoes; unlike the selector's rules, all that fit count.
    """

    name: str = "allowed"
    context: bool = True
    capabilities: bool = True
    rules: tuple[Gate, ...] = ()
    _pool: _Pool | None = field(init=False, default=None, repr=False)

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
        """Return 0 or -inf, (n, m).

        Raises:
            ConfigError: A rule names a model that is no candidate.
        """
        pool = self._pool
        if pool is None or pool.models is not models:  # the same at every decision of a router
            pool = self._pool = self._known(models)
        values = np.zeros((len(queries), len(models)))
        for row, query in enumerate(queries):
            for column in self._never(query, pool):
                values[row, column] = -math.inf
        return Scores(self.name, values)

    def _never(self, query: Query, pool: _Pool) -> list[int]:
        """Return the columns of the models that cannot answer *query*, or may not."""
        never: list[int] = []
        asked = Asked(query)
        if self.context and pool.windows:
            answer = query.request.limit or 0
            if pool.smallest < most_tokens_of(query) + answer:
                needed = asked.tokens + answer
                never += [column for column, window in pool.windows if window < needed]
        if self.capabilities and pool.lacks:
            for need in needs_of(query):
                never += pool.lacks.get(need, ())
        region = query.facts.get("region")
        if region is not None:
            never += pool.outside.get(str(region), pool.everyone)
        for gate, shut in pool.gates:
            if gate.hold(asked):
                never += shut
        return never

    def _known(self, models: Sequence[Model]) -> _Pool:
        """Return what the vetoes need to know of *models*."""
        windows = tuple((n, m.context) for n, m in enumerate(models) if m.context is not None)
        lacks = {
            need: tuple(n for n, model in enumerate(models) if need not in model.tags)
            for need in NEEDS
            if any(need in model.tags for model in models)
        }
        columns, regions = range(len(models)), [model.regions for model in models]
        return _Pool(
            models=models,
            everyone=tuple(columns),
            windows=windows,
            smallest=min((window for _, window in windows), default=0),
            outside={
                region: tuple(n for n in columns if region not in regions[n])
                for region in chain(*regions)
            },
            lacks={need: columns for need, columns in lacks.items() if columns},
            gates=tuple(
                (gate, self._shut(place, models)) for place, gate in enumerate(self.rules)
            ),
        )

    def _shut(self, place: int, models: Sequence[Model]) -> tuple[int, ...]:
        """Return the columns that the rule at *place* keeps out."""
        gate, where = self.rules[place], f"scorer.{self.name}.rules.{place + 1}"
        allowed = chosen(gate.allow, models, "pool", f"{where}.allow")
        denied = chosen(gate.deny, models, "pool", f"{where}.deny")
        return tuple(
            n for n in range(len(models)) if n in denied or (gate.allow and n not in allowed)
        )
