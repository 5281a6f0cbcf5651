"""What spans say: a request, an answer and a decision as attributes, without any text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmrouter_core import Answer, Decision, Model, Query, Request, Step, Usage

from llmrouter_plugin_otel import names
from llmrouter_plugin_otel.spans import Attributes, Value

_NUMBERS = {
    "frequency_penalty": names.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": names.REQUEST_PRESENCE_PENALTY,
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
}


def of_request(model: Model, request: Request) -> Attributes:
    """Return whom a call asks, and by which parameters."""
    payload = request.payload
    found: dict[str, Value] = {
        names.OPERATION: names.CHAT,
        names.PROVIDER: model.caller or "default",
        names.REQUEST_MODEL: model.id,
        names.MODEL: model.name,
    }
    for field, name in _NUMBERS.items():
        value = payload.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    if request.limit is not None:
        found[names.REQUEST_MAX_TOKENS] = request.limit
    if type(seed := payload.get("seed")) is int:
        found[names.REQUEST_SEED] = seed
    if type(choices := payload.get("n")) is int and choices != 1:
        found[names.REQUEST_CHOICES] = choices
    stop = payload.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if isinstance(stops, list) and stops and all(isinstance(one, str) for one in stops):
        found[names.REQUEST_STOP] = tuple(stops)
    shape = payload.get("response_format")
    if isinstance(shape, Mapping) and isinstance(shape.get("type"), str):
        found[names.OUTPUT_TYPE] = "json" if shape["type"].startswith("json") else shape["type"]
    return found


def of_usage(model: Model, usage: Usage | None) -> Attributes:
    """Return what a call used; what nobody reported is left out."""
    if usage is None:
        return {}
    found: dict[str, Value] = {
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
    }
    cost = usage.cost
    if cost is None and model.price is not None:
        cost = model.price.of(usage)
    if cost is not None:
        found[names.COST] = cost
    return found


def of_event(event: Mapping[str, Any] | None) -> Attributes:
    """Return what only the provider's own event tells."""
    found: dict[str, Value] = {}
    for field, name in (("id", names.RESPONSE_ID), ("model", names.RESPONSE_MODEL)):
        value = (event or {}).get(field)
        if isinstance(value, str) and value:
            found[name] = value
    usage = (event or {}).get("usage")
    for group, field, name in (
        ("prompt_tokens_details", "cached_tokens", names.CACHED_TOKENS),
        ("completion_tokens_details", "reasoning_tokens", names.REASONING_TOKENS),
    ):
        details = usage.get(group) if isinstance(usage, Mapping) else None
        tokens = details.get(field) if isinstance(details, Mapping) else None
        if type(tokens) is int:
            found[name] = tokens
    return found


def of_query(query: Query) -> Attributes:
    """Return which conversation a query belongs to, where it says so."""
    conversation = query.facts.get("conversation")
    return {names.CONVERSATION: conversation} if isinstance(conversation, str) else {}


def of_answer(steps: Sequence[Step], decision: Decision | None) -> Attributes:
    """Return what was decided, what came of it, and what all calls used together."""
    answer = Answer(text="", steps=tuple(steps), decision=decision)
    found: dict[str, Value] = {
        names.CALLS: len(steps),
        names.TOTAL_INPUT_TOKENS: answer.usage.input_tokens,
        names.TOTAL_OUTPUT_TOKENS: answer.usage.output_tokens,
    }
    if answer.cost is not None:
        found[names.COST] = answer.cost
    if answer.finish is not None:
        found[names.FINISH] = answer.finish
        found[names.MODEL] = answer.model
    if decision is not None:
        found |= of_decision(decision)
        if answer.finish is not None:
            first = answer.model == decision.model.name
            found[names.DECISION_REASON] = "routed" if first else "fallback"
    return found


def of_decision(decision: Decision) -> Attributes:
    """Return the ranking, and what was predicted of its first; what is unknown is left out."""
    found: dict[str, Value] = {
        names.DECISION_MODEL: decision.model.name,
        names.DECISION_RANKING: tuple(model.name for model in decision.ranking),
    }
    column = decision.models.index(decision.model)
    for name, scores in decision.scores.items():
        value = float(scores.values[column])
        if math.isfinite(value):
            found[names.DECISION_SCORE + name] = value
    return found
