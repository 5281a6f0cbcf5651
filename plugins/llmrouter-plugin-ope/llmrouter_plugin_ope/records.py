"""One line of a log, checked: a decision with its odds, or what a user said of it later."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from llmrouter_core import Floats
from llmrouter_core.outcomes import BadRow

PROPENSITY = "propensity"
_LOOSE = 1e-6  # by how much odds that were written down may be off


@frozen(kw_only=True, eq=False)
class Record:
    """A decision.

    Attributes:
        id: Identity of the request.
        when: Seconds since 1970, NaN where not logged.
        models: Names of the pool, m of them.
        chosen: Name of the model that stood first.
        answered: Name of the model that answered, which after a fallback is another.
        propensities: How likely each model was to stand first, (m,), or None where unknown.
        scores: What was predicted of each model, by name, (m,) each; NaN is unknown.
        text: The question, or None where it was not logged.
        embedding: Its embedding, (d,), or None.
        user: Who asked.
        conversation: Which conversation it belongs to.
        facts: What parts could read of it, such as `tradeoff`.
        reward: How good the answer was, 0 to 1; NaN where nobody said.
        cost: US dollars of all calls, NaN where unknown.
        input_tokens: Tokens read, NaN where unknown.
        output_tokens: Tokens written, NaN where unknown.
        seconds: Until the answer was complete, NaN where unknown.
        status: HTTP status, or one of the outcome statuses; None where not logged.
    """

    id: str
    when: float
    models: tuple[str, ...]
    chosen: str
    answered: str
    propensities: tuple[float, ...] | None
    scores: Mapping[str, tuple[float, ...]]
    text: str | None
    embedding: Floats | None
    user: str | None
    conversation: str | None
    facts: Mapping[str, Any]
    reward: float
    cost: float
    input_tokens: float
    output_tokens: float
    seconds: float
    status: int | str | None


@frozen(kw_only=True)
class Feedback:
    """What a user said of an answer.

    Attributes:
        id: Identity of the request.
        reward: From 0 (bad) to 1 (good).
    """

    id: str
    reward: float


def record_of(row: Any) -> Record | Feedback:
    """Return what a line says.

    Raises:
        BadRow: It is neither a decision nor feedback, or something in it is wrong.
    """
    if not isinstance(row, Mapping):
        raise BadRow("a row that is not a JSON object", "is not a JSON object")
    if "chosen" not in row:
        if row.get("reward") is None:
            raise BadRow("a row that is neither a decision nor feedback")
        return Feedback(id=_text(row, "id"), reward=_reward(row))
    models, chosen = _models(row), _text(row, "chosen")
    if chosen not in models:
        raise BadRow(
            "a chosen model outside its pool",
            f"'chosen' is {ascii(chosen)[:60]}, which is not among its 'models'",
        )
    scores = _scores(row, len(models))
    facts = dict(row["facts"]) if isinstance(row.get("facts"), Mapping) else {}
    if row.get("tradeoff") is not None:
        facts.setdefault("tradeoff", row["tradeoff"])
    answered = row.get("answered")
    return Record(
        id=_text(row, "id"),
        when=_number(row, "when"),
        models=models,
        chosen=chosen,
        answered=answered if isinstance(answered, str) and answered else chosen,
        propensities=_propensities(row, scores.pop(PROPENSITY, None), models.index(chosen)),
        scores=scores,
        text=_optional(row, "text"),
        embedding=_embedding(row.get("embedding")),
        user=_optional(row, "user"),
        conversation=_optional(row, "conversation"),
        facts=facts,
        reward=math.nan if row.get("reward") is None else _reward(row),
        cost=_number(row, "cost"),
        input_tokens=_number(row, "input_tokens"),
        output_tokens=_number(row, "output_tokens"),
        seconds=_number(row, "seconds"),
        status=row.get("status") if isinstance(row.get("status"), int | str) else None,
    )


def _models(row: Mapping[str, Any]) -> tuple[str, ...]:
    models = row.get("models")
    if (
        not isinstance(models, list)
        or not all(isinstance(name, str) for name in models)
        or len(set(models)) < len(models)
    ):
        raise BadRow("a pool that is none", "'models' must be a list of different names")
    return tuple(models)


def _propensities(
    row: Mapping[str, Any], drawn: Sequence[float] | None, chosen: int
) -> tuple[float, ...] | None:
    """Return the odds of each model; those of the decision itself go before the row's own."""
    odds: Sequence[float] | None = None
    if drawn is not None and not any(map(math.isnan, drawn)):
        odds = drawn
    elif row.get("propensities") is not None:
        odds = _numbers("propensities", row["propensities"])
        if any(map(math.isnan, odds)):
            return None
    if odds is None:
        return None
    if len(odds) != len(row["models"]):
        problem = f"{len(odds)} 'propensities' for {len(row['models'])} models"
        raise BadRow("propensities for another number of models", problem)
    if min(odds) < 0 or abs(sum(odds) - 1) > 1000 * _LOOSE:
        raise BadRow(
            "propensities that are none",
            f"'propensities' must be from 0 up and add up to 1, but add up to {sum(odds):g}",
        )
    if odds[chosen] <= 0:
        raise BadRow(
            "a choice that its propensity rules out",
            "the propensity of the chosen model is 0, so the row contradicts itself; 'chosen' "
            "must be the model that stood first, not one that a fallback reached",
        )
    single = row.get(PROPENSITY)
    if drawn is None and isinstance(single, int | float) and abs(single - odds[chosen]) > _LOOSE:
        raise BadRow(
            "two propensities of one choice",
            f"'propensity' is {single:g}, but among 'propensities' it is {odds[chosen]:g}",
        )
    return tuple(odds)


def _scores(row: Mapping[str, Any], models: int) -> dict[str, tuple[float, ...]]:
    found = row.get("scores")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise BadRow("scores that are none", "'scores' must be an object of lists")
    scores = {str(name): tuple(_numbers(name, values)) for name, values in found.items()}
    for name, values in scores.items():
        if len(values) != models:
            problem = f"{len(values)} scores '{name}' for {models} models"
            raise BadRow("scores for another number of models", problem)
    return scores


def _embedding(value: Any) -> Floats | None:
    if value is None:
        return None
    try:
        found = np.frombuffer(base64.b64decode(value, validate=True), "<f4")
    except (TypeError, ValueError, binascii.Error):
        raise BadRow(
            "an embedding that is none", "'embedding' must be float32 numbers in base64"
        ) from None
    if not len(found) or not np.isfinite(found).all():
        raise BadRow("an embedding that is none", "'embedding' must hold finite numbers")
    return found.astype(np.float32)


def _numbers(name: Any, values: Any) -> list[float]:
    fine = isinstance(values, list) and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        for value in values
    )
    if not fine:
        raise BadRow("a list that is none", f"'{name}' must be a list of numbers")
    try:
        return [math.nan if value is None else float(value) for value in values]
    except OverflowError:
        raise BadRow("a number that is not finite", f"'{name}' holds a huge number") from None


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise BadRow("a number of the wrong kind", f"'{name}' must be a finite number from 0 up")
    return float(value)


def _reward(row: Mapping[str, Any]) -> float:
    value = row["reward"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadRow("a reward out of range", "'reward' must be a number from 0 to 1")
    return float(value)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise BadRow(f"no {name}", f"'{name}' must be a text that is not empty")
    return value


def _optional(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    if name == "conversation" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BadRow("a text that is not one", f"'{name}' must be a text")
    return value
