"""What is special about the tasks: their files, their prompts and how they score."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from llmrouter_core import DatasetError, Example, Task
from llmrouter_core.catalogue import discover
from llmrouter_core.tasks import JudgedTask
from llmrouter_plugin_tasks import HumanEvalTask, MbppTask, run_tests
from llmrouter_plugin_tasks.extras import MissingExtra
from llmrouter_plugin_tasks.programs import code_of
from llmrouter_plugin_tasks.sandbox import SandboxUnavailable

PUBLISHED: dict[str, dict[str, Any]] = {
    "natural-questions": {"question": "who wrote emma", "answer": ["Jane Austen", "Austen"]},
    "trivia-qa": {
        "question": "Who wrote Emma?",
        "answer": {"value": "Jane Austen", "aliases": ["Austen"], "normalized_aliases": []},
    },
    "mmlu": {"question": "2+2?", "subject": "sums", "choices": ["3", "4", "5", "6"], "answer": 1},
    "gpqa": {
        "Question": "2+2?",
        "Correct Answer": "4",
        "Incorrect Answer 1": "3",
        "Incorrect Answer 2": "5",
        "Incorrect Answer 3": "6",
    },
    "mbpp": {
        "task_id": 1,
        "text": "Write a function that doubles.",
        "code": "def twice(x): return 2 * x",
        "test_list": ["assert twice(2) == 4", "assert twice(math.floor(1.5)) == 2"],
        "test_setup_code": "import math",
    },
    "human-eval": {
        "task_id": "HumanEval/0",
        "prompt": 'from math import floor\n\n\ndef twice(x):\n    """Double."""\n',
        "entry_point": "twice",
        "canonical_solution": "    return 2 * x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    },
    "gsm8k": {"question": "2+2?", "answer": "2+2=<<2+2=4>>4\n#### 4"},
    "commonsense-qa": {
        "question": "2+2?",
        "choices": {"label": list("ABCDE"), "text": ["3", "4", "5", "6", "7"]},
        "answerKey": "B",
    },
    "math": {
        "problem": "2+2?",
        "solution": "It is $\\boxed{4}$.",
        "level": "Level 1",
        "type": "Algebra",
    },
    "openbook-qa": {
        "question_stem": "2+2?",
        "choices": {"text": ["3", "4", "5", "6"], "label": list("ABCD")},
        "answerKey": "B",
    },
    "arc-challenge": {
        "question": "2+2?",
        "choices": {"text": ["3", "4", "5", "6"], "label": list("1234")},
        "answerKey": "2",
    },
}
QUERIES: dict[str, dict[str, Any]] = {
    "natural-questions": {
        "task_name": "natural_qa",
        "query": "who wrote emma",
        "gt": "Jane Austen",
    },
    "trivia-qa": {
        "task_name": "trivia_qa",
        "query": "Who wrote Emma?",
        "ground_truth": "Jane Austen",
    },
    "mmlu": {
        "task_name": "mmlu",
        "query": "2+2?",
        "ground_truth": "B",
        "choices": '["3", "4", "5", "6"]',
    },
    "gpqa": {"task_name": "gpqa", "query": "2+2?", "ground_truth": "B", "choices": '["3", "4"]'},
    "mbpp": {
        "task_name": "mbpp",
        "query": "Write a function that doubles.",
        "ground_truth": ["assert twice(2) == 4"],
        "task_id": 1,
    },
    "human-eval": {
        "task_name": "human_eval",
        "query": PUBLISHED["human-eval"]["prompt"],
        "ground_truth": PUBLISHED["human-eval"]["test"],
    },
    "gsm8k": {"task_name": "gsm8k", "query": "2+2?", "ground_truth": "#### 4"},
    "commonsense-qa": {
        "task_name": "commonsense_qa",
        "query": "2+2?",
        "ground_truth": "B",
        "choices": '{"text": ["3", "4"], "label": ["A", "B"]}',
    },
    "math": {"task_name": "math", "query": "2+2?", "ground_truth": "\\boxed{4}"},
    "openbook-qa": {
        "task_name": "openbook_qa",
        "query": "2+2?",
        "ground_truth": "B",
        "choices": '{"text": ["3", "4"], "labels": ["A", "B"]}',
    },
    "arc-challenge": {
        "task_name": "arc_challenge",
        "query": "2+2?",
        "ground_truth": "2",
        "choices": '{"text": ["3", "4"], "label": ["1", "2"]}',
    },
}
PROGRAM = "```python\ndef twice(x):\n    return 2 * x\n```"
RIGHT = {"natural-questions": "It was Jane Austen.", "trivia-qa": "Jane Austen"}
RIGHT |= {"mbpp": PROGRAM, "human-eval": PROGRAM, "gsm8k": "#### 4", "math": "\\boxed{4}"}
WRONG = {"mbpp": "def twice(x): return x", "human-eval": "return x", "math": "\\boxed{5}"}

every = pytest.mark.parametrize("name", sorted(PUBLISHED))


def task(name: str) -> Any:
    """Return the installed task of that name."""
    [entry] = [
        entry
        for entry in discover()
        if (entry.kind, entry.name, entry.distribution) == ("task", name, "llmrouter-plugin-tasks")
    ]
    return entry.load()()


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def right(name: str, example: Example) -> str:
    """Return an answer that scores; of a multiple-choice question its letter."""
    return RIGHT.get(name, f"Answer: {example.reference}")


def needs(name: str) -> None:
    """Skip where the task cannot score here, for a reason that it states itself."""
    if name == "math":
        pytest.importorskip("math_verify")
    if name in ("mbpp", "human-eval"):
        try:
            run_tests("", "")
        except SandboxUnavailable as reason:
            pytest.skip(str(reason))


@every
def test_a_benchmark_reads_its_published_fields(name: str, tmp_path: Path) -> None:
    """And scores a right answer 1 and a wrong one 0."""
    needs(name)
    one = task(name)
    [example] = one.examples(written(tmp_path / "rows.jsonl", PUBLISHED[name]))

    assert isinstance(one, Task)
    assert one.name == name
    assert example.text.strip()
    assert one.score(example, right(name, example)) == 1.0
    assert one.score(example, WRONG.get(name, "I cannot tell.")) == 0.0
    assert one.score(example, "") == 0.0


@every
def test_a_benchmark_reads_query_files_too(name: str, tmp_path: Path) -> None:
    """Rows of other tasks are left out; both names of the truth are known."""
    needs(name)
    one = task(name)
    other = {**QUERIES["gsm8k"], "task_name": "some_other"}
    [example] = one.examples(written(tmp_path / "queries.jsonl", other, QUERIES[name]))

    assert one.score(example, right(name, example)) == 1.0
    assert one.score(example, WRONG.get(name, "I cannot tell.")) == 0.0


@every
def test_a_prompt_shows_the_question_and_never_the_answer(name: str, tmp_path: Path) -> None:
    """Options are shown with letters, tests as they are."""
    one = task(name)
    [example] = one.examples(written(tmp_path / "rows.jsonl", PUBLISHED[name]))
    payload = one.prompt(example)
    [message] = payload["messages"]

    assert example.text.strip() in message["content"]
    assert message["role"] == "user"
    assert payload["max_tokens"] == 2048
    for letter, option in zip("ABCDE", example.choices, strict=False):
        assert f"{letter}) {option}\n" in message["content"]
    for secret in ("Austen", "<<2+2=4>>", "canonical", "candidate", "\\boxed{4}"):
        assert secret not in message["content"]


@every
def test_a_benchmark_is_fetched_from_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file is given: by its id, its parts and its split, or another one."""
    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(path: str, name: str | None = None, split: str = "") -> list[Any]:
        asked.append((path, name, split))
        return [PUBLISHED[one.name]]

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    one = task(name)
    found = list(one.examples())
    other = type(one)(split="other")
    list(other.examples())

    assert len(found) == 1, "the same row twice is one example"
    half = len(asked) // 2
    assert asked[:half] == [(one.hub.id, config, one.hub.split) for config in one.hub.configs]
    assert {split for _, _, split in asked[half:]} == {"other"}


def test_the_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to install it."""
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(MissingExtra, match=r"pip install 'llmrouter-plugin-tasks\[hub\]'"):
        list(task("gsm8k").examples())


def test_a_limit_draws_by_the_seed(tmp_path: Path) -> None:
    """The same seed draws the same examples, in the order of the file."""
    rows = [{"question": f"{n}+1?", "answer": f"#### {n + 1}"} for n in range(50)]
    source = written(tmp_path / "rows.jsonl", *rows)
    one = task("gsm8k")
    first, again, other = (list(one.examples(source, 10, seed)) for seed in (1, 1, 2))
    everything = list(one.examples(source))

    assert first == again != other
    assert len(first) == 10
    assert [example for example in everything if example in first] == first
    assert len(list(one.examples(source, 999))) == 50
    assert list(one.examples(source, 0)) == []


def test_an_id_depends_on_what_is_asked_alone(tmp_path: Path) -> None:
    """Equal stems with other options are other examples; published and query rows agree."""
    one = task("mmlu")
    row = PUBLISHED["mmlu"]
    twin = {**row, "choices": ["4", "5", "6", "7"], "answer": 0}
    first, second = one.examples(written(tmp_path / "a.jsonl", row, twin, row))
    [query] = one.examples(written(tmp_path / "b.jsonl", QUERIES["mmlu"]))

    assert first.id != second.id
    assert first.id == query.id


def test_gpqa_mixes_its_options_the_same_way_each_time(tmp_path: Path) -> None:
    """The right one is not always first, and its letter is right."""
    rows = [{**PUBLISHED["gpqa"], "Question": f"{n}: 2+2?"} for n in range(40)]
    source = written(tmp_path / "rows.jsonl", *rows)
    found = list(task("gpqa").examples(source))
    places = [example.choices.index("4") for example in found]

    assert found == list(task("gpqa").examples(source))
    assert set(places) == {0, 1, 2, 3}
    assert [example.reference for example in found] == ["ABCD"[place] for place in places]


def test_a_question_published_without_its_answer_is_left_out(tmp_path: Path) -> None:
    """As the test split of CommonsenseQA is."""
    source = written(tmp_path / "rows.jsonl", {**PUBLISHED["commonsense-qa"], "answerKey": ""})

    assert list(task("commonsense-qa").examples(source)) == []


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("gsm8k", '{"question": "2+2?"}', "rows.jsonl:1: no field 'answer'"),
        ("gsm8k", "\n[1]", "rows.jsonl:2: not a JSON object"),
        ("gsm8k", "{", "rows.jsonl:1: not JSON"),
        ("mmlu", '{"question": "?", "choices": ["a", "b"], "answer": 5}', "is not one of A, B"),
        ("mmlu", '{"question": "?", "choices": ["a", "b"], "answer": 50}', "rows.jsonl:1: "),
        ("mmlu", '{"query": "?", "gt": "A", "choices": "["}', "rows.jsonl:1: "),
        ("trivia-qa", '{"question": "?", "answer": "x"}', "rows.jsonl:1: "),
        ("arc-challenge", '{"question": "?", "choices": null, "answerKey": "A"}', ":1: "),
    ],
)
def test_a_bad_row_is_named(name: str, text: str, reason: str, tmp_path: Path) -> None:
    """With its file, its line and what is wrong."""
    source = tmp_path / "rows.jsonl"
    source.write_text(text)

    with pytest.raises(DatasetError) as caught:
        list(task(name).examples(source))
    assert reason in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """In one sentence."""
    with pytest.raises(DatasetError, match="cannot be read"):
        list(task("gsm8k").examples(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("def f(): pass", "def f(): pass"),
        ("```python\ndef f(): pass\n```", "def f(): pass\n"),
        ("Here:\n```\ndef f(): pass\n```\nDone.", "def f(): pass\n"),
        ("```python\ndef f(): 1\n```\nBetter:\n```py\ndef f(): 2\n```", "def f(): 2\n"),
        ("```python\ndef f(): 1\n```\nUse:\n```python\nprint(f())\n```", "def f(): 1\n"),
        ("```bash\npip\n```\n```python\nx = lambda: 1\n```", "x = lambda: 1\n"),
        ("```python\ndef f(): pass", "def f(): pass"),
        ("~~~\ndef f(): pass\n~~~", "def f(): pass\n"),
        ("  ```python\n  def f(): pass\n  ```", "def f(): pass\n"),
    ],
)
def test_code_is_found_in_an_answer(answer: str, code: str) -> None:
    """The last block that defines the function, whatever stands around it."""
    assert code_of(answer, "f") == code


@pytest.mark.parametrize(
    "answer",
    [
        "    return 2 * x",
        "return 2 * x",
        "```python\n    return 2 * x\n```",
        "def twice(x):\n    return floor(2 * x)",
        "```python\nimport os\n\ndef helper(x):\n    return x\n\ndef twice(x):\n"
        "    return helper(x) * 2\n```",
    ],
)
def test_human_eval_takes_a_body_or_a_function(answer: str, tmp_path: Path) -> None:
    """What the prompt imports is there."""
    needs("human-eval")
    one = HumanEvalTask()
    [example] = one.examples(written(tmp_path / "rows.jsonl", PUBLISHED["human-eval"]))

    assert one.score(example, answer) == 1.0


def test_a_program_that_exits_or_hangs_scores_nothing(tmp_path: Path) -> None:
    """Within the limit of the task."""
    needs("mbpp")
    one = MbppTask(seconds=0.5)
    [example] = one.examples(written(tmp_path / "rows.jsonl", PUBLISHED["mbpp"]))

    assert one.score(example, "import sys\nsys.exit(0)") == 0.0
    assert one.score(example, "def twice(x):\n    while True: pass") == 0.0


def replies(*texts: str) -> tuple[Any, list[Sequence[Mapping[str, Any]]]]:
    """Return an `ask` that gives *texts* in turn, with `CODE` replaced, and what it was asked."""
    heard: list[Sequence[Mapping[str, Any]]] = []
    given: Iterator[str] = iter(texts)

    async def ask(messages: Sequence[Mapping[str, Any]]) -> str:
        heard.append(messages)
        code = messages[0]["content"].split("VERDICT ")[1].partition(":")[0]
        return next(given).replace("CODE", code)

    return ask, heard


def test_the_graded_task_is_judged_by_a_model(tmp_path: Path) -> None:
    """Through whatever `ask` it is given; an unusable verdict is None and counted."""
    import asyncio

    one = task("graded")
    source = written(tmp_path / "rows.jsonl", {"query": "Say hello.", "reference": "Hello!"})
    [example] = one.examples(source)
    ask, heard = replies("Fine.\nVERDICT CODE: 8", "I refuse.")

    assert isinstance(one, JudgedTask)
    assert asyncio.run(one.judge(example, "Hi!", ask)) == 0.8
    assert asyncio.run(one.judge(example, "Hi!", ask)) is None
    assert one.unusable == 1
    assert "Hello!" in heard[0][1]["content"]
    with pytest.raises(DatasetError, match="give it a file"):
        list(one.examples())
