"""Measured outcomes as a folder of `queries.jsonl.gz` and `outcomes.csv.gz`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import Repairs
from llmrouter_core.outcomes.delimited import number_of

from llmrouter_plugin_datasets.sources import files, json_rows, score_of, table

_COLUMNS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost_usd": "cost",
    "latency_s": "latency",
}


def is_one(path: Path) -> bool:
    """Return whether *path* is such a folder."""
    return any(path.glob("queries.jsonl*")) and any(path.glob("outcomes.csv*"))


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of a folder; of `folder/train`, those of the split called train.

    The queries are held in memory, the outcomes are not.

    Raises:
        DatasetError: A file is missing.
    """
    split = None
    if not path.exists() and is_one(path.parent):
        path, split = path.parent, path.name
    if not is_one(path):
        raise DatasetError(f"{path}: is no folder with queries.jsonl.gz and outcomes.csv.gz")
    queries: dict[str, dict[str, Any]] = {}
    for file in files(path, "queries.jsonl", "queries.jsonl.gz"):
        for number, row in json_rows(file, repairs):
            if split is not None and row.get("split") != split:
                continue
            name = str(row.get("query_id"))
            if name in queries:
                repairs.note("dropped: a second query of the same id", line=number)
                continue
            queries[name] = {"id": name, "query": row.get("query"), "task": row.get("task")}
    for file in files(path, "outcomes.csv", "outcomes.csv.gz"):
        for number, cell in table(file, repairs):
            query = queries.get(cell.get("query_id", ""))
            if query is None:
                if split is None:
                    repairs.note("dropped: an outcome of a query that is not listed", line=number)
                continue
            if not cell.get("score"):
                repairs.note("a cell without a score, left out", line=number)
                continue
            found = {**query, "model": cell.get("model"), "score": score_of(cell["score"])}
            for name, ours in _COLUMNS.items():
                if cell.get(name):
                    found[ours] = number_of(cell[name])
            yield {**found, "text": cell.get("answer") or None}
