"""The columns of a row and the words they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]
"""One outcome: the columns that are known, by name."""

STATUSES = ("unasked", "ok", "truncated", "refused", "timeout", "error")
"""What became of a query at a model; the index is the code in `Dataset.status`."""

FAILED = ("refused", "timeout", "error")
"""The statuses of a call that brought no answer."""

NUMBERS = ("score", "input_tokens", "output_tokens", "cost", "latency")
NAMES = ("id", "task", "group", "user", "model")
VOTE = ("better", "worse", "tie")
COLUMNS = ("id", "query", *NAMES[1:], "status", *NUMBERS, "finish", "text", "error", *VOTE)
"""Every column of the format, in the order of a CSV file."""


def query_id(task: str, text: str, user: str = "") -> str:
    """Return the identity of a query: a hash of its task, its whole text and who asked."""
    import hashlib  # a tenth of the import time of this package

    named = f"{task}\0{text}\0{user}" if user else f"{task}\0{text}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]
