"""The recorded outcomes of one file, by model and query."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from llmrouter_core import Dataset, DatasetError, Usage
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
    """Return for each model in *path*, gzipped or not, the recording of each query, by its text.

    Raises:
        DatasetError: The file cannot be read, or a line is wrong; the message has its number.
    """
    Dataset.read(path)  # every check of a row but that of its text, which it does not keep
    by_model: dict[str, dict[str, Recording]] = {}
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line) if line.strip() else {"status": "blank"}
            if row.get("status", "ok") != "ok":
                continue
            text = row.get("text")
            if text is not None and not isinstance(text, str):
                got = type(text).__name__
                raise DatasetError(f"{path}:{number}: 'text' must be a text, got {got}")
            # The same text may stand in several tasks: the first is the one that counts.
            by_model.setdefault(row["model"], {}).setdefault(row["query"], _recording(row))
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
