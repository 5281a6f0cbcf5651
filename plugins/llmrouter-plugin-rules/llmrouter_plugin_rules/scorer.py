"""Veto what cannot answer, or may not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import Attribute, define, field, frozen
from llmrouter_core import Model, Query, Scores, hookimpl

from llmrouter_plugin_rules.choosing import chosen, meant
from llmrouter_plugin_rules.conditions import Asked, Conditions
from llmrouter_plugin_rules.requests import NEEDS


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
    def _says_whom(self, _: "Attribute[Any]", deny: tuple[str, ...]) -> None:
        if not self.allow and not deny:
            raise ValueError("the rule says nothing of who may answer; add: deny = […]")


@define(eq=False, kw_only=True)
class RulesScorer:
    """Score 0 for a model that may answer and -inf for one that cannot or may not.

    The core takes a model with -inf out of every ranking, so this goes with any selector.

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

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
        """Return 0 or -inf, (n, m).

        Raises:
            ConfigError: A rule names a model that is no candidate.
        """
        windows = np.array([np.inf if m.context is None else m.context for m in models])  # (m,)
        lacks = {
            need: np.array([need not in model.tags for model in models])  # (m,)
            for need in NEEDS
            if any(need in model.tags for model in models)
        }
        gates = [self._shut(place, models) for place in range(len(self.rules))]
        never = np.zeros((len(queries), len(models)), dtype=bool)  # (n, m)
        for row, query in zip(never, queries, strict=True):
            asked = Asked(query)
            if self.context:
                row |= windows < asked.tokens + (query.request.limit or 0)
            if self.capabilities:
                for need in asked.needs & lacks.keys():
                    row |= lacks[need]
            for gate, shut in zip(self.rules, gates, strict=True):
                if gate.hold(asked):
                    row |= shut
        return Scores(self.name, np.where(never, -np.inf, 0.0))

    def _shut(self, place: int, models: Sequence[Model]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return whom the rule at *place* keeps out, (m,)."""
        gate, where = self.rules[place], f"scorer.{self.name}.rules.{place + 1}"
        shut = np.full(len(models), bool(gate.allow))
        shut[chosen(gate.allow, models, "pool", f"{where}.allow")] = False
        shut[chosen(gate.deny, models, "pool", f"{where}.deny")] = True
        return shut
