"""RouteLLM's evaluation tables: a prompt and the judged score of each model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import Repairs
from llmrouter_core.outcomes.fingerprints import Fingerprints

from llmrouter_plugin_datasets.sources import files, header, scale_of, score_of, table

_ANSWER = "_response"
_OTHERS = {"", "prompt", "index", "Unnamed: 0"}


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of a table in CSV, or of all tables of a folder.

    The task is the file's name. Scores above 1 are judgements on a scale, and are divided by it.

    Raises:
        DatasetError: A table lacks its columns, or a file is a pickle.
    """
    for file in files(path, ".csv", ".csv.gz"):
        names = header(file)
        models = [n for n in names if n not in _OTHERS and not n.endswith(_ANSWER)]
        if not models or "prompt" not in names:
            raise DatasetError(
                f"{file}: is no table of RouteLLM: it needs 'prompt' and a column for each model"
            )
        scale = scale_of(_largest(file, models))
        if scale > 1:
            repairs.note(f"scores of a table on a scale up to {scale:g}, divided by it")
        task = file.name.partition(".")[0].removesuffix("_responses")
        seen = Fingerprints()
        for number, row in table(file, repairs):
            if seen.first(row["prompt"], number) is not None:
                repairs.note("a repeated prompt, the first is kept", line=number)
                continue
            for model in models:
                score = score_of(row[model])
                if score is None:
                    repairs.note("a cell without a score, left out", line=number)
                    continue
                found = {"query": row["prompt"], "task": task, "model": model}
                yield {**found, "score": score / scale, "text": row.get(model + _ANSWER)}


def _largest(file: Path, models: list[str]) -> float:
    scores = (score_of(row[model]) for _, row in table(file, Repairs()) for model in models)
    return max((score for score in scores if score is not None), default=1.0)
