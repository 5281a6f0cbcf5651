"""GMTRouter's interactions: what users asked several models, turn by turn, and how they rated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

from llmrouter_core.outcomes import Repairs

from llmrouter_plugin_datasets.sources import files, identity, json_rows, scale_of, score_of

_KEY = ("question_id", "turn", "judge")


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield an outcome for each rated answer, and a preference for each two of one query.

    A query is asked by a user in a turn; all of one question share a group. Ratings above 1 are
    divided by the end of their scale, which is that of the whole file.

    Raises:
        DatasetError: A file is a pickle.
    """
    for file in files(path, ".jsonl", ".jsonl.gz"):
        scale = scale_of(_largest(file))
        if scale > 1:
            repairs.note(f"ratings of a file on a scale up to {scale:g}, divided by it")
        usable = (pair for pair in json_rows(file, repairs) if _usable(*pair, repairs))
        for key, group in groupby(usable, lambda pair: tuple(pair[1].get(k) for k in _KEY)):
            yield from _judged(key, list(group), scale, repairs)


def _usable(number: int, row: dict[str, Any], repairs: Repairs) -> bool:
    conversation = row.get("conversation")
    if isinstance(conversation, list) and all(isinstance(turn, dict) for turn in conversation):
        return True
    repairs.note("dropped: a row without a conversation", line=number)
    return False


def _judged(
    key: tuple[Any, ...],
    rows: list[tuple[int, dict[str, Any]]],
    scale: float,
    repairs: Repairs,
) -> Iterator[dict[str, Any]]:
    """Yield what one user thought of the answers to one question."""
    question, _, judge = key
    if len(rows) == 1:
        repairs.note("a question that one model answered, no preference", line=rows[0][0])
    for step in range(max(len(row["conversation"]) for _, row in rows)):
        liked: dict[str, float] = {}
        base: dict[str, Any] = {}
        for number, row in rows:
            turn = row["conversation"][step] if step < len(row["conversation"]) else {}
            rating = score_of(turn.get("rating"))
            if rating is None or rating < 0:
                repairs.note("a turn without a rating, left out", line=number)
                continue
            base = base or {
                "id": identity(*key, step),
                "query": turn.get("query"),
                "group": str(question),
                "user": None if judge is None else str(judge),
            }
            model = row.get("model")
            if turn.get("query") != base["query"]:
                repairs.note(
                    "a turn that asks another query than its group, left out", line=number
                )
            elif not isinstance(model, str) or model in liked:
                repairs.note("a repeated or nameless model, left out", line=number)
            else:
                liked[model] = rating
                text = turn.get("response")
                yield {**base, "model": model, "score": rating / scale, "text": text}
        for (one, first), (other, second) in combinations(liked.items(), 2):
            better, worse = (other, one) if second > first else (one, other)
            yield {**base, "better": better, "worse": worse, "tie": first == second}


def _largest(file: Path) -> float:
    largest = 1.0
    for number, row in json_rows(file, Repairs()):
        if _usable(number, row, Repairs()):
            ratings = (score_of(turn.get("rating")) for turn in row["conversation"])
            largest = max([largest, *(rating for rating in ratings if rating is not None)])
    return largest
