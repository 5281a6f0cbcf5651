"""Questions without one right answer, which a model grades."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define
from llmrouter_core import DatasetError, Example
from llmrouter_core.tasks import Ask

from llmrouter_plugin_tasks.metrics.judging import Judge
from llmrouter_plugin_tasks.sources import Hub, Row, examples


@define(eq=False, kw_only=True)
class GradedTask:
    """Your own questions, from a file with `query` and, if you have one, `reference`.

    Attributes:
        name: What outcome rows call the task.
        unusable: How many verdicts could not be used.
    """

    name: str = "graded"
    unusable: int = 0

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield the questions of a JSONL file."""
        if source is None:
            raise DatasetError(f"task '{self.name}' has no questions of its own; give it a file")
        return examples(Hub("a file of questions", (), ""), _read, source, limit, seed)

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Ask the question as it stands."""
        return {"messages": [{"role": "user", "content": example.text}]}

    async def judge(self, example: Example, answer: str, ask: Ask) -> float | None:
        """Return the grade, 0..1, or None where the verdict is unusable."""
        judge = Judge(ask)
        grade = await judge.grade(example.text, answer, example.reference)
        self.unusable += judge.unusable
        return grade


def _read(row: Row) -> Example:
    return Example(id="", text=row["query"], reference=row.get("reference") or "")
