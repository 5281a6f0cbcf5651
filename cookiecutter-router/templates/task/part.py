"""{{ cookiecutter.__summary | trim('.') }}."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define
from llmrouter_core import Example

WORDS = ("router", "model", "query", "answer", "quality", "latency")


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Ask for words spelled backwards; an answer is right or wrong."""

    name: str = "{{ cookiecutter.name }}"

    def examples(
        self, source: Path | None = None, limit: int | None = None, seed: int = 0
    ) -> Iterator[Example]:
        """Yield a question for each word of *source*, one a line, or of our own; or *limit*."""
        words = list(WORDS) if source is None else source.read_text(encoding="utf-8").split()
        if limit is not None:
            drawn = np.random.default_rng(seed).permutation(len(words))[:limit]
            words = [words[place] for place in sorted(drawn)]
        for word in words:
            yield Example(id=word, text=f"Spell '{word}' backwards.", reference=word[::-1])

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Return the question, and the form its answer must have."""
        content = f"{example.text} Answer with the word alone."
        return {"messages": [{"role": "user", "content": content}]}

    def score(self, example: Example, answer: str) -> float:
        """Return 1 if *answer* is the word alone, whatever its case, else 0."""
        return float(answer.strip(" \n.'\"").lower() == example.reference.lower())
