"""Patterns that cannot hang: how they are compiled, and how much of a text they read."""

import math
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

LONGEST = 4000
"""Characters of a text that rules read: a longer one is cut to its head and its tail."""

_STEPS = 2e8  # that one search may need at worst: about a second


def cut(text: str) -> str:
    """Return what rules read of *text*."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n{text[-half:]}"


def compiled(pattern: str) -> re.Pattern[str]:
    """Return *pattern*, compiled.

    Raises:
        ValueError: It is no regular expression, or might search for very long.
    """
    try:
        found = re.compile(pattern)
        steps = LONGEST * _cost(import_module("re._parser").parse(pattern)).work
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"'pattern' is no regular expression: {error}") from error
    if steps > _STEPS:
        raise ValueError(
            "'pattern' might search for very long, for its repeats can share a text in too many "
            "ways; write {0,20} instead of *, keep repeats out of repeats, or use 'words'"
        )
    return found


def any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern that finds any of *phrases* as whole words, whatever their case."""
    either = "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


class _Cost(NamedTuple):
    """What matching costs from one place of a text, at most.

    Attributes:
        ways: In how many ways it can match, all of which are tried where what follows fails.
        work: How many signs are looked at until all have been found.
    """

    ways: float
    work: float


def _cost(sequence: Any) -> _Cost:
    """Return the cost of items that follow each other: each starts from all ways of the last."""
    ways, work = 1.0, 1.0
    for operator, argument in sequence:
        one = _item(operator.name, argument)
        work += ways * one.work
        ways *= one.ways
    return _Cost(ways, work)


def _item(operator: str, argument: Any) -> _Cost:
    match operator:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = argument
            cost = _repeated(_cost(inner), low, min(int(high), LONGEST))
            # What has matched possessively is never matched otherwise.
            return _Cost(1.0, cost.work) if operator == "POSSESSIVE_REPEAT" else cost
        case "SUBPATTERN":
            return _cost(argument[-1])
        case "ATOMIC_GROUP":
            return _Cost(1.0, _cost(argument).work)
        case "ASSERT" | "ASSERT_NOT":
            return _Cost(1.0, _cost(argument[1]).work)
        case "BRANCH":
            return _either(argument[1])
        case "GROUPREF_EXISTS":
            return _either(inner for inner in argument[1:] if inner is not None)
        case "GROUPREF":
            return _Cost(1.0, LONGEST)  # it compares as much as the group has found
        case _:
            return _Cost(1.0, 1.0)


def _either(branches: Iterable[Any]) -> _Cost:
    costs = [_cost(branch) for branch in branches]
    return _Cost(sum(cost.ways for cost in costs), sum(cost.work for cost in costs))


def _repeated(inner: _Cost, low: int, high: int) -> _Cost:
    """Return the cost of *low* to *high* rounds; each starts from all ways of the last."""
    rounds = max(high - low + 1, 1)
    if inner.ways <= 1 or high <= 1:
        return _Cost(rounds * inner.ways, max(high, 1) * inner.work)
    growth = math.inf if high * math.log(inner.ways) > 100 else inner.ways**high
    return _Cost(rounds * growth, growth * inner.work)
