"""The task `sim`: questions with a truth, and a score for answers."""

from pathlib import Path

import pytest
from llmrouter_core import DatasetError
from llmrouter_core.catalogue import discover, find
from llmrouter_core.tasks import Task
from llmrouter_plugin_sim.task import SimTask


def test_the_task_is_found_by_its_name() -> None:
    """It is published as `sim`, and is what core calls a task."""
    task = find(discover(), "task", "sim").load()()

    assert isinstance(task, Task)
    assert task.name == "sim"


def test_questions_are_the_same_on_every_run_and_a_longer_run_begins_alike() -> None:
    """A limit only cuts, and a seed decides."""
    task = SimTask()
    some = list(task.examples(limit=30, seed=1))

    assert some == list(task.examples(limit=60, seed=1))[:30]
    assert some != list(task.examples(limit=30, seed=2))
    assert len({example.id for example in some}) == 30


def test_the_truth_scores_one_and_anything_else_zero() -> None:
    """The reference of each question is a right answer to it."""
    task = SimTask()
    examples = list(task.examples(limit=44))

    assert all(task.score(one, f"The answer is {one.reference}.") == 1.0 for one in examples)
    assert not any(task.score(one, "I cannot tell.") for one in examples)
    assert task.prompt(examples[0])["messages"][0]["content"] == examples[0].text


def test_a_file_of_questions_is_read_line_by_line(tmp_path: Path) -> None:
    """Blank lines and repeated questions count once at most; a sample keeps the order."""
    file = tmp_path / "questions.txt"
    file.write_text("What is 17 * 23?\n\nWhat is 2 + 2?\nWhat is 17 * 23?\nWhat is 9 - 5?\n")
    texts = [one.text for one in SimTask().examples(file)]
    sample = [one.text for one in SimTask().examples(file, limit=2, seed=3)]

    assert texts == ["What is 17 * 23?", "What is 2 + 2?", "What is 9 - 5?"]
    assert len(sample) == 2
    assert sample == [text for text in texts if text in sample]


def test_a_question_of_no_family_is_refused_with_its_line(tmp_path: Path) -> None:
    """Nobody could score an answer to it."""
    file = tmp_path / "questions.txt"
    file.write_text("What is 2 + 2?\nWhat is love?\n")

    with pytest.raises(DatasetError, match=r"questions\.txt:2: no simulated family"):
        list(SimTask().examples(file))


def test_two_wordings_of_one_problem_share_a_group(tmp_path: Path) -> None:
    """A split never shows in training what it asks in the test."""
    file = tmp_path / "questions.txt"
    file.write_text("What is 17 * 23?\nCalculate 17 * 23.\n")
    groups = {one.facts["group"] for one in SimTask().examples(file)}

    assert len(groups) == 1
