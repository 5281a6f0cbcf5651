"""What a file of outcomes holds, counted row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

from attrs import define, field

from llmrouter_core.outcomes.fingerprints import Fingerprints
from llmrouter_core.outcomes.schema import Row


@define(eq=False)
class Column:
    """What is known of one model.

    Attributes:
        statuses: How many of its rows have each status.
        sums: Sum of each number over the rows that know it.
        known: How many rows know each number.
    """

    statuses: Counter[str] = field(factory=Counter)
    sums: Counter[str] = field(factory=Counter)
    known: Counter[str] = field(factory=Counter)

    def mean(self, name: str) -> float | None:
        """Return the mean of a number over the rows that know it, or None if none does."""
        return self.sums[name] / self.known[name] if self.known[name] else None


@define(eq=False)
class Stats:
    """Counts over checked rows; it keeps a fingerprint of each query, not the queries.

    Attributes:
        rows: Outcomes, one for each query and model.
        queries: Distinct ids.
        models: What is known of each model, in the order of appearance.
        tasks: Queries of each task; `""` is that of queries without one.
        groups: Distinct groups.
        users: Queries of each user who is named.
        preferences: Rows that say which of two answers a user liked better.
        duplicates: Queries whose text an earlier query has under another id.
    """

    rows: int = 0
    queries: int = 0
    models: dict[str, Column] = field(factory=dict)
    tasks: Counter[str] = field(factory=Counter)
    groups: int = 0
    users: Counter[str] = field(factory=Counter)
    preferences: int = 0
    duplicates: int = 0

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Return the counts over *rows*, each checked."""
        found = cls()
        ids, texts, groups = Fingerprints(), Fingerprints(), Fingerprints()
        for row in rows:
            if ids.first(row["id"], 1) is None:
                found.queries += 1
                found.tasks[row.get("task", "")] += 1
                found.groups += groups.first(row.get("group", row["id"]), 1) is None
                found.duplicates += texts.first(row["query"], 1) is not None
                if "user" in row:
                    found.users[row["user"]] += 1
            if "model" not in row:
                found.preferences += 1
                continue
            found.rows += 1
            column = found.models.get(row["model"])
            if column is None:
                column = found.models[row["model"]] = Column()
            column.statuses[row["status"]] += 1
            for name in ("score", "cost", "output_tokens", "latency"):
                if name in row:
                    column.sums[name] += row[name]
                    column.known[name] += 1
        return found

    @property
    def statuses(self) -> Counter[str]:
        """How many rows have each status."""
        return sum((column.statuses for column in self.models.values()), Counter())

    @property
    def coverage(self) -> float:
        """Share of the cells, each query with each model, that have a score."""
        cells = self.queries * len(self.models)
        return self.statuses["ok"] / cells if cells else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "rows": self.rows,
            "queries": self.queries,
            "coverage": self.coverage,
            "groups": self.groups,
            "duplicates": self.duplicates,
            "preferences": self.preferences,
            "users": len(self.users),
            "statuses": dict(self.statuses),
            "tasks": dict(self.tasks),
            "models": {
                name: {
                    "rows": column.statuses.total(),
                    "statuses": dict(column.statuses),
                    "score": column.mean("score"),
                    "cost": column.mean("cost"),
                    "output_tokens": column.mean("output_tokens"),
                    "latency": column.mean("latency"),
                }
                for name, column in self.models.items()
            },
        }
