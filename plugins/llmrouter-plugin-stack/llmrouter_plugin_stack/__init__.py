"""Score models by a cross-fitted stack of other scorers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, field, frozen, validators
from llmrouter_core import Arrays, ConfigError, Dataset, Floats, Query, Scorer
from llmrouter_core.learning import LearnedScorer
from llmrouter_core.learning.calibration import Kind

from llmrouter_plugin_stack.blend import Blend
from llmrouter_plugin_stack.familiarity import Familiarity, Gate, task_folds
from llmrouter_plugin_stack.guard import Guard
from llmrouter_plugin_stack.panel import Panel, cross_fitted, scales
from llmrouter_plugin_stack.shape import ShapeScorer

__all__ = ["ShapeScorer", "StackScorer"]


@frozen(eq=False)
class _Learned:
    """What `StackScorer` needs at hand."""

    panel: Panel
    blend: Blend
    familiarity: Familiarity
    gate: Gate
    guard: Guard


@define(eq=False, kw_only=True)
class StackScorer(LearnedScorer):
    """Stacked generalisation (Wolpert 1992) with non-negative weights (Breiman 1996), guarded.

    Each member predicts queries that were held out while it learned. From these predictions a
    logistic regression learns, for each member, how far to believe what it says of a query for
    all models alike (*b*) and what it says of one model against the others (*c*), neither below
    zero:

        logit quality_m = a_m + sum_k b_k * common_k + shrink(sum_k c_k * own_km)

    A contrast below *caution* standard errors is nothing, a larger one is shrunk by `1 -
    (caution * error / contrast)^2` (as James & Stein 1961 shrink means). A query unlike any task
    seen in training is shrunk by up to *doubt* standard errors instead: leaving whole tasks out
    while training shows what such a query looks like. And where held-out queries do not show
    that choosing by query beats the best single model, no model is believed to be better than
    that one: the plateau guard.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`; `none`, because the stack is fitted on held-out queries.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        members: The scorers that are stacked, by name.
        caution: Standard errors that a contrast between models must exceed to count.
        doubt: The same for queries unlike any task seen in training.
        familiar: Share of queries expected to be like those seen in training.
        evidence: Standard errors by which choosing must beat the best single model on held-out
            queries; below it the plateau guard holds. 0 switches it off, almost.
    """

    calibration: Kind = "none"
    members: Mapping[str, Scorer] = field(validator=validators.min_len(1))
    caution: float = field(default=0.25, validator=[validators.ge(0), validators.lt(math.inf)])
    doubt: float = field(default=4.0, validator=[validators.ge(0), validators.lt(math.inf)])
    familiar: float = field(default=0.8, validator=[validators.gt(0), validators.lt(1)])
    evidence: float = field(default=1.645, validator=[validators.ge(0), validators.lt(math.inf)])

    def __attrs_post_init__(self) -> None:
        odd = [name for name in self.members if not name or "." in name]
        if odd:
            reason = f"a member's name is not empty and has no full stop, got '{odd[0]}'"
            raise ConfigError("scorer", [reason])
        for name, member in self.members.items():
            if getattr(member.score, "llmrouter_impl", {}).get("wrapper"):
                reason = f"'{name}' adds to what other scorers say, so it cannot be a member"
                raise ConfigError("scorer", [f"{reason}; make it a scorer beside the stack"])

    def learn(self, dataset: Dataset) -> Arrays:
        """Return what the members learned, how they are blended, and what is unfamiliar."""
        panel = Panel.fit(self.members, dataset)
        familiarity = Familiarity.fit(dataset, self.seed)
        inside = cross_fitted(self.members, dataset, None, self.folds, self.seed)
        blend = Blend.fit(inside.values, inside.std, inside.quality, scales(self.members))
        fold = task_folds(dataset, self.folds, self.seed)
        outside = cross_fitted(self.members, dataset, fold, self.folds, self.seed)
        gate = Gate.fit(inside.features, outside.features)
        known = self._cautious(gate, inside.features)
        values, _ = blend.predict(inside.values, inside.std, known)
        guard = Guard.fit(values, inside.quality, self.evidence)
        blend = blend.judged(values, inside.quality)
        return {
            "stacked": np.array(dataset.models, dtype=np.str_),
            **panel.arrays(),
            **blend.arrays(),
            **familiarity.arrays(),
            **gate.arrays(),
            **guard.arrays(),
        }

    def prepare(self, learned: Arrays) -> _Learned:
        """Return the members and all else that *learned* holds."""
        blend = Blend.of(learned)
        return _Learned(
            panel=Panel.of(self.members, learned, blend.used),
            blend=blend,
            familiarity=Familiarity.of(learned),
            gate=Gate.of(learned),
            guard=Guard.of(learned),
        )

    def predict(
        self, learned: _Learned, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return expected quality and its standard error, (n, m) each."""
        values, std = learned.panel.predict(queries, embeddings)
        caution = self._cautious(learned.gate, learned.familiarity.features(embeddings))
        found, error = learned.blend.predict(values, std, caution)
        return learned.guard.apply(found), error

    def _cautious(self, gate: Gate, features: Floats) -> Floats:
        """Return the standard errors that a contrast must exceed for each query, (n, 1)."""
        known = gate.probability(features, self.familiar)
        found: Floats = self.caution + max(self.doubt - self.caution, 0.0) * (1 - known[:, None])
        return found

    def notes(self) -> list[str]:
        """Return which members earned their place, and whether the plateau guard holds."""
        learned: Any = self._learned
        if learned is None:
            return []
        names = [str(name) for name in self.state()["models"]]
        found = [*learned.blend.notes(list(self.members)), learned.guard.note(names)]
        return [f"scorer '{self.name}': {note}" for note in found]
