"""Open questions with short answers: Natural Questions and TriviaQA."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import define
from llmrouter_core import Example

from llmrouter_plugin_tasks.benchmark import Benchmark
from llmrouter_plugin_tasks.metrics.text import contains
from llmrouter_plugin_tasks.sources import Hub, Row


@define(eq=False, kw_only=True)
class OpenQuestions(Benchmark):
    """Questions whose answer is one of a few names; right where the answer contains one."""

    def read_query(self, query: str, truth: str, options: Any, row: Row) -> Example:
        """Return the example; the truth may be a JSON list of several."""
        listed = json.loads(truth) if truth.startswith("[") else [truth]
        return _example(query, [str(one) for one in listed])

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Ask for a name, not a sentence."""
        return self.payload(
            f"{example.text}\n\nReply with the answer alone: a name, a date or a few words."
        )

    def score(self, example: Example, answer: str) -> float:
        """Return 1 where *answer* contains a right answer as whole words."""
        return float(contains(answer, example.facts["answers"]))


@define(eq=False, kw_only=True)
class NaturalQuestionsTask(OpenQuestions):
    """Natural Questions: what people asked a search engine, with short answers."""

    name: ClassVar[str] = "natural-questions"
    hub: ClassVar[Hub] = Hub("google-research-datasets/nq_open", (None,), "validation")
    spelling: ClassVar[str] = "natural_qa"

    def read(self, row: Row) -> Example:
        """Read `question` and `answer`, or `golden_answers`."""
        answers = row["golden_answers"] if "golden_answers" in row else row["answer"]
        return _example(row["question"], [answers] if isinstance(answers, str) else answers)


@define(eq=False, kw_only=True)
class TriviaQaTask(OpenQuestions):
    """TriviaQA: questions of quizzes, with every accepted spelling of the answer."""

    name: ClassVar[str] = "trivia-qa"
    hub: ClassVar[Hub] = Hub("mandarjoshi/trivia_qa", ("rc.nocontext",), "validation")
    spelling: ClassVar[str] = "trivia_qa"

    def read(self, row: Row) -> Example:
        """Read `question` and `answer` with its `value`, `aliases` and `normalized_aliases`."""
        answer = row["answer"]
        names = [answer["value"], *answer.get("aliases", ())]
        return _example(row["question"], [*names, *answer.get("normalized_aliases", ())])


def _example(question: str, answers: Sequence[str]) -> Example:
    answers = list(dict.fromkeys(answers))
    return Example(id="", text=question, reference=answers[0], facts={"answers": tuple(answers)})
