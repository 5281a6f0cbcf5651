"""Small deductions: orders of people, and expressions of true and false."""

import itertools
import re
from random import Random

from llmrouter_plugin_sim.families.expressions import Malformed, Parser, tokens_of
from llmrouter_plugin_sim.problems import Family, Level, Problem

_ADJECTIVES = (
    # comparative, its opposite, superlative, its opposite
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("heavier", "lighter", "heaviest", "lightest"),
)
_SIGN = {word: sign for more, less, *_ in _ADJECTIVES for word, sign in ((more, 1), (less, -1))}
_MEANING = {
    word: (more, sign)
    for more, less, most, least in _ADJECTIVES
    for word, sign in ((more, 1), (less, -1), (most, 1), (least, -1))
}
_FACT = re.compile(rf"([A-Z][a-z]+) is ({'|'.join(_SIGN)}) than ([A-Z][a-z]+)\.?")
_WHO = re.compile(r"Who is the (\w+)(?: of (?:them|all|the \w+))?\?")

_BOOLEAN = re.compile(
    r"(?:is\s+(?:this|the\s+following)\s+true\s+or\s+false|true\s+or\s+false|"
    r"what\s+is\s+the\s+truth\s+value\s+of|evaluate)\s*:?\s*(?P<e>[a-z() ]+?)\s*[.?]?",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\s*((?:true|false|and|or|not)(?![a-z])|[()])", re.IGNORECASE)
_LONGEST = 40  # tokens; bounds the recursion


class _Parser(Parser[bool]):
    """Recursive descent over `or`, `and`, `not` and parentheses, binding in that order."""

    def outermost(self) -> bool:
        result = self._both()
        while self.tokens[0] == "or":
            self.tokens.pop(0)
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._atom()
        while self.tokens[0] == "and":
            self.tokens.pop(0)
            result = self._atom() and result
        return result

    def _atom(self) -> bool:
        part = self.tokens.pop(0)
        if part == "not":
            return not self._atom()
        if part == "(":
            return self.closed()
        if part not in ("true", "false"):
            raise Malformed
        return part == "true"


def _read(text: str) -> Problem | None:
    return _order(text) or _truth(text)


def _truth(text: str) -> Problem | None:
    found = _BOOLEAN.fullmatch(text)
    tokens = tokens_of(found["e"].strip(), _TOKEN, _LONGEST) if found else None
    if not tokens or len(tokens) < 2:
        return None
    try:
        value = _Parser(tokens).value()
    except Malformed:
        return None
    operators = sum(part in ("and", "or", "not") for part in tokens)
    return Problem(
        key=" ".join(tokens),
        truth=str(value).lower(),
        others=(str(not value).lower(),),
        difficulty=min(1.0, (operators - 1) / 4),
    )


def _order(text: str) -> Problem | None:
    """Return the problem of a chain of comparisons that has exactly one answer."""
    question = _WHO.search(text)
    if question is None or question.end() != len(text) or question[1] not in _MEANING:
        return None
    adjective, sign = _MEANING[question[1]]
    facts = _FACT.findall(text[: question.start()])
    rest = _FACT.sub("", text[: question.start()]).strip()
    if not facts or rest or any(_MEANING[word][0] != adjective for _, word, _ in facts):
        return None
    above = {(a, b) if _SIGN[word] == sign else (b, a) for a, word, b in facts}
    names = {name for pair in above for name in pair}
    beaten = {low for _, low in above}
    tops = names - beaten
    if len(tops) != 1:
        return None
    truth = tops.pop()
    return Problem(
        key=f"{question[1]} " + " ".join(sorted(f"{a}>{b}" for a, b in above)),
        truth=truth,
        others=tuple(sorted(names - {truth})),
        difficulty=min(1.0, max(0.0, (len(names) - 3) / 3)),
    )


_PEOPLE = (
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jonas", "Kim",
    "Lena", "Mark", "Nora", "Oscar", "Paula",
)  # fmt: skip


def _write(rng: Random, level: Level) -> str:
    if rng.random() < 0.35:
        return _write_boolean(rng, level)
    more, less, most, least = rng.choice(_ADJECTIVES)
    people = rng.sample(_PEOPLE, 3 + level + (level == 2))  # the first is the most
    facts = [
        f"{a} is {more} than {b}." if rng.random() < 0.6 else f"{b} is {less} than {a}."
        for a, b in itertools.pairwise(people)
    ]
    rng.shuffle(facts)
    ending = rng.choice(("?", " of them?", " of all?"))
    return f"{' '.join(facts)} Who is the {rng.choice((most, least))}{ending}"


def _write_boolean(rng: Random, level: Level) -> str:
    def leaf() -> str:
        return rng.choice(("not ", "", "")) + rng.choice(("true", "false"))

    expression = f"{leaf()} {rng.choice(('and', 'or'))} {leaf()}"
    for _ in range(level):
        nested = f"{rng.choice(('not ', ''))}({expression})"
        expression = f"{leaf()} {rng.choice(('and', 'or'))} {nested}"
    lead = rng.choice(("Is the following true or false:", "True or false:", "Evaluate:"))
    return f"{lead} {expression}"


LOGIC = Family(
    name="logic",
    example="Anna is taller than Ben. Carla is shorter than Ben. Who is the tallest?",
    method=(
        "The statements are put in one order.",
        "A comparison that is turned around says the same from the other side.",
        "Parentheses are resolved from the inside out.",
        "No statement contradicts the conclusion.",
    ),
    write=_write,
    read=_read,
)
