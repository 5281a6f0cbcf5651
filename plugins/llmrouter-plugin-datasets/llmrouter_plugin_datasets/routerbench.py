"""RouterBench's wide tables: a row per prompt, three columns per model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import Repairs

from llmrouter_plugin_datasets.sources import files, header, score_of, table, unwrapped

_COST, _RESPONSE = "|total_cost", "|model_response"


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of a table in CSV, or of all tables of a folder.

    Raises:
        DatasetError: A table lacks its columns, or a file is a pickle.
    """
    for file in files(path, ".csv", ".csv.gz"):
        names = header(file)
        models = [n for n in names if n + _COST in names or n + _RESPONSE in names]
        if not models or "prompt" not in names:
            raise DatasetError(
                f"{file}: is no table of RouterBench: it needs 'prompt' and, for each model, "
                f"'<model>' and '<model>{_COST}'"
            )
        for number, row in table(file, repairs):
            prompt = unwrapped(row["prompt"])
            if prompt is not None:
                repairs.note("a prompt written as a Python list, unwrapped", line=number)
            query = {
                "id": row.get("sample_id"),
                "task": row.get("eval_name"),
                "query": row["prompt"] if prompt is None else prompt,
            }
            for model in models:
                score = score_of(row[model])
                if score is None:
                    repairs.note("a cell without a score, left out", line=number)
                    continue
                answer = row.get(model + _RESPONSE)
                plain = None if answer is None else unwrapped(answer)
                cost = score_of(row.get(model + _COST))
                found = {**query, "model": model, "score": score, "cost": cost}
                yield {**found, "text": answer if plain is None else plain}
