"""RouterArena: cached answers of single models (JSONL) and prediction files of routers (JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouter_core.outcomes import Repairs
from llmrouter_core.outcomes.fingerprints import Fingerprints

from llmrouter_plugin_datasets.sources import files, json_rows, score_of

_ROBUST = "-robustness"


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of a file, or of all files of a folder.

    The task is the part of the global index before its number. The paraphrased queries of a
    robustness file are queries of their own, in the group of the original.

    Raises:
        DatasetError: A file is a pickle.
    """
    seen = Fingerprints()
    for file in files(path, ".jsonl", ".jsonl.gz", ".json"):
        robust = file.name.partition(".json")[0].endswith(_ROBUST)
        for number, row in json_rows(file, repairs):
            found = _outcome(row, number, repairs)
            if found is None:
                continue
            if robust:
                found["group"] = found["id"]
                found["id"] = f"{found['id']}{_ROBUST}"
            if seen.first((found["id"], found["model"]), number) is not None:
                repairs.note("a repeated outcome, the first is kept", line=number)
                continue
            yield found


def _outcome(row: Mapping[str, Any], number: int, repairs: Repairs) -> dict[str, Any] | None:
    index = row.get("global_index", row.get("global index"))
    if not isinstance(index, str):
        repairs.note("a row without a global index, left out", line=number)
        return None
    call = row.get("generated_result")
    call = call if isinstance(call, Mapping) else row
    judged = row.get("evaluation_result")
    judged = judged if isinstance(judged, Mapping) else {}
    usage = call.get("token_usage")
    usage = usage if isinstance(usage, Mapping) else {}
    found: dict[str, Any] = {
        "id": index,
        "task": index.rpartition("_")[0],
        "query": row.get("question", row.get("prompt")),
        "model": row.get("llm_selected", row.get("prediction")),
        "input_tokens": usage.get("input_tokens", usage.get("prompt_tokens")),
        "output_tokens": usage.get("output_tokens", usage.get("completion_tokens")),
        "cost": judged.get("inference_cost", row.get("cost")),
    }
    if call.get("success") is False:
        repairs.note("a failed call, kept as error", line=number)
        return {**found, "status": "error", "error": str(call.get("error") or "")[:200] or None}
    score = score_of(judged.get("score", row.get("accuracy")))
    if score is None:
        repairs.note("an answer that was not judged, left out", line=number)
        return None
    return {**found, "score": score, "text": call.get("generated_answer")}
