"""Every family solves what it writes, and anything of that shape that a user types."""

import time
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_plugin_sim.answers import mistake
from llmrouter_plugin_sim.checker import numbers, score
from llmrouter_plugin_sim.families import FAMILIES, read, write
from llmrouter_plugin_sim.families.numerals import roman
from llmrouter_plugin_sim.problems import LEVELS, Problem


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_solves_every_query_that_it_writes(family: str) -> None:
    """Over many seeds and all levels the truth scores 1 and a mistake scores 0."""
    for seed in range(150):
        rng = Random(seed)
        for level in LEVELS:
            query = FAMILIES[family].write(rng, level)
            problem = read(query)
            assert problem is not None, query
            assert problem.family == family, query
            assert score(f"Some working. The answer is {problem.truth}.", problem) == 1.0
            assert score(problem.truth, problem) == 1.0
            wrong = mistake(problem, rng)
            assert score(f"The answer is {wrong}.", problem) == 0.0, (query, wrong)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_several_wordings_and_harder_levels(family: str) -> None:
    """Queries differ, and the hardest level is harder than the easiest."""
    rng = Random(5)
    written = {level: [FAMILIES[family].write(rng, level) for _ in range(60)] for level in LEVELS}
    means = []
    for queries in written.values():
        found = [problem.difficulty for query in queries if (problem := read(query))]
        means.append(sum(found) / len(found))

    assert len({query[:8] for queries in written.values() for query in queries}) >= 3
    assert means[0] < means[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_example_and_the_method_of_a_family_are_sound(family: str) -> None:
    """The example is understood, and the sentences of the method give no number away."""
    problem = read(FAMILIES[family].example)

    assert problem is not None
    assert problem.family == family
    assert not any(numbers(sentence) for sentence in FAMILIES[family].method)


def test_writing_is_fixed_by_the_seed() -> None:
    """Equal generators write equal queries."""
    assert write(Random(4)) == write(Random(4))


@pytest.mark.parametrize(
    ("query", "truth"),
    [
        ("What is 17 * 23?", "391"),
        ("17*23=?", "391"),
        ("What's 2 + 3 * 4", "14"),
        ("calculate -3 * (4 - 5).", "3"),
        ("How much is 10 divided by 4?", "2.5"),
        ("What is 7 x 8?", "56"),
        ("What is 1 / 3?", "0.3333"),
        ("Convert 5 km to miles.", "3.11"),
        ("How many metres are there in 3 kilometres?", "3000"),
        ("What is 100 °C in °F?", "212"),
        ("Convert 5 kilometres to metres.", "5000"),
        ("What day of the week was 15 March 2024?", "Friday"),
        ("What date is 2 days after 2024-02-28?", "2024-03-01"),
        ("How many days are there between 2023-12-31 and January 1, 2024?", "1"),
        ("Is 1900 a leap year?", "no"),
        ("Reverse the word 'planet'.", "tenalp"),
        ("How many r's are in strawberry?", "3"),
        ("True or false: not (true and false) or false", "true"),
        ("Ben is shorter than Anna. Carla is shorter than Ben. Who is the shortest?", "Carla"),
        ("What does this print?\n\nprint(sum([n for n in range(1, 10) if n % 3 == 0]))", "18"),
        ("item | price\nlamp | 30\ndesk | 45\n\nWhat is the total price?", "75"),
        ("item | price\nlamp | 30\ndesk | 45\n\nWhat is the price of the desk?", "45"),
        ("What comes next: 1, 1, 2, 3, 5?", "8"),
        ("What comes next: 1, 4, 9, 16?", "25"),
        ("Sort from largest to smallest: 3, 10, 2", "10, 3, 2"),
        ("Which is larger, 0.9 or 0.11?", "0.9"),
        ("Write 1994 in Roman numerals.", "MCMXCIV"),
        ("What is the binary number 1011 in decimal?", "11"),
        ("what is the capital of france", "Paris"),
        ("Answer well.\n\nQuestion: What is 17 * 23?\nAnswer:", "391"),
    ],
)  # fmt: skip
def test_a_typed_query_is_understood(query: str, truth: str) -> None:
    """The solver works out the truth of queries it has not written."""
    assert problem_of(query).truth == truth


@pytest.mark.parametrize(
    "query",
    [
        "", "5", "-5", "1 / 0", "2 +", "((((", "(" * 3000, "9" * 5000, "- " * 2000 + "1",
        "__import__('os').system('true')", "What is the date 99999 days after 9999-01-01?",
        "What day of the week was 2023-02-30?", "What comes next: 1, 2, 4, 7, 3?",
        "Anna is taller than Ben. Carla is taller than Ben. Who is the tallest?",
        "Anna is taller than Ben. Ben is taller than Anna. Who is the tallest?",
        "What is the 9th letter of 'cat'?", "Convert 5 km to kilograms.",
        "a | b\n1 | 2 | 3\nWhat is the total b?", "Who are you?",
    ],
)  # fmt: skip
def test_what_has_no_answer_is_no_problem(query: str) -> None:
    """Broken, ambiguous, endless and foreign queries belong to no family."""
    assert read(query) is None


@given(st.text(max_size=200))
def test_no_text_breaks_a_solver(text: str) -> None:
    """Whatever is typed, reading returns a problem or None."""
    problem = read(text)

    assert problem is None or problem.family in FAMILIES


@pytest.mark.parametrize(
    "text",
    [
        "evaluate" + " " * 3900 + "!", "What comes next" + " " * 3900 + "!", "\n" * 3900 + "x",
        "question: " * 390, "question:" + "\n" * 3900, "what print" * 390, "```" * 1300,
        "what does this code print\n" + "```\n" * 900, "Aa is taller than " * 200, "(" * 3999,
        "sort the numbers " + "1, " * 1300, "a|" * 1900, "Evaluate: " + "true and " * 430,
    ],
)  # fmt: skip
def test_no_text_takes_long_to_read(text: str) -> None:
    """Patterns stay far from the exponential, whatever is repeated."""
    started = time.perf_counter()
    read(text)

    assert time.perf_counter() - started < 0.5


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"))
def test_sums_and_products_are_exact(a: int, b: int, sign: str) -> None:
    """The parser agrees with Python on two numbers."""
    truth = {"+": a + b, "-": a - b, "*": a * b}[sign]
    problem = read(f"What is {a} {sign} {b}?")

    assert problem is not None
    assert problem.truth == str(truth)


@given(st.integers(1, 3999))
def test_roman_numerals_come_back(number: int) -> None:
    """Reading what was written gives the number again."""
    problem = read(f"What number is the Roman numeral {roman(number)}?")

    assert problem is not None
    assert problem.truth == str(number)


def problem_of(query: str) -> Problem:
    problem = read(query)
    assert problem is not None
    return problem


PRODUCT = problem_of("What is 17 * 23?")
FRIDAY = problem_of("What day of the week was 2024-03-15?")
SORTED = problem_of("Sort from smallest to largest: 9, 1, 4")
MILES = problem_of("Convert 5 km to miles.")
UPPER = problem_of("Write 'lamp' in upper case.")
DATE = problem_of("What date is 1 days after 2024-03-14?")
THOUSAND = problem_of("What is 1000 + 391?")
LARGER = problem_of("Which is larger, 0.9 or 0.11?")


@pytest.mark.parametrize(
    ("problem", "answer", "expected"),
    [
        (PRODUCT, "391", 1), (PRODUCT, "391.", 1), (PRODUCT, "391.0", 1), (PRODUCT, "**391**", 1),
        (PRODUCT, "The answer is 391.", 1), (PRODUCT, "17 * 23 = 391", 1),
        (PRODUCT, "The answer is 17 * 23 = 391.", 1), (PRODUCT, r"\boxed{391}", 1),
        (PRODUCT, "The answer is 391, because 17*20=340 and 17*3=51.", 1),
        (PRODUCT, "First 340, then 51: 391", 1), (PRODUCT, "Answer: 391", 1),
        (PRODUCT, "3910", 0), (PRODUCT, "39.1", 0), (PRODUCT, "391.5", 0), (PRODUCT, "-391", 0),
        (PRODUCT, "1391", 0), (PRODUCT, "3.9.1", 0), (PRODUCT, "391 or 392", 0),
        (PRODUCT, "392 or 391", 0), (PRODUCT, "The answer is 390, not 391.", 0),
        (PRODUCT, "The answer is not 391.", 0), (PRODUCT, "It isn't 391", 0), (PRODUCT, "", 0),
        (PRODUCT, "391 is close; 392", 0), (PRODUCT, "0x391", 0), (PRODUCT, "1,391", 0),
        (THOUSAND, "1,391", 1), (THOUSAND, "1391", 1), (THOUSAND, "391", 0),
        (MILES, "3.11 mi", 1), (MILES, "3.107mi", 1), (MILES, "5 km are 3.1 miles", 1),
        (MILES, "31.1", 0), (MILES, "5 km", 0), (MILES, "35", 0),
        (FRIDAY, "Friday", 1), (FRIDAY, "It was a friday.", 1), (FRIDAY, "Fridays", 0),
        (FRIDAY, "Friday or Saturday", 0), (FRIDAY, "It was not a Friday.", 0),
        (SORTED, "1, 4, 9", 1), (SORTED, "The answer is 1, 4, 9.", 1), (SORTED, "1 < 4 < 9", 1),
        (SORTED, "9, 4, 1", 0), (SORTED, "1, 4", 0), (SORTED, "The answer is 1, 4, 9, 10", 0),
        (UPPER, "LAMP", 1), (UPPER, "lamp", 0), (UPPER, "LAMPS", 0),
        (DATE, "2024-03-15", 1), (DATE, "It is March 15, 2024.", 1), (DATE, "2024-03-151", 0),
        (LARGER, "0.9 is larger than 0.11, so the answer is 0.9.", 1), (LARGER, "0.9", 1),
        (LARGER, "0.11", 0), (LARGER, "Not 0.9", 0),
    ],
)  # fmt: skip
def test_the_checker_is_neither_fooled_nor_strict(
    problem: Problem, answer: str, expected: int
) -> None:
    """Numbers count as numbers, words as whole words, hedges and denials as wrong."""
    assert score(answer, problem) == expected


def test_two_wordings_share_a_key() -> None:
    """A split by key never has one problem on both sides."""
    wordings: list[Callable[[str], str]] = [
        lambda e: f"What is {e}?", lambda e: f"Calculate {e}.", lambda e: e.replace("*", "times"),
    ]  # fmt: skip

    assert {problem_of(word("17 * 23")).key for word in wordings} == {"17*23"}
