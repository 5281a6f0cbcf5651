"""LLMRouter's own files: routing data (JSONL) and, beside it, the candidates with their prices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import Repairs
from llmrouter_core.outcomes.fingerprints import Fingerprints

from llmrouter_plugin_datasets.sources import files, identity, json_rows, score_of

_FAILED = ("API Error", "ERROR")
_CODE = ("code_eval", "code")


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of a routing file, or of all routing files of a folder.

    A query is what its task, text, reference, metric and options make it; failed calls become
    failed calls again; a candidate file (`.json`) in the folder prices the tokens.

    Raises:
        DatasetError: There is no row with a model, or a file is a pickle.
    """
    prices = _prices(path) if path.is_dir() else {}
    seen = Fingerprints()
    told = False
    for file in files(path, ".jsonl", ".jsonl.gz"):
        for number, row in json_rows(file, repairs):
            if row.get("model_name") is None and "performance" not in row:
                repairs.note("a query without an outcome, left out", line=number)
                continue
            told = True
            found = _outcome(row, number, repairs, prices)
            if found is None:
                continue
            if seen.first((found["id"], found["model"]), number) is not None:
                repairs.note("a repeated outcome, the first is kept", line=number)
                continue
            yield found
    if not told:
        raise DatasetError(
            f"{path}: holds queries without outcomes; give the routing data, one row per query "
            "and model with 'model_name' and 'performance'"
        )


def _outcome(
    row: Mapping[str, Any],
    number: int,
    repairs: Repairs,
    prices: Mapping[str, tuple[float, float]],
) -> dict[str, Any] | None:
    if "gt" in row and "ground_truth" not in row:
        repairs.note("'gt' is read as 'ground_truth'", line=number)
    reference = row.get("ground_truth", row.get("gt"))
    task, text = row.get("task_name") or "", row.get("query")
    query = [task, text, reference, row.get("metric"), row.get("choices")]
    user = row.get("user_id")
    found: dict[str, Any] = {
        "id": identity(*query, user),
        "task": task,
        "query": _asked(row, number, repairs),
        "model": row.get("model_name"),
        "input_tokens": row.get("input_tokens"),
        "output_tokens": row.get("output_tokens"),
        "latency": row.get("response_time"),
    }
    if user is not None:
        found["user"], found["group"] = str(user), identity(*query)
    tokens = [score_of(row.get(name)) for name in ("input_tokens", "output_tokens")]
    price = prices.get(str(found["model"]))
    if price and None not in tokens:
        found["cost"] = sum(
            count * each for count, each in zip(tokens, price, strict=True) if count is not None
        )
    answer = row.get("response")
    if isinstance(answer, str) and answer.lstrip().startswith(_FAILED):
        repairs.note("a failed call that was scored as an answer, kept as error", line=number)
        return {**found, "status": "error", "error": answer.strip()[:200]}
    if not answer and tokens[1] == 0 and "response" in row:
        repairs.note("an empty answer of no tokens that was scored, kept as error", line=number)
        return {**found, "status": "error", "error": "an empty answer"}
    score = score_of(row.get("performance"))
    if score is None:
        repairs.note("dropped: a row without a 'performance'", line=number)
        return None
    return {**found, "score": score, "text": answer}


def _asked(row: Mapping[str, Any], number: int, repairs: Repairs) -> Any:
    """Return the question with its options: without them, questions of one stem look alike."""
    text, choices = row.get("query"), row.get("choices")
    if isinstance(choices, str):
        try:
            choices = json.loads(choices)
        except ValueError:
            return text
    if row.get("metric") in _CODE or not isinstance(text, str):  # there, choices are tests
        return text
    if isinstance(choices, Mapping):
        labels, texts = choices.get("label"), choices.get("text") or choices.get("choices")
    else:
        labels, texts = None, choices
    if not isinstance(texts, list) or not texts:
        return text
    if not isinstance(labels, list) or len(labels) != len(texts):
        labels = [chr(ord("A") + i) for i in range(len(texts))]
    repairs.note("the options are added to the question", line=number)
    listed = [f"{label}. {option}" for label, option in zip(labels, texts, strict=True)]
    return "\n".join([text, *listed])


def _prices(folder: Path) -> dict[str, tuple[float, float]]:
    """Return the dollars per token, read and written, of each model of the candidate files."""
    found: dict[str, tuple[float, float]] = {}
    for file in sorted(folder.rglob("*.json")):
        try:
            candidates = json.loads(file.read_text(encoding="utf-8-sig"))
        except ValueError:  # UnicodeDecodeError too: some other file, which says no prices
            continue
        if not isinstance(candidates, dict):
            continue
        for name, facts in candidates.items():
            if isinstance(facts, dict):
                pair = [score_of(facts.get(key)) for key in ("input_price", "output_price")]
                if pair[0] is not None and pair[1] is not None:
                    found[name] = (pair[0] / 1e6, pair[1] / 1e6)
    return found
