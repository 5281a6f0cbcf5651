"""Outcomes in memory: queries by models, with every measure as a matrix."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes import (
    FAILED,
    STATUSES,
    Repairs,
    query_id,
    rows,
    write_rows,
)
from llmrouter_core.splitting import held_out
from llmrouter_core.types import Floats, Query

MEASURES = ("quality", "cost", "input_tokens", "output_tokens", "latency")
"""The (n, m) matrices of a data set; every one may have gaps."""

OK = STATUSES.index("ok")
_COLUMNS = {"quality": "score"}
_PER_QUERY = ("queries", "ids", "tasks", "groups", "users")


@frozen(kw_only=True)
class Preference:
    """Which of two answers to one query a user liked better.

    Attributes:
        query: Row of the query.
        user: Who judged; `""` where that is not known.
        better: Model of the answer liked better.
        worse: Model of the other answer.
        tie: Whether both were liked equally; then the order says nothing.
    """

    query: int
    user: str = ""
    better: str
    worse: str
    tie: bool = False


@frozen(kw_only=True, eq=False)
class Dataset:
    """Queries and what became of them; frozen, and cheap to slice.

    Attributes:
        queries: The n queries.
        models: Names of the m models, in the order of the columns.
        quality: Scores in 0..1, float64 (n, m); NaN wherever the status is not `ok`.
        status: What became of each cell, uint8 (n, m): an index into `STATUSES`. By default a
            cell with a quality is ok, and any other was never asked.
        cost: US dollars of the call, (n, m), NaN where unknown; failed calls may cost too.
        input_tokens: Tokens read, (n, m), NaN where unknown.
        output_tokens: Tokens written, (n, m), NaN where unknown.
        latency: Seconds, (n, m), NaN where unknown.
        ids: Identity of each query.
        tasks: Task of each query; `""` where there is none.
        groups: Queries of one group are never split between train and test; the ids by default.
        users: Who asked each query; `""` where nobody is named.
        preferences: Which answers users liked better.
        embeddings: float32 (n, d), or None before the queries were embedded.
        skipped: Rows of the file that were left out because they were damaged.
    """

    queries: tuple[Query, ...]
    models: tuple[str, ...]
    quality: Floats
    status: NDArray[np.uint8] = field()
    cost: Floats = field()
    input_tokens: Floats = field()
    output_tokens: Floats = field()
    latency: Floats = field()
    ids: tuple[str, ...] = field()
    tasks: tuple[str, ...] = field()
    groups: tuple[str, ...] = field()
    users: tuple[str, ...] = field()
    preferences: tuple[Preference, ...] = ()
    embeddings: Floats | None = None
    skipped: int = 0

    @status.default
    def _as_scored(self) -> NDArray[np.uint8]:
        return np.where(np.isnan(self.quality), 0, OK).astype(np.uint8)

    @cost.default
    @input_tokens.default
    @output_tokens.default
    @latency.default
    def _unknown(self) -> Floats:
        return np.full(self.quality.shape, np.nan)

    @tasks.default
    @users.default
    def _unnamed(self) -> tuple[str, ...]:
        return ("",) * len(self.queries)

    @ids.default
    def _own_ids(self) -> tuple[str, ...]:
        return tuple(query_id("", query.text) for query in self.queries)

    @groups.default
    def _own_groups(self) -> tuple[str, ...]:
        return self.ids

    def __attrs_post_init__(self) -> None:
        shape = (len(self.queries), len(self.models))
        for name in (*MEASURES, "status"):
            if getattr(self, name).shape != shape:
                got = getattr(self, name).shape
                raise DatasetError(f"'{name}' has shape {got}, expected {shape}")
        for name in (*_PER_QUERY[1:], "embeddings"):
            values = getattr(self, name)
            if values is not None and len(values) != shape[0]:
                raise DatasetError(f"'{name}' has {len(values)} rows, expected {shape[0]}")
        if len(set(self.models)) != len(self.models):
            raise DatasetError("a model is listed twice among the columns")
        wrong = (self.status == OK) == np.isnan(self.quality)
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise DatasetError(
                f"'status' and 'quality' disagree at row {i}, model '{self.models[j]}': exactly "
                "the cells that are ok have a quality"
            )

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def texts(self) -> tuple[str, ...]:
        """Text of each query."""
        return tuple(query.text for query in self.queries)

    @property
    def failures(self) -> int:
        """How many calls failed: were refused, timed out or broke."""
        codes = [STATUSES.index(status) for status in FAILED]
        return int(np.isin(self.status, codes).sum())

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        skip_bad: bool = False,
        models: Collection[str] | None = None,
        repairs: Repairs | None = None,
    ) -> Dataset:
        """Return the outcomes in a file: JSONL, CSV (both gzipped or not) or Parquet.

        Args:
            path: The file; its name says its format.
            skip_bad: Whether to leave out rows that are wrong, and count them in `skipped`.
            models: The only models there may be; None allows any.
            repairs: Where the rows left out are named, for `skip_bad`.

        Raises:
            DatasetError: The file cannot be read, or a row is wrong; the message has its number.
        """
        dropped = (repairs or Repairs()) if skip_bad else None
        before = dropped.total("dropped: ") if dropped else 0
        builder = _Builder()
        for _, row in rows(path, models=models, repairs=dropped):
            builder.add(row)
        if not builder.cells:
            why = f"; {next(dropped.sentences())}" if dropped and dropped.counts else ""
            raise DatasetError(
                f"{path}: holds no outcomes{why}; each row has query, model and score"
            )
        return builder.dataset(dropped.total("dropped: ") - before if dropped else 0)

    def write(self, path: str | Path) -> None:
        """Write the outcomes as JSONL, CSV or Parquet, whichever the name says.

        Cells that were never asked are left out, and so is a query without any other.
        """
        write_rows(self.rows(), path)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one plain record per cell that was asked, then one per preference."""
        for i, j in np.argwhere(self.status > 0):
            row = {**self._row(i), "model": self.models[j], "status": STATUSES[self.status[i, j]]}
            for name in MEASURES:
                value = float(getattr(self, name)[i, j])
                if not math.isnan(value):
                    row[_COLUMNS.get(name, name)] = value
            yield row
        for one in self.preferences:
            found = {"better": one.better, "worse": one.worse, "tie": one.tie}
            yield {**self._row(one.query), "user": one.user, **found}

    def _row(self, i: int) -> dict[str, Any]:
        row: dict[str, Any] = {"id": self.ids[i], "query": self.queries[i].text}
        if self.tasks[i]:
            row["task"] = self.tasks[i]
        if self.groups[i] != self.ids[i]:
            row["group"] = self.groups[i]
        if self.users[i]:
            row["user"] = self.users[i]
        return row

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Dataset:
        """Return the queries at *rows*, in that order; a mask takes where it is true."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
        index = np.arange(len(self), dtype=np.intp)[index]  # counted from the end, too
        changes: dict[str, Any] = {
            name: getattr(self, name)[index] for name in (*MEASURES, "status")
        }
        for name in _PER_QUERY:
            values = getattr(self, name)
            changes[name] = tuple(values[i] for i in index)
        if self.embeddings is not None:
            changes["embeddings"] = self.embeddings[index]
        if self.preferences:
            judged: dict[int, list[Preference]] = {}
            for one in self.preferences:
                judged.setdefault(one.query, []).append(one)
            changes["preferences"] = tuple(
                evolve(one, query=new)
                for new, old in enumerate(index.tolist())
                for one in judged.get(old, ())
            )
        return evolve(self, **changes)

    def for_models(self, names: Sequence[str]) -> Dataset:
        """Return the columns of *names*, in that order, and the preferences among them.

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
            scored = [
                name
                for name, gaps in zip(self.models, np.isnan(self.quality).T, strict=True)
                if not gaps.all()
            ]
            raise DatasetError(
                f"no outcomes for {', '.join(unknown)}; the data has scores of: "
                f"{', '.join(scored) or 'no model'}; "
                "collect outcomes for the whole pool, or take the model out of it"
            )
        index = [column[name] for name in names]
        changes: dict[str, Any] = {
            name: getattr(self, name)[:, index] for name in (*MEASURES, "status")
        }
        kept = tuple(p for p in self.preferences if {p.better, p.worse} <= set(names))
        return evolve(self, models=tuple(names), preferences=kept, **changes)

    def split(self, test: float = 0.25, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Return train and test: whole groups, drawn at random within each task.

        Queries of equal text stay together too, whatever their groups.

        Args:
            test: Share of the groups of each task that goes to test.
            seed: Seed of the draw.
        """
        chosen = held_out(zip(self.groups, self.tasks, self.texts, strict=True), test, seed)
        held = np.array([group in chosen for group in self.groups], dtype=bool)
        return self.take(np.flatnonzero(~held)), self.take(np.flatnonzero(held))


class _Builder:
    """Gathers checked rows into a data set, 48 bytes a cell beside the texts."""

    def __init__(self) -> None:
        from array import array

        self.queries: dict[str, int] = {}
        self.models: dict[str, int] = {}
        self.facts: list[tuple[Query, str, str, str]] = []
        self.preferences: list[Preference] = []
        self.cells = array("I")  # row, column, status, one after the other
        self.values = {name: array("d") for name in MEASURES}

    def add(self, row: dict[str, Any]) -> None:
        """Add one row that was checked."""
        i = self.queries.setdefault(row["id"], len(self.queries))
        user = row.get("user", "")
        if i == len(self.facts):
            query = Query(text=row["query"], user=user or None)
            group = row.get("group", row["id"])
            self.facts.append((query, row.get("task", ""), group, user))
        if "better" in row:
            better, worse = row["better"], row["worse"]
            for name in (better, worse):
                self.models.setdefault(name, len(self.models))
            self.preferences.append(
                Preference(query=i, user=user, better=better, worse=worse, tie=row["tie"])
            )
            return
        j = self.models.setdefault(row["model"], len(self.models))
        self.cells.extend((i, j, STATUSES.index(row["status"])))
        for name, values in self.values.items():
            values.append(row.get(_COLUMNS.get(name, name), math.nan))

    def dataset(self, skipped: int) -> Dataset:
        """Return what was gathered."""
        shape = (len(self.queries), len(self.models))
        i, j, status = np.array(self.cells).reshape(-1, 3).T
        matrices: dict[str, Any] = {"status": np.zeros(shape, np.uint8)}
        matrices["status"][i, j] = status
        for name, values in self.values.items():
            matrices[name] = np.full(shape, np.nan)
            matrices[name][i, j] = values
        queries, tasks, groups, users = zip(*self.facts, strict=True)
        return Dataset(
            queries=queries,
            models=tuple(self.models),
            ids=tuple(self.queries),
            tasks=tasks,
            groups=groups,
            users=users,
            preferences=tuple(self.preferences),
            skipped=skipped,
            **matrices,
        )


def means(values: Floats) -> Floats:
    """Return the mean of each column of (n, m), NaN where nothing in it is known, (m,)."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
