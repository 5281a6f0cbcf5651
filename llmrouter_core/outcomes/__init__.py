"""Outcomes, row by row: what a row may hold, how it is checked, read and written.

The format is one row per query and model, as JSON objects (`.jsonl`), CSV or Parquet, the first
two gzipped or not::

    {"query": "…", "model": "small", "score": 1.0, "output_tokens": 12, "cost": 0.0001}

Everything here streams: a file of any length is read, checked and written in bounded memory, but
for a fingerprint of each row, by which a second outcome of the same query and model is found.
"""

from llmrouter_core.outcomes.checking import BadRow, Checker
from llmrouter_core.outcomes.files import checked, refuse_pickle, rows, write_rows
from llmrouter_core.outcomes.repairs import Repairs
from llmrouter_core.outcomes.schema import COLUMNS, FAILED, NUMBERS, STATUSES, Row, query_id
from llmrouter_core.outcomes.stats import Stats

__all__ = [
    "COLUMNS",
    "FAILED",
    "NUMBERS",
    "STATUSES",
    "BadRow",
    "Checker",
    "Repairs",
    "Row",
    "Stats",
    "checked",
    "query_id",
    "refuse_pickle",
    "rows",
    "write_rows",
]
