"""What a benchmark task is: examples, a prompt, and a score for an answer.

Tasks are discovered under `llmrouter.task` and need no base class.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from llmrouter_core.types import Message

Ask: TypeAlias = Callable[[Sequence[Message]], Awaitable[str]]
"""Sends chat messages to a model and returns the text it answers."""


@frozen(kw_only=True)
class Example:
    """One question of a task, with what a right answer is.

    Attributes:
        id: What identifies it within its task, the same on every run.
        text: The question as a person would read it, without instructions.
        reference: What a right answer is held against: a text, a letter, a number, tests.
        choices: The options of a multiple-choice question, in the order of their letters.
        facts: Anything else the task's own prompt and score read.
    """

    id: str
    text: str
    reference: str = field(repr=False)
    choices: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(factory=dict, repr=False)


@runtime_checkable
class Task(Protocol):
    """A benchmark: where its examples come from, how they are asked and how answers score."""

    @property
    def name(self) -> str:
        """What outcome rows call the task."""

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield the examples of a local file, or of the task's own source where none is given.

        Args:
            source: A file in one of the formats the task documents.
            limit: At most this many, drawn at random by *seed*; None yields all, in order.
            seed: What the draw depends on.
        """

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Return the chat payload that asks *example*."""

    def score(self, example: Example, answer: str) -> float:
        """Return how good *answer* is, 0..1; it may take seconds, so call it in a thread."""


@runtime_checkable
class JudgedTask(Protocol):
    """A task whose answers a model judges: `judge` stands where `Task` has `score`."""

    @property
    def name(self) -> str:
        """What outcome rows call the task."""

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield examples, as `Task.examples` does."""

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Return the chat payload that asks *example*."""

    async def judge(self, example: Example, answer: str, ask: Ask) -> float | None:
        """Return how good *answer* is, 0..1, or None where the judge gave no usable verdict."""
