"""The rated requests of a log as outcomes, for `llmrouter train` and `llmrouter dataset`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import FAILED, Repairs

from llmrouter_plugin_ope.files import records
from llmrouter_plugin_ope.records import Record

_TIMEOUTS = (408, 504)


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield an outcome of each request that was rated or failed; of others nothing is known.

    The model is the one that answered. Turns of a conversation are one group.

    Raises:
        DatasetError: There is no log, or nothing in it can be learned from.
    """
    found = 0
    for one in records(path, skip_bad=True, repairs=repairs):
        row = _outcome(one, repairs)
        if row is not None:
            found += 1
            yield row
    if not found:
        raise DatasetError(
            f"{path}: holds no request with both a text and a reward; have the server log texts, "
            "and collect feedback (/v1/feedback)"
        )


def _outcome(one: Record, repairs: Repairs) -> dict[str, Any] | None:
    status = _status(one.status)
    if one.text is None or not one.text.strip():
        repairs.note("left out: a request without its text")
        return None
    if status is None:
        repairs.note("left out: a request that was at fault itself")
        return None
    if status == "ok" and math.isnan(one.reward):
        repairs.note("left out: a request that nobody rated")
        return None
    row: dict[str, Any] = {
        "id": one.id,
        "query": one.text,
        "model": one.answered,
        "status": status,
    }
    if one.user:
        row["user"] = one.user
    if one.conversation:
        row["group"] = one.conversation
    numbers = {
        "score": one.reward if status == "ok" else math.nan,
        "cost": one.cost,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "latency": one.seconds,
    }
    return row | {name: value for name, value in numbers.items() if not math.isnan(value)}


def _status(status: int | str | None) -> str | None:
    """Return what became of the call, or None where the request itself was at fault."""
    if status is None or status == "ok":
        return "ok"
    if isinstance(status, str):
        return status if status in FAILED or status == "truncated" else "error"
    if status in _TIMEOUTS:
        return "timeout"
    if 400 <= status < 500:
        return None
    return "error" if status >= 500 else "ok"
