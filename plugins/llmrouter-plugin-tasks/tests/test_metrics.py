"""Adversarial answers judge the metrics; each case says what it is about."""

import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from llmrouter_plugin_tasks.metrics import (
    choice,
    contains,
    exact_match,
    same_mathematics,
    same_number,
    token_f1,
)


def cases(name: str) -> ModuleType:
    """Return the table of one metric."""
    path = Path(__file__).with_name(f"cases_{name}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHOICE, NUMBER = cases("choice"), cases("number")
TEXT, MATHEMATICS = cases("text"), cases("mathematics")


def test_the_table_is_large_and_says_nothing_twice() -> None:
    """At least 200 cases, each with a reason of its own."""
    tables = [CHOICE.CASES, CHOICE.BY_TEXT, NUMBER.CASES, TEXT.CASES, TEXT.F1, MATHEMATICS.CASES]
    reasons = [[case[-1] for case in table] for table in tables]

    assert sum(map(len, tables)) >= 200
    assert [len(found) for found in reasons] == [len(set(found)) for found in reasons]


@pytest.mark.parametrize(("answer", "letter", "why"), CHOICE.CASES, ids=lambda x: "")
def test_a_choice_is_the_letter_an_answer_settles_on(
    answer: str, letter: str | None, why: str
) -> None:
    """None where it settles on none or on several."""
    assert choice(answer, "ABCD") == letter, why


@pytest.mark.parametrize(("answer", "letter", "why"), CHOICE.BY_TEXT, ids=lambda x: "")
def test_a_choice_may_be_said_in_words(answer: str, letter: str | None, why: str) -> None:
    """If exactly one option is."""
    assert choice(answer, "ABC", ["Rome", "Paris", "Bonn"]) == letter, why


@pytest.mark.parametrize(("answer", "reference", "same", "why"), NUMBER.CASES, ids=lambda x: "")
def test_numbers_are_compared_by_value(answer: str, reference: str, same: bool, why: str) -> None:
    """However they are written."""
    assert same_number(answer, reference) is same, why


@pytest.mark.parametrize(
    ("answer", "reference", "equal", "held", "why"), TEXT.CASES, ids=lambda x: ""
)
def test_short_texts_are_compared_by_words(
    answer: str, reference: str, equal: bool, held: bool, why: str
) -> None:
    """Equal, or contained at the boundaries of words."""
    assert exact_match(answer, [reference]) is equal, why
    assert contains(answer, [reference]) is held, why


@pytest.mark.parametrize(("answer", "references", "f1", "why"), TEXT.F1, ids=lambda x: "")
def test_token_f1_balances_precision_and_recall(
    answer: str, references: Sequence[str], f1: float, why: str
) -> None:
    """Worked by hand."""
    assert token_f1(answer, references) == pytest.approx(f1), why


@pytest.mark.parametrize(
    ("answer", "reference", "same", "why"), MATHEMATICS.CASES, ids=lambda x: ""
)
def test_expressions_are_compared_by_meaning(
    answer: str, reference: str, same: bool, why: str
) -> None:
    """As far as a library can tell within its time."""
    pytest.importorskip("math_verify")

    assert same_mathematics(answer, reference) is same, why


@pytest.mark.parametrize(
    "piece",
    ["A ", "(A) ", "answer is ", "\\boxed{", "1 ", "1,", "not ", "<think>", "#### ", "$", "9"],
)
def test_no_answer_takes_long_to_read(piece: str) -> None:
    """However often a model repeats itself."""
    answer = piece * (60_000 // len(piece))
    started = time.monotonic()
    choice(answer, "ABCD", ["A cat", "a dog"])
    same_number(answer, "1")
    contains(answer, ["a b"])
    token_f1(answer, ["a b"])

    assert time.monotonic() - started < 5


def test_an_expression_that_takes_too_long_differs_and_harms_nothing() -> None:
    """The helper is replaced, and the next comparison works."""
    pytest.importorskip("math_verify")
    same_mathematics("\\boxed{x}", "\\boxed{y}")  # start the helper
    huge = "+".join(f"\\sqrt[{n}]{{x^{n}+{n}y}}" for n in range(3, 40))
    started = time.monotonic()

    assert not same_mathematics(f"\\boxed{{({huge})^{{99}}}}", "\\boxed{x+y}", seconds=0.2)
    assert time.monotonic() - started < 5
    assert same_mathematics("\\boxed{2x}", "\\boxed{x+x}", seconds=20)
