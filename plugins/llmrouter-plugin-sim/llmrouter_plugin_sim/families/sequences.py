"""The next number of a sequence: `What comes next: 2, 4, 8, 16?`."""

import itertools
import re
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_LIST = r"(?P<list>-?\d{1,12}(?:\s*,\s*-?\d{1,12}){3,11})"
_END = r"\s*,?\s*(?:\.{2,3}|…)?\s*[.?]?"
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        r"(?:what\s+comes\s+next|what\s+number\s+comes\s+next|which\s+number\s+comes\s+next)"
        rf"(?:\s+in\s+(?:the|this)\s+(?:sequence|series))?\s*:?\s*{_LIST}{_END}",
        rf"(?:continue|extend)\s+(?:the|this)\s+(?:sequence|series)\s*:?\s*{_LIST}{_END}",
        r"what\s+is\s+the\s+next\s+(?:number|term)\s+(?:in|of)\s+"
        rf"(?:the|this)?\s*(?:sequence|series)?\s*:?\s*{_LIST}{_END}",
    )
)


def following(terms: list[int]) -> tuple[int, float] | None:
    """Return the next term and how hard it is to see, or None for no rule known here.

    The simplest rule wins: a constant step, a constant ratio, the sum of the last two, then a
    step that itself changes by a constant.
    """
    steps = [b - a for a, b in itertools.pairwise(terms)]
    if len(set(steps)) == 1:
        return terms[-1] + steps[0], 0.0
    first, second = terms[0], terms[1]
    if first and all(b * first == a * second for a, b in itertools.pairwise(terms)):
        if (terms[-1] * second) % first == 0:
            return terms[-1] * second // first, 0.4
        return None
    if all(a + b == c for a, b, c in zip(terms, terms[1:], terms[2:], strict=False)):
        return terms[-1] + terms[-2], 0.6
    changes = [b - a for a, b in itertools.pairwise(steps)]
    if len(set(changes)) == 1:
        return terms[-1] + steps[-1] + changes[0], 1.0
    return None


def _read(text: str) -> Problem | None:
    found = next((match for shape in _SHAPES if (match := shape.fullmatch(text))), None)
    if found is None:
        return None
    terms = [int(term) for term in found["list"].split(",")]
    answer = following(terms)
    if answer is None:
        return None
    return Problem(key=str(terms), truth=str(answer[0]), kind="number", difficulty=answer[1])


def _write(rng: Random, level: Level) -> str:
    start, step, length = rng.randint(1, 30), rng.randint(2, 12), rng.randint(4, 6)
    if level == 0:
        terms = [start + step * n for n in range(length)]
    elif level == 1 and rng.random() < 0.5:
        terms = [rng.randint(1, 6)]
        ratio = rng.randint(2, 4)
        while len(terms) < length:
            terms.append(terms[-1] * ratio)
    elif level == 1:
        terms = [rng.randint(1, 9), rng.randint(1, 9)]
        while len(terms) < length + 1:
            terms.append(terms[-1] + terms[-2])
    else:
        change = rng.randint(1, 5)
        terms = [start]
        while len(terms) < max(5, length):
            terms.append(terms[-1] + step)
            step += change
    listed = ", ".join(map(str, terms))
    return rng.choice(
        (
            f"What comes next: {listed}?",
            f"Which number comes next in the sequence {listed}?",
            f"Continue the sequence: {listed}, …",
            f"What is the next term of the series {listed}?",
        )
    )


SEQUENCES = Family(
    name="sequences",
    example="What comes next: 2, 4, 8, 16?",
    method=(
        "The differences between neighbours are written down.",
        "Where they are not constant, the ratios are looked at.",
        "Where those vary too, each term may build on the two before it.",
        "The rule found reproduces every term that is given.",
    ),
    write=_write,
    read=_read,
)
