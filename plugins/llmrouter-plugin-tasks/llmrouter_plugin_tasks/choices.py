"""Multiple-choice questions: MMLU, GPQA, CommonsenseQA, OpenBookQA and ARC-Challenge."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import define
from llmrouter_core import Example

from llmrouter_plugin_tasks.benchmark import Benchmark
from llmrouter_plugin_tasks.metrics.choice import choice
from llmrouter_plugin_tasks.sources import Hub, Row

_LETTERS = "ABCDEFGHIJ"


@define(eq=False, kw_only=True)
class ChoiceQuestions(Benchmark):
    """Questions with options; right where the answer settles on the right one's letter."""

    def read(self, row: Row) -> Example | None:
        """Read `question`, `choices` with `text` and `label`, and `answerKey`."""
        options = row["choices"]
        if not row["answerKey"]:  # the test split of CommonsenseQA is published without
            return None
        return _example(row["question"], options["text"], row["answerKey"], options["label"])

    def read_query(self, query: str, truth: str, options: Any, row: Row) -> Example:
        """Return the example; its options may have labels."""
        if isinstance(options, Mapping):
            return _example(
                query, options["text"], truth, options.get("label", options.get("labels"))
            )
        return _example(query, options, truth)

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Show the options with letters and ask for one."""
        options = zip(example.facts["letters"], example.choices, strict=True)
        lines = "\n".join(f"{letter}) {option}" for letter, option in options)
        return self.payload(
            f"{example.text}\n\n{lines}\n\n"
            "One option is right. Think it through if you need to, then end with a line of the "
            'form "Answer: X", where X is its letter.'
        )

    def score(self, example: Example, answer: str) -> float:
        """Return 1 where *answer* settles on the right letter."""
        found = choice(answer, example.facts["letters"], example.choices)
        return float(found == example.reference)


@define(eq=False, kw_only=True)
class MmluTask(ChoiceQuestions):
    """MMLU: 57 subjects from school to profession."""

    name: ClassVar[str] = "mmlu"
    hub: ClassVar[Hub] = Hub("cais/mmlu", ("all",), "test")
    spelling: ClassVar[str] = "mmlu"

    def read(self, row: Row) -> Example:
        """Read `question`, `choices`, the place of the right one as `answer`, and `subject`."""
        answer = row["answer"]
        letter = answer if isinstance(answer, str) else _LETTERS[answer]
        return _example(row["question"], row["choices"], letter, subject=row.get("subject", ""))


@define(eq=False, kw_only=True)
class GpqaTask(ChoiceQuestions):
    """GPQA: questions of doctoral level in biology, physics and chemistry."""

    name: ClassVar[str] = "gpqa"
    hub: ClassVar[Hub] = Hub("Idavidrein/gpqa", ("gpqa_main",), "train")
    spelling: ClassVar[str] = "gpqa"

    def read(self, row: Row) -> Example:
        """Read `Question`, `Correct Answer` and three `Incorrect Answer`s, and mix them.

        The order depends on the question alone, so that it is the same on every run.
        """
        right = row["Correct Answer"].strip()
        wrong = [row[f"Incorrect Answer {place}"].strip() for place in (1, 2, 3)]
        options = random.Random(row["Question"]).sample([right, *wrong], 4)  # noqa: S311
        letter = _LETTERS[options.index(right)]
        return _example(row["Question"].strip(), options, letter)


@define(eq=False, kw_only=True)
class CommonsenseQaTask(ChoiceQuestions):
    """CommonsenseQA: everyday knowledge, five options."""

    name: ClassVar[str] = "commonsense-qa"
    hub: ClassVar[Hub] = Hub("tau/commonsense_qa", (None,), "validation")
    spelling: ClassVar[str] = "commonsense_qa"


@define(eq=False, kw_only=True)
class OpenbookQaTask(ChoiceQuestions):
    """OpenBookQA: elementary science that takes one more step."""

    name: ClassVar[str] = "openbook-qa"
    hub: ClassVar[Hub] = Hub("allenai/openbookqa", ("main",), "test")
    spelling: ClassVar[str] = "openbook_qa"

    def read(self, row: Row) -> Example | None:
        """Read `question_stem`, `choices` with `text` and `label`, and `answerKey`."""
        return super().read({**row, "question": row["question_stem"]})


@define(eq=False, kw_only=True)
class ArcChallengeTask(ChoiceQuestions):
    """ARC-Challenge: science questions of school tests that simple methods fail."""

    name: ClassVar[str] = "arc-challenge"
    hub: ClassVar[Hub] = Hub("allenai/ai2_arc", ("ARC-Challenge",), "test")
    spelling: ClassVar[str] = "arc_challenge"


def _example(
    question: str,
    options: Sequence[str],
    truth: str,
    labels: Sequence[str] | None = None,
    subject: str = "",
) -> Example:
    """Return the example, its options lettered from A whatever their labels were."""
    letters = _LETTERS[: len(options)]
    labels = list(labels) if labels else list(letters)
    if len(letters) != len(options) or len(labels) != len(options):
        raise ValueError(f"{len(options)} options with {len(labels)} labels")
    if truth.strip("() ") not in labels:
        raise ValueError(f"the right answer '{truth:.40}' is not one of {', '.join(labels)}")
    return Example(
        id="",
        text=question,
        reference=letters[labels.index(truth.strip("() "))],
        choices=tuple(map(str, options)),
        facts={"letters": letters, **({"subject": subject} if subject else {})},
    )
