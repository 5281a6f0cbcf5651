"""Whether an answer is right: numbers are compared as numbers, words as whole words."""

import re

from llmrouter_plugin_sim.families.units import SPELLINGS
from llmrouter_plugin_sim.problems import Problem

_UNIT = "|".join(sorted((re.escape(word) for word in SPELLINGS), key=len, reverse=True))
_NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![)\]])[-−+])?"  # a minus after a digit or a parenthesis is an operation
    r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
    rf"(?=(?:{_UNIT})?(?![\w])(?!\.\d))(?!,\d{{3}}\b)",
    re.IGNORECASE,
)
_MARKER = re.compile(
    r"\b(?:(?:final\s+)?(?:answer|result)\s*(?:is|:|=)|it\s+prints)\s*:?\s*(?P<rest>[^\n]+)",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{(?P<rest>[^{}]*)\}")
_EQUATION = re.compile(r"[\d\s.,*/+×÷()−-]*=\s*")
_HEDGE = re.compile(r"\bor\b|\beither\b|\bmaybe\s+not\b", re.IGNORECASE)
_NOT = re.compile(r"\bnot\s+(?:\w+\s+){0,2}$|n't\s+(?:\w+\s+){0,2}$", re.IGNORECASE)


def score(answer: str, problem: Problem) -> float:
    r"""Return 1.0 if *answer* states the truth of *problem*, else 0.0.

    What follows the last `answer is` (or `answer:`, `result is`, `\\boxed{…}`) is the answer;
    without such a marker it is the last number, or any place where the word stands. An answer
    that names several candidates, or says `not` before the right one, is wrong.
    """
    marked = [*_MARKER.finditer(answer), *_BOXED.finditer(answer)]
    stated = marked[-1]["rest"] if marked else answer
    if problem.kind == "number":
        return float(_number_is(stated, problem, marked=bool(marked)))
    if problem.kind == "numbers":
        wanted = numbers(problem.truth)
        found = numbers(stated)
        return float(found == wanted if marked else found[-len(wanted) :] == wanted)
    return float(_text_is(stated, problem))


def numbers(text: str) -> list[float]:
    """Return the numbers that stand in *text*; `1,391` is one, `3, 5` are two."""
    return [_value(found) for found in _NUMBER.finditer(text)]


def _value(found: re.Match[str]) -> float:
    return float(found[0].replace(",", "").replace("−", "-"))


def _number_is(stated: str, problem: Problem, *, marked: bool) -> bool:
    found = list(_NUMBER.finditer(stated))
    if not found:
        return False
    chosen = found[0] if marked else found[-1]
    equation = _EQUATION.match(stated, chosen.start()) if marked else None
    if equation:  # "the answer is 17 * 23 = 391"
        chosen = next((one for one in found if one.start() >= equation.end()), chosen)
    if _NOT.search(stated[: chosen.start()]):
        return False
    truth = float(problem.truth)
    slack = problem.tolerance + 1e-9 * max(1.0, abs(truth))
    if _HEDGE.search(stated) and any(abs(_value(one) - truth) > slack for one in found):
        return False
    return abs(_value(chosen) - truth) <= slack


def _text_is(stated: str, problem: Problem) -> bool:
    flags = 0 if problem.cased else re.IGNORECASE

    def places(word: str) -> list[re.Match[str]]:
        return list(re.finditer(rf"(?<![\w-]){re.escape(word)}(?![\w-])", stated, flags))

    found = [place for word in (problem.truth, *problem.also) for place in places(word)]
    if not found or any(_NOT.search(stated[: place.start()]) for place in found):
        return False
    rivals = [word for word in problem.others if places(word)]
    return not rivals
