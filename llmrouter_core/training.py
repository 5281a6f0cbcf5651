"""Outcomes, and what a part must have to learn from them.

The format is one JSON object a line, one line per query and model (`.jsonl`, or `.jsonl.gz`)::

    {"query": "…", "model": "small", "score": 1.0, "output_tokens": 12, "cost": 0.0001}

`query`, `model` and `score` are needed; `id`, `task`, `group`, `input_tokens`, `output_tokens`,
`cost` (US dollars), `latency` (seconds), `text` and `status` are optional. A row whose status is
not `ok` (a failed call) is counted and otherwise ignored: an outage is not a wrong answer.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from llmrouter_core.errors import DatasetError
from llmrouter_core.types import Arrays, Floats, Query

MEASURES = ("quality", "cost", "input_tokens", "output_tokens", "latency")
"""The (n, m) matrices of a data set; every one may have gaps."""

_COLUMNS = {"quality": "score"}


@runtime_checkable
class Trainable(Protocol):
    """A part that learns: three methods, orthogonal to its hooks.

    Neither `fit` nor `restore` changes the part it is called on, so that another thread may go
    on deciding with it. State is arrays of numbers and text, never objects.
    """

    def fit(self, dataset: Dataset) -> Self:
        """Return a part like this one that has learned from *dataset*."""

    def state(self) -> Arrays:
        """Return what was learned."""

    def restore(self, state: Arrays) -> Self:
        """Return a part like this one that knows *state*."""


def query_id(task: str, text: str) -> str:
    """Return the identity of a query: a hash of its task and its whole text."""
    import hashlib  # with gzip below, a fifth of the import time of this package

    return hashlib.sha256(f"{task}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


@frozen(kw_only=True, eq=False)
class Dataset:
    """Queries and what became of them; frozen, and cheap to slice.

    Attributes:
        queries: The n queries.
        models: Names of the m models, in the order of the columns.
        quality: Scores in 0..1, float64 (n, m); NaN where a model was not asked or failed.
        cost: US dollars of the call, (n, m), NaN where unknown.
        input_tokens: Tokens read, (n, m), NaN where unknown.
        output_tokens: Tokens written, (n, m), NaN where unknown.
        latency: Seconds, (n, m), NaN where unknown.
        ids: Identity of each query.
        tasks: Task of each query; `""` where there is none.
        groups: Queries of one group are never split between train and test; the ids by default.
        embeddings: float32 (n, d), or None before the queries were embedded.
        failures: Rows that were ignored because their call failed.
    """

    queries: tuple[Query, ...]
    models: tuple[str, ...]
    quality: Floats
    cost: Floats = field()
    input_tokens: Floats = field()
    output_tokens: Floats = field()
    latency: Floats = field()
    ids: tuple[str, ...] = field()
    tasks: tuple[str, ...] = field()
    groups: tuple[str, ...] = field()
    embeddings: Floats | None = None
    failures: int = 0

    @cost.default
    @input_tokens.default
    @output_tokens.default
    @latency.default
    def _unknown(self) -> Floats:
        return np.full(self.quality.shape, np.nan)

    @tasks.default
    def _no_tasks(self) -> tuple[str, ...]:
        return ("",) * len(self.queries)

    @ids.default
    def _own_ids(self) -> tuple[str, ...]:
        return tuple(query_id("", query.text) for query in self.queries)

    @groups.default
    def _own_groups(self) -> tuple[str, ...]:
        return self.ids

    def __attrs_post_init__(self) -> None:
        shape = (len(self.queries), len(self.models))
        for name in MEASURES:
            if getattr(self, name).shape != shape:
                got = getattr(self, name).shape
                raise DatasetError(f"'{name}' has shape {got}, expected {shape}")
        for name in ("ids", "tasks", "groups", "embeddings"):
            values = getattr(self, name)
            if values is not None and len(values) != shape[0]:
                raise DatasetError(f"'{name}' has {len(values)} rows, expected {shape[0]}")
        if len(set(self.models)) != len(self.models):
            raise DatasetError("a model is listed twice among the columns")

    def __len__(self) -> int:
        return len(self.queries)

    @classmethod
    def read(cls, path: str | Path) -> Dataset:
        """Return the outcomes in a JSONL file, gzipped or not.

        Raises:
            DatasetError: The file cannot be read, or a line is wrong; the message has its number.
        """
        return _Reader(str(path)).read(Path(path))

    def write(self, path: str | Path) -> None:
        """Write the outcomes as JSONL (gzipped if *path* ends in .gz), unknown cells left out."""
        import gzip

        path = Path(path)
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows())
        data = content.encode("utf-8", "backslashreplace")  # half a pair becomes its JSON escape
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one plain record per query and model that has a score."""
        for i, query in enumerate(self.queries):
            for j, model in enumerate(self.models):
                if math.isnan(self.quality[i, j]):
                    continue
                row: dict[str, Any] = {"id": self.ids[i], "query": query.text, "model": model}
                if self.tasks[i]:
                    row["task"] = self.tasks[i]
                if self.groups[i] != self.ids[i]:
                    row["group"] = self.groups[i]
                for name in MEASURES:
                    value = float(getattr(self, name)[i, j])
                    if not math.isnan(value):
                        row[_COLUMNS.get(name, name)] = value
                yield row

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Dataset:
        """Return the queries at *rows*, in that order; a mask takes where it is true."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
        changes: dict[str, Any] = {name: getattr(self, name)[index] for name in MEASURES}
        for name in ("queries", "ids", "tasks", "groups"):
            values = getattr(self, name)
            changes[name] = tuple(values[i] for i in index)
        if self.embeddings is not None:
            changes["embeddings"] = self.embeddings[index]
        return evolve(self, **changes)

    def for_models(self, names: Sequence[str]) -> Dataset:
        """Return the columns of *names*, in that order.

        Raises:
            DatasetError: One of them has no outcomes.
        """
        column = {name: j for j, name in enumerate(self.models)}
        unknown = [
            name
            for name in names
            if name not in column or bool(np.isnan(self.quality[:, column[name]]).all())
        ]
        if unknown:
            raise DatasetError(
                f"no outcomes for {', '.join(unknown)}; the data has: {', '.join(self.models)}; "
                "collect outcomes for the whole pool, or take the model out of it"
            )
        index = [column[name] for name in names]
        changes: dict[str, Any] = {name: getattr(self, name)[:, index] for name in MEASURES}
        return evolve(self, models=tuple(names), **changes)

    def split(self, test: float = 0.25, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Return train and test: whole groups, drawn at random within each task.

        Args:
            test: Share of the groups of each task that goes to test.
            seed: Seed of the draw.
        """
        if not 0 < test < 1:
            raise ValueError(f"'test' must be between 0 and 1: {test}")
        task_of: dict[str, str] = {}
        for group, task in zip(self.groups, self.tasks, strict=True):
            task_of.setdefault(group, task)
        rng = np.random.default_rng(seed)
        chosen: set[str] = set()
        for task in sorted(set(task_of.values())):
            members = sorted(group for group, own in task_of.items() if own == task)
            drawn = rng.permutation(len(members))[: round(len(members) * test)]
            chosen.update(members[i] for i in drawn)
        held = np.array([group in chosen for group in self.groups], dtype=bool)
        return self.take(np.flatnonzero(~held)), self.take(np.flatnonzero(held))


class _Reader:
    """Reads one file, checking each line before it counts."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.queries: dict[str, tuple[Query, str, str]] = {}
        self.models: dict[str, int] = {}
        self.cells: dict[tuple[str, str], Mapping[str, float]] = {}
        self.failures = 0

    def read(self, path: Path) -> Dataset:
        import gzip

        opener = gzip.open if path.suffix == ".gz" else open
        number = 0
        try:
            with opener(path, "rt", encoding="utf-8-sig") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        self._row(line, number)
        except OSError as error:
            self._fail(f"cannot be read: {error.strerror or error}")
        except (EOFError, UnicodeDecodeError, zlib.error) as error:
            self._fail(f"is damaged or not UTF-8 after line {number} ({type(error).__name__})")
        if not self.cells:
            self._fail("holds no outcomes; each line is a JSON object with query, model and score")
        return self._dataset()

    def _fail(self, problem: str, line: int | None = None) -> None:
        place = self.source if line is None else f"{self.source}:{line}"
        raise DatasetError(f"{place}: {problem}")

    def _row(self, line: str, number: int) -> None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._fail(f"is not JSON ({error})", number)
        if not isinstance(row, dict):
            self._fail("is not a JSON object", number)
        text, model, task = row.get("query"), row.get("model"), row.get("task") or ""
        for name, value in (("query", text), ("model", model)):
            if not isinstance(value, str) or not value.strip():
                self._fail(f"'{name}' must be a text that is not empty", number)
        if not isinstance(task, str):
            self._fail("'task' must be a text", number)
        if (row.get("status") or "ok") != "ok":
            self.failures += 1
            return
        named, group = row.get("id"), row.get("group")  # 0 is an id like any other
        identity = query_id(task, text) if named in (None, "") else str(named)
        values = {name: self._value(row, name, number) for name in MEASURES}
        if math.isnan(values["quality"]):
            self._fail("'score' is missing; a failed call has a status other than \"ok\"", number)
        if not 0 <= values["quality"] <= 1:
            self._fail(f"'score' must be from 0 to 1, got {values['quality']:g}", number)
        known = self.queries.setdefault(
            identity, (Query(text=text), task, identity if group in (None, "") else str(group))
        )
        if known[0].text != text:
            self._fail(f"id '{identity}' already belongs to another query", number)
        if (identity, model) in self.cells:
            self._fail(f"a second outcome of model '{model}' for the same query", number)
        self.models.setdefault(model, len(self.models))
        self.cells[identity, model] = values

    def _value(self, row: Mapping[str, Any], name: str, number: int) -> float:
        key = _COLUMNS.get(name, name)
        value = row.get(key)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._fail(f"'{key}' must be a number, got {type(value).__name__}", number)
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if not 0 <= found < math.inf:
            self._fail(f"'{key}' must be a finite number from 0 up, got {found}", number)
        return found

    def _dataset(self) -> Dataset:
        rows = {identity: i for i, identity in enumerate(self.queries)}
        matrices = {name: np.full((len(rows), len(self.models)), np.nan) for name in MEASURES}
        for (identity, model), values in self.cells.items():
            for name, value in values.items():
                matrices[name][rows[identity], self.models[model]] = value
        queries, tasks, groups = zip(*self.queries.values(), strict=True)
        return Dataset(
            queries=queries,
            models=tuple(self.models),
            ids=tuple(rows),
            tasks=tasks,
            groups=groups,
            failures=self.failures,
            **matrices,
        )
