"""What is special about the {{ cookiecutter.name }} task."""

from pathlib import Path

import pytest
from llmrouter_core import Task
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}


@pytest.mark.parametrize(
    ("answer", "score"),
    [("retuor", 1.0), ("Retuor.", 1.0), ("'retuor'\n", 1.0), ("router", 0.0), ("", 0.0)],
)
def test_the_word_alone_is_right(answer: str, score: float) -> None:
    """Case and punctuation around it do not count; everything else does."""
    task = {{ cookiecutter.__class }}()
    example = next(task.examples())

    assert task.score(example, answer) == score


def test_examples_are_drawn_by_seed_from_any_source(tmp_path: Path) -> None:
    """The same seed draws the same questions, in the order of the file."""
    task = {{ cookiecutter.__class }}()
    words = tmp_path / "words.txt"
    words.write_text("one\ntwo\nthree\n", encoding="utf-8")
    drawn = [[one.id for one in task.examples(words, limit=2, seed=3)] for _ in range(2)]

    assert isinstance(task, Task)
    assert drawn[0] == drawn[1]
    assert drawn[0] == [word for word in ("one", "two", "three") if word in drawn[0]]
    assert len(drawn[0]) == 2
