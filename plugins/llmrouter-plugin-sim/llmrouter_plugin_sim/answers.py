"""What a simulated model says: right or wrong by a drawn outcome, and for how long."""

import hashlib
import math
from functools import lru_cache
from random import Random
from statistics import NormalDist

from attrs import frozen
from llmrouter_core.types import estimate_tokens

from llmrouter_plugin_sim.checker import score
from llmrouter_plugin_sim.families import FAMILIES, read
from llmrouter_plugin_sim.pool import cards
from llmrouter_plugin_sim.problems import Problem

_SHARED = 0.5
"""How much of a draw all models share: what is hard for one is often hard for all."""

_TRIES = 20
_PIECES = 16
"""The most pieces an answer is streamed in; a long one comes several words at a time."""


@frozen
class Reply:
    """An answer before it is sent.

    Attributes:
        text: All of it.
        pieces: The same, cut between words; joined they are the text.
        tokens: Output tokens, four characters each.
        pace: How much slower or faster than usual this answer comes, around 1.
        right: Whether the answer is right; None where the query belongs to no family.
    """

    text: str
    pieces: tuple[str, ...]
    tokens: int
    pace: float
    right: bool | None


@lru_cache(maxsize=8192)
def reply(seed: int, card: str, query: str) -> Reply:
    """Return what *card* answers; the same in every process, for it is drawn from a hash."""
    rng = _drawn(f"outcome\0{seed}\0{card}\0{query}")
    own, shared = _normal(rng), _normal(_drawn(f"outcome\0{seed}\0{query}"))
    outcome = NormalDist().cdf(math.sqrt(_SHARED) * shared + math.sqrt(1 - _SHARED) * own)
    pace = rng.uniform(0.8, 1.25)
    problem = read(query)
    if problem is None:
        example = rng.choice(list(FAMILIES.values())).example
        text = (
            f"I am {card}, a simulated model: I only answer questions from a few families that "
            f"can be generated and checked. Try: {example}"
        )
        return Reply(text, pieces(text), estimate_tokens(text), pace, None)
    behaviour = cards()[card]
    right = outcome < behaviour.chance(problem)
    stated = problem.truth if right else mistake(problem, rng)
    sentences = int(behaviour.verbosity + rng.random())
    text = " ".join((*_working(problem, sentences), f"The answer is {stated}."))
    return Reply(text, pieces(text), estimate_tokens(text), pace, right)


def _drawn(text: str) -> Random:
    """Return a generator seeded by a hash of *text*, alike in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()
    return Random(digest)  # noqa: S311 - a simulation, not cryptography


def _normal(rng: Random) -> float:
    """Return a draw from the standard normal distribution."""
    return NormalDist().inv_cdf(rng.random() or 0.5)


def _working(problem: Problem, sentences: int) -> tuple[str, ...]:
    method = FAMILIES[problem.family].method
    return tuple(method[place % len(method)] for place in range(sentences))


def pieces(text: str) -> tuple[str, ...]:
    """Return *text* cut between words into at most sixteen pieces of about equal length."""
    words = [word for word in text.replace(" ", " \0").split("\0") if word]
    size = -(-len(words) // _PIECES) or 1
    return tuple("".join(words[n : n + size]) for n in range(0, len(words), size))


def mistake(problem: Problem, rng: Random) -> str:
    """Return a plausible wrong answer, made from the true one."""
    for _ in range(_TRIES):
        candidate = _perturbed(problem, rng)
        if not score(f"The answer is {candidate}.", problem):
            return candidate
    return "unknown"  # such as the letters of `oooo` in another order


def _perturbed(problem: Problem, rng: Random) -> str:
    if problem.others:
        return rng.choice(problem.others)
    if problem.kind == "number":
        return _near(problem.truth, rng)
    if problem.kind == "numbers":
        items = problem.truth.split(", ")
        place = rng.randrange(len(items) - 1)
        items[place], items[place + 1] = items[place + 1], items[place]
        return ", ".join(items) if len(set(items)) > 1 else ", ".join(items[1:])
    return _garbled(problem.truth, rng)


def _near(truth: str, rng: Random) -> str:
    """Return a number that a slip would give: one off, ten off, two digits swapped."""
    if "." in truth:
        decimals = len(truth.partition(".")[2])
        return f"{float(truth) * rng.choice((0.9, 1.1, 0.5, 2, 10)) + 0.1:.{decimals}f}"
    value = int(truth)
    slips = [value + 1, value + 2, value + 10]
    slips += [value - 1, value - 10] if value > 10 else [value - 1] if value > 0 else []
    if len(truth) > 2:
        place = rng.randrange(1, len(truth) - 1)
        slips.append(int(truth[:place] + truth[place + 1] + truth[place] + truth[place + 2 :]))
    return str(rng.choice(slips))


def _garbled(truth: str, rng: Random) -> str:
    """Return *truth* with one character changed, doubled or swapped with its neighbour."""
    place = rng.randrange(len(truth))
    if truth[place].isdigit():
        return truth[:place] + rng.choice("0123456789") + truth[place + 1 :]
    if len(truth) == 1 or rng.random() < 0.3:
        return truth[: place + 1] + truth[place:]
    place = min(place, len(truth) - 2)
    return truth[:place] + truth[place + 1] + truth[place] + truth[place + 2 :]
