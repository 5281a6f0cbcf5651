"""The recorded outcomes of one file, by model and query."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from llmrouter_core import DatasetError, Usage
from llmrouter_core.outcomes import rows
from llmrouter_core.types import estimate_tokens


@frozen(kw_only=True)
class Recording:
    """One outcome.

    Attributes:
        text: The answer, or None where only its score was recorded.
        usage: What the call used; tokens are estimated where they were not recorded.
    """

    text: str | None
    usage: Usage


def recorded(path: Path) -> Mapping[str, Mapping[str, Recording]]:
    """Return for each model in *path* the recording of each query, by the query's text.

    Raises:
        DatasetError: The file cannot be read, or a row is wrong; the message has its number.
    """
    by_model: dict[str, dict[str, Recording]] = {}
    for _, row in rows(path):
        if row.get("status") != "ok":
            continue
        known = by_model.setdefault(row["model"], {})
        # The same text may stand in several tasks: the first that has an answer counts.
        if row["query"] not in known or known[row["query"]].text is None:
            known[row["query"]] = _recording(row)
    if not by_model:
        raise DatasetError(f"{path}: holds no outcome to replay; collect some first")
    if all(one.text is None for known in by_model.values() for one in known.values()):
        raise DatasetError(
            f"{path}: no row has a 'text', so there is no answer to replay; "
            "record the answers' texts too"
        )
    return by_model


def _recording(row: Mapping[str, Any]) -> Recording:
    text, read, written = (row.get(key) for key in ("text", "input_tokens", "output_tokens"))
    usage = Usage(
        input_tokens=estimate_tokens(row["query"]) if read is None else round(read),
        output_tokens=estimate_tokens(text or "") if written is None else round(written),
        cost=row.get("cost"),
        seconds=row.get("latency"),
        estimated=read is None or written is None,
    )
    return Recording(text=text, usage=usage)
