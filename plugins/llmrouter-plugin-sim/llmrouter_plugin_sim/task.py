"""The task `sim`: questions of every family, scored by the truth that their solvers find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import define
from llmrouter_core import DatasetError
from llmrouter_core.outcomes import query_id
from llmrouter_core.tasks import Example

from llmrouter_plugin_sim.checker import score
from llmrouter_plugin_sim.families import read
from llmrouter_plugin_sim.problems import Problem

_QUESTIONS = 600  # where nobody says how many


@define(eq=False, kw_only=True)
class SimTask:
    """Ask generated questions, or those of a text file, one a line.

    Attributes:
        name: What outcome rows call the task.
    """

    name: str = "sim"

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield questions: *limit* generated ones (600 by default), or those of *source*.

        Raises:
            DatasetError: *source* cannot be read, or holds a question of no family.
        """
        if source is None:
            from llmrouter_plugin_sim.trial import questions  # the whole demo comes with it

            found = questions(_QUESTIONS if limit is None else limit, seed)
        else:
            found = _written(source)
            if limit is not None and limit < len(found):
                rng = Random(f"sample {seed}")  # noqa: S311 - a sample, not cryptography
                found = [found[i] for i in sorted(rng.sample(range(len(found)), limit))]
        for text, problem in found:
            yield Example(
                id=query_id("", text),
                text=text,
                reference=problem.truth,
                facts={
                    "family": problem.family,
                    # Two wordings of one problem stay on one side of a split.
                    "group": query_id(problem.family, problem.key),
                },
            )

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Return the question as the only message."""
        return {"messages": [{"role": "user", "content": example.text}]}

    def score(self, example: Example, answer: str) -> float:
        """Return 1.0 if *answer* states the truth, else 0.0."""
        problem = read(example.text)
        if problem is None:
            raise ValueError(f"no family understands the question: {example.text:.80}")
        return score(answer, problem)


def _written(source: Path) -> list[tuple[str, Problem]]:
    """Return the different questions of a text file, with their problems."""
    found: dict[str, Problem] = {}
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{source}: cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        problem = read(text) if text else None
        if problem is not None:
            found[text] = problem
        elif text:
            raise DatasetError(
                f"{source}:{number}: no simulated family understands this question; "
                "see the families in the README of llmrouter-plugin-sim"
            )
    return list(found.items())
