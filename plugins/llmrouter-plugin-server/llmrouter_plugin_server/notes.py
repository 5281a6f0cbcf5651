"""What an answer says about itself: who gave it, why, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from attrs import frozen
from llmrouter_core import Decision, Scores, Step

from llmrouter_plugin_server import names
from llmrouter_plugin_server.asking import Asking
from llmrouter_plugin_server.composing import CAPABLE


@frozen
class Note:
    """The field `llmrouter` of one answer.

    Attributes:
        id: Of the request; feedback names it.
        model: Who answered.
        reason: `routed`, `pinned`, `fallback` (the first choice failed, or the solver moved on)
            or `router-failed` (the default model answered).
        cost: Dollars of all calls; None where a price is not known.
        scores: What was predicted: for each score, the models' values.
    """

    id: str
    model: str
    reason: str
    cost: float | None
    scores: dict[str, dict[str, float]]

    def field(self) -> dict[str, Any]:
        """Return it as the field `llmrouter`."""
        return {
            "id": self.id,
            "model": self.model,
            "reason": self.reason,
            "cost": self.cost,
            "scores": self.scores,
        }


def note_of(identifier: str, session: Asking, pinned: str | None) -> Note:
    """Return the note on an answer that is complete."""
    model = answered_by(session)
    return Note(
        identifier,
        model,
        reason_of(session, model, pinned),
        cost_of(session.steps),
        scores_of(session.decision),
    )


def answered_by(session: Asking) -> str:
    """Return the model that answered, or that is answering."""
    for step in reversed(session.steps):
        if step.finish is not None and step.error is None:
            return step.model
    return session.asked


def reason_of(session: Asking, model: str, pinned: str | None) -> str:
    """Return why *model* answers."""
    if session.trouble is not None:
        return "router-failed"
    if pinned is not None:
        return "pinned"
    decided = session.decision
    return "routed" if decided is None or decided.model.name == model else "fallback"


def cost_of(steps: Sequence[Step]) -> float | None:
    """Return the dollars of all calls, or None where one has no known price."""
    total = 0.0
    for step in steps:
        if step.cost is None:
            return None
        total += step.cost
    return total


def scores_of(decision: Decision | None) -> dict[str, dict[str, float]]:
    """Return what was predicted, by score and model; unknown values become null as JSON."""
    if decision is None:
        return {}
    pool = [model.name for model in decision.models]
    return {
        name: dict(zip(pool, one.values.tolist(), strict=True)) for name, one in telling(decision)
    }


def telling(decision: Decision) -> list[tuple[str, Scores]]:
    """Return the scores worth telling: all but those of a filter that let everybody pass."""
    return [
        (name, one) for name, one in decision.scores.items() if name != CAPABLE or one.values.any()
    ]


def headers_of(identifier: str, model: str, reason: str) -> list[tuple[bytes, bytes]]:
    """Return the headers that are known before the first word."""
    return [
        (names.ID, identifier.encode()),
        (names.MODEL, quote(model, safe=" /:.,;=+@~!$&'()*[]").encode()),
        (names.REASON, reason.encode()),
    ]


def cost_header(cost: float | None) -> list[tuple[bytes, bytes]]:
    """Return the header with the cost, where it is known."""
    return [] if cost is None else [(names.COST, b"%.10g" % cost)]
