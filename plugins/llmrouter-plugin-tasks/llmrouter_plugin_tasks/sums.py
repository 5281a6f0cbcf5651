"""Problems with one result: GSM8K and MATH."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import define
from llmrouter_core import Example

from llmrouter_plugin_tasks.benchmark import Benchmark
from llmrouter_plugin_tasks.metrics.equivalence import same_mathematics
from llmrouter_plugin_tasks.metrics.number import same_number
from llmrouter_plugin_tasks.sources import Hub, Row

_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


@define(eq=False, kw_only=True)
class Gsm8kTask(Benchmark):
    """GSM8K: word problems of primary school."""

    name: ClassVar[str] = "gsm8k"
    hub: ClassVar[Hub] = Hub("openai/gsm8k", ("main",), "test")
    spelling: ClassVar[str] = "gsm8k"

    def read(self, row: Row) -> Example:
        """Read `question` and `answer`, whose result stands after `####`."""
        return Example(id="", text=row["question"], reference=row["answer"])

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Ask for the steps and a last line with the number."""
        return self.payload(
            f"{example.text}\n\nWork it out step by step. Put the result, as a plain number, on a "
            'last line of the form "#### 42".'
        )

    def score(self, example: Example, answer: str) -> float:
        """Return 1 where *answer* settles on the right number."""
        return float(same_number(answer, example.reference))


@define(eq=False, kw_only=True)
class MathTask(Benchmark):
    """MATH: problems of mathematics contests, in seven subjects."""

    name: ClassVar[str] = "math"
    hub: ClassVar[Hub] = Hub("EleutherAI/hendrycks_math", _SUBJECTS, "test")
    spelling: ClassVar[str] = "math"

    def read(self, row: Row) -> Example:
        """Read `problem`, `solution` with its boxed result, `level` and `type`."""
        facts = {key: row[key] for key in ("level", "type") if key in row}
        return Example(id="", text=row["problem"], reference=row["solution"], facts=facts)

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Ask for the steps and a boxed result."""
        return self.payload(
            f"{example.text}\n\nShow your reasoning, then give the result alone inside "
            "\\boxed{}, in simplest form."
        )

    def score(self, example: Example, answer: str) -> float:
        """Return 1 where *answer* ends in an equivalent expression."""
        return float(same_mathematics(answer, example.reference))
