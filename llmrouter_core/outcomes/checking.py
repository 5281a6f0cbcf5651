"""Checks of one row, alone and against the rows before it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any, NoReturn

from llmrouter_core.outcomes.fingerprints import Fingerprints
from llmrouter_core.outcomes.schema import (
    NAMES,
    NUMBERS,
    STATUSES,
    VOTE,
    Row,
    query_id,
)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SHOWN = 60  # characters of a value that a message quotes
_HALF = (1 << 32) - 1


class BadRow(Exception):
    """A row that cannot be used.

    Attributes:
        kind: What is wrong, in the same words for every such row; the message has particulars.
    """

    def __init__(self, kind: str, problem: str | None = None) -> None:
        super().__init__(problem or kind)
        self.kind = kind


class Checker:
    """Checks rows one by one; it remembers a fingerprint of each, and nothing else.

    Args:
        models: The only models there may be; None allows any.
    """

    def __init__(self, models: Collection[str] | None = None) -> None:
        self._models = None if models is None else frozenset(models)
        self._cells = Fingerprints()
        self._queries = Fingerprints(wide=True)

    def check(self, raw: Row, number: int) -> dict[str, Any]:
        """Return what *raw* says: `id`, `query`, and `model` and `status`, or a preference.

        Columns that are unknown or empty are left out, numbers are finite.

        Raises:
            BadRow: Something is wrong with it.
        """
        row: dict[str, Any] = {"id": None, "query": _query(raw.get("query"))}
        for name in NAMES:
            value = raw.get(name)
            if value is not None and value != "":
                row[name] = _name(name, value)
        if raw.get("better") is not None or raw.get("worse") is not None:
            self._preference(row, raw)
        else:
            self._outcome(row, raw)
        user = row.get("user", "")
        if row["id"] is None:
            row["id"] = query_id(row.get("task", ""), row["query"], user)
            if user and "group" not in row:  # what several users ask stays on one side
                row["group"] = query_id(row.get("task", ""), row["query"])
        self._agree(row)
        if "model" in row:
            known = self._cells.first((row["id"], row["model"]), number)
            if known is not None:
                raise BadRow(
                    "a second outcome of the same query and model",
                    f"a second outcome of model '{row['model']:.{_SHOWN}}' for the same query; "
                    f"the first is in row {known[0]}",
                )
        return row

    def _outcome(self, row: dict[str, Any], raw: Row) -> None:
        if "model" not in row:
            _missing("model", raw)
        self._in_pool(row["model"])
        status = raw.get("status") or "ok"
        if status not in STATUSES[1:]:
            allowed = ", ".join(STATUSES[1:])
            raise BadRow(
                "an unknown status", f"'status' is {_quoted(status)}, not one of {allowed}"
            )
        row["status"] = status
        for name in NUMBERS:
            value = raw.get(name)
            if value is not None:
                row[name] = _number(name, value)
        score = row.get("score")
        if status == "ok":
            if score is None:
                raise BadRow(
                    "no score",
                    "'score' is missing; a failed call has a status other than \"ok\"",
                )
            if score > 1:
                raise BadRow("a score above 1", f"'score' must be from 0 to 1, got {score:g}")
        elif score is not None:
            raise BadRow(
                "a score on a call that failed",
                f"'score' is {score:g} but 'status' is '{status}': only an answer that is ok has "
                "a score",
            )
        for name in ("finish", "text", "error"):
            value = raw.get(name)
            if value is not None:
                row[name] = _text(name, value)

    def _preference(self, row: dict[str, Any], raw: Row) -> None:
        """Check a row that says which of two answers a user liked better."""
        if raw.get("model") or raw.get("score") is not None:
            raise BadRow("an outcome and a preference in one row")
        for name in ("better", "worse"):
            value = raw.get(name)
            if value is None or value == "":
                _missing(name, raw)
            row[name] = _name(name, value)
            self._in_pool(row[name])
        if row["better"] == row["worse"]:
            raise BadRow("a model preferred to itself")
        tie = raw.get("tie")
        if tie is not None and not isinstance(tie, bool):
            raise BadRow("a column of the wrong type", f"'tie' must be true or false, got {tie!r}")
        row["tie"] = bool(tie)

    def _in_pool(self, model: str) -> None:
        if self._models is not None and model not in self._models:
            raise BadRow("an unknown model", f"model '{model:.{_SHOWN}}' is not in the pool")

    def _agree(self, row: Row) -> None:
        """Raise BadRow unless all rows of an id have its text, task, group and user."""
        parts = [hash(row.get(name, "")) & _HALF for name in ("query", "task", "group", "user")]
        texts, names = parts[0] << 32 | parts[1], parts[2] << 32 | parts[3]
        known = self._queries.first(row["id"], texts, names)
        if known is None or known == (texts, names):
            return
        before = (known[0] >> 32, known[0] & _HALF, known[1] >> 32, known[1] & _HALF)
        wrong = [part != old for part, old in zip(parts, before, strict=True)].index(True)
        what = ("query", "task", "group", "user")[wrong]
        raise BadRow(
            f"another {what} than an earlier row of the same id",
            f"id '{row['id']:.{_SHOWN}}' already belongs to another {what}",
        )


def _query(value: Any) -> str:
    if value is None:
        raise BadRow("no query", "'query' must be a text that is not empty, but is missing")
    text = _text("query", value)
    if not text.strip():
        raise BadRow("an empty query", "'query' must be a text that is not empty")
    return text


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRow(
            "a text that is not one",
            f"'{name}' must be a text, got {_quoted(value)} ({type(value).__name__})",
        )
    if "\0" in value:
        raise BadRow("a NUL character", f"'{name}' has a NUL character, so the file is damaged")
    return value


def _name(name: str, value: Any) -> str:
    """Return an id, a task, a group, a user or a model; but for models, numbers may be names."""
    if isinstance(value, int) and not isinstance(value, bool) and name not in ("model", *VOTE):
        return str(value)
    text = _text(name, value)
    if not text.strip():
        _missing(name, {name: value})
    if _CONTROL.search(text):
        raise BadRow(
            "a control character in a name",
            f"'{name}' has a control character: {_quoted(text)}",
        )
    return text


def _missing(name: str, raw: Row) -> NoReturn:
    if raw.get(name) is None:
        raise BadRow(f"no {name}", f"'{name}' must be a text that is not empty, but is missing")
    raise BadRow(f"an empty {name}", f"'{name}' must be a text that is not empty")


def _number(name: str, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(
            "a number of the wrong type",
            f"'{name}' must be a number, got {_quoted(value)} ({type(value).__name__})",
        )
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise BadRow(
            "a number that is not finite",
            f"'{name}' must be a finite number from 0 up, got {found}",
        )
    if found < 0:
        raise BadRow(
            "a negative number", f"'{name}' must be a finite number from 0 up, got {found:g}"
        )
    return int(found) if found.is_integer() and name.endswith("tokens") else found


def _quoted(value: Any) -> str:
    """Return *value* as a message shows it: short, on one line."""
    try:
        return ascii(value)[:_SHOWN]
    except ValueError:  # an integer of more than 4,300 digits
        return type(value).__name__
