"""What all eleven benchmarks have in common."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, evolve, field, validators
from llmrouter_core import Example

from llmrouter_plugin_tasks.sources import Hub, OtherTask, Row, examples, upstream


@define(eq=False, kw_only=True)
class Benchmark:
    """Examples of a published benchmark, in its own fields or in those of LLMRouter 1.

    Attributes:
        split: The split to fetch; the one results are usually reported on by default.
        max_tokens: How long an answer may be.
    """

    name: ClassVar[str]
    hub: ClassVar[Hub]
    spelling: ClassVar[str]
    """What the query files of LLMRouter 1 call the task."""

    split: str = ""
    max_tokens: int = field(default=2048, validator=validators.gt(0))

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield the examples of a JSONL file, or of the hub where none is given."""
        hub = evolve(self.hub, split=self.split) if self.split else self.hub
        return examples(hub, self._row, source, limit, seed)

    def _row(self, row: Row) -> Example | None:
        try:
            spelt = upstream(row, self.spelling)
        except OtherTask:
            return None
        return self.read(row) if spelt is None else self.read_query(*spelt, row)

    def read(self, row: Row) -> Example | None:
        """Return the example of a row in the benchmark's own fields; None leaves it out."""
        raise NotImplementedError

    def read_query(self, query: str, truth: str, options: Any, row: Row) -> Example:
        """Return the example of a row in the fields of LLMRouter 1."""
        return Example(id="", text=query, reference=truth)

    def payload(self, text: str) -> Mapping[str, Any]:
        """Return the chat payload of one user message."""
        return {"messages": [{"role": "user", "content": text}], "max_tokens": self.max_tokens}
