"""What is asked: the examples of tasks, and the queries of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from attrs import define, frozen
from llmrouter_core import DatasetError, Request
from llmrouter_core.outcomes import BadRow, query_id
from llmrouter_core.outcomes import jsonl as lines
from llmrouter_core.tasks import Example, JudgedTask, Task

AnyTask: TypeAlias = Task | JudgedTask


@frozen(kw_only=True)
class Question:
    """One query of one task.

    Attributes:
        name: What outcome rows call the task.
        task: Who words the request and scores the answer.
        example: What is asked.
        max_tokens: Limit of the answer where the task states none.
    """

    name: str
    task: AnyTask
    example: Example
    max_tokens: int | None = None

    @property
    def request(self) -> Request:
        """What every model is asked."""
        request = Request(payload=self.task.prompt(self.example))
        if self.max_tokens is None or request.limit is not None:
            return request
        return Request(payload={**request.payload, "max_tokens": self.max_tokens})

    @property
    def columns(self) -> dict[str, str]:
        """What every outcome row of the question begins with."""
        found = {
            "id": f"{self.name}/{self.example.id}",
            "query": self.example.text,
            "task": self.name,
        }
        for name in ("group", "user"):
            value = self.example.facts.get(name)
            if isinstance(value, str) and value:
                found[name] = value
        return found

    @property
    def identity(self) -> bytes:
        """Everything an outcome depends on but the model, as bytes."""
        asked = [self.columns, self.request.payload, self.example.reference]
        return json.dumps(asked, sort_keys=True, default=str).encode()


@define(eq=False, kw_only=True)
class Stated:
    """Score by whether an answer states the reference: as whole words, whatever the case.

    Attributes:
        name: What messages call it.
    """

    name: str = "stated"

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield the queries of a JSONL file: `query`, `reference` and, if known, `id`, `group`.

        Raises:
            DatasetError: There is no file, it cannot be read, or a row lacks something.
        """
        if source is None:
            raise DatasetError("these queries have no source of their own; give a file")
        yield from file_examples(source, limit, seed)

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Return the query as the only message."""
        return {"messages": [{"role": "user", "content": example.text}]}

    def score(self, example: Example, answer: str) -> float:
        """Return 1.0 if the reference stands in *answer* as whole words, else 0.0."""
        wanted = r"\s+".join(map(re.escape, example.reference.split()))
        # "3.5" holds neither "3" nor "5", and "1,391" not "391"; a full stop ends a sentence.
        place = rf"(?<![\w])(?<!\d[.,])(?<![-−]){wanted}(?!\w)(?![.,]\d)"
        return float(re.search(place, answer, re.IGNORECASE) is not None)


def file_examples(path: Path, limit: int | None, seed: int) -> list[Example]:
    """Return the queries of a JSONL file, at most *limit* of them, drawn by *seed*.

    Raises:
        DatasetError: It cannot be read, or a row lacks its query or its reference.
    """
    found = []
    try:
        for number, row in lines.read(path):
            try:
                found.append(_example(row))
            except BadRow as bad:
                raise DatasetError(f"{path}:{number}: {bad}") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from None
    if limit is not None and limit < len(found):
        rng = Random(f"sample {seed}")  # noqa: S311 - a sample, not cryptography
        found = [found[i] for i in sorted(rng.sample(range(len(found)), limit))]
    return found


def _example(row: Any) -> Example:
    if isinstance(row, BadRow):
        raise row
    if not isinstance(row, Mapping):
        raise BadRow("is not a JSON object")
    text, reference = row.get("query"), row.get("reference")
    if not isinstance(text, str) or not text.strip():
        raise BadRow("'query' is missing; it must be a text that is not empty")
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        reference = str(reference)
    if not isinstance(reference, str) or not reference.strip():
        raise BadRow("'reference' is missing, so no answer could be scored; add the right answer")
    user = row.get("user") or ""
    name = row.get("id")
    return Example(
        id=query_id("", text, str(user)) if name in (None, "") else str(name),
        text=text,
        reference=reference,
        choices=tuple(map(str, row.get("choices") or ())),
        facts={key: str(row[key]) for key in ("group", "user") if row.get(key)},
    )
