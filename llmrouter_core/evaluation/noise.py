"""Noise in the wording that no reader would mind, to see which decisions hang on it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import frozen

from llmrouter_core.types import Query

KINDS = ("case", "whitespace", "punctuation", "typo", "politeness")
"""What `perturbed` may do to a text."""

_WRAPPERS = (
    "Please help me with this: {}",
    "Hi! {}",
    "{} Thank you!",
    "Could you tell me the following? {}",
    "{}\n\nThanks in advance.",
    "I have a question. {}",
)
_TYPOS = 80  # letters for each letter that is mistyped


@frozen
class Noisy:
    """A query with noise in it.

    Attributes:
        query: The query as perturbed.
        kind: What was done to it, one of `KINDS`.
    """

    query: Query
    kind: str


def perturbed(queries: Sequence[Query], seed: int) -> list[Noisy]:
    """Return each of *queries* with one kind of noise in its text, drawn from *seed*."""
    rng = Random(seed)  # noqa: S311 - nothing here is a secret
    found = []
    for query in queries:
        kind = rng.choice(KINDS)
        text = _CHANGES[kind](query.text, rng)
        found.append(Noisy(Query(text=text, user=query.user, facts=query.facts), kind))
    return found


def _case(text: str, rng: Random) -> str:
    return rng.choice((str.lower, str.upper, str.swapcase))(text)


def _whitespace(text: str, rng: Random) -> str:
    words = text.split(" ")
    for _ in range(max(1, len(words) // 10)):
        words.insert(rng.randrange(len(words) + 1), "")
    return " ".join(words) + rng.choice(("\n", "  ", "\n\n"))


def _punctuation(text: str, rng: Random) -> str:
    bare = text.rstrip()
    stripped = bare.rstrip("?!. ")
    if stripped and stripped != bare:
        return stripped + rng.choice(("", "??", " ."))
    return bare + rng.choice((".", "?", " ..."))


def _typo(text: str, rng: Random) -> str:
    letters = [
        place
        for place in range(len(text) - 1)
        if text[place].isalpha() and text[place + 1].isalpha()
    ]
    if not letters:
        return _whitespace(text, rng)
    chars = list(text)
    for place in rng.sample(letters, min(len(letters), max(1, len(letters) // _TYPOS))):
        how = rng.randrange(3)
        if how == 0:  # two letters change places
            chars[place], chars[place + 1] = chars[place + 1], chars[place]
        elif how == 1:  # one is typed twice
            chars[place] = chars[place] * 2
        else:  # one is left out
            chars[place] = ""
    return "".join(chars)


def _politeness(text: str, rng: Random) -> str:
    return rng.choice(_WRAPPERS).format(text)


_CHANGES = {
    "case": _case,
    "whitespace": _whitespace,
    "punctuation": _punctuation,
    "typo": _typo,
    "politeness": _politeness,
}
