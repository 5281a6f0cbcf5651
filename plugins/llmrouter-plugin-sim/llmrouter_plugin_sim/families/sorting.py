"""Sorting and comparing numbers: `Which is larger, 0.9 or 0.11?`."""

import re
from decimal import Decimal
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_N = r"-?\d{1,9}(?:\.\d{1,6})?"
_LIST = rf"(?P<list>{_N}(?:\s*,\s*(?:and\s+)?{_N}|\s+and\s+{_N}){{2,19}})"


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_SORT = (
    _shape(
        r"(?:sort|order|arrange|put)\s+(?:these|the|the\s+following)\s+numbers\s+"
        r"(?:in(?:to)?\s+)?(?P<way>ascending|descending|increasing|decreasing)\s+order\s*:?\s*"
        rf"{_LIST}\.?"
    ),
    _shape(
        r"(?:sort|order)\s+(?:these\s+numbers\s+)?from\s+(?P<way>smallest\s+to\s+largest|"
        rf"largest\s+to\s+smallest)\s*:?\s*{_LIST}\.?"
    ),
)
_PAIR = _shape(
    rf"which\s+(?:number\s+)?is\s+(?P<way>larger|greater|bigger|smaller)\s*[,:]?\s*(?P<a>{_N})\s+or\s+"
    rf"(?P<b>{_N})\??"
)
_PICK = _shape(
    r"what\s+is\s+the\s+(?P<way>median|largest|smallest|second\s+largest|second\s+smallest)\s+"
    rf"(?:number\s+)?(?:of|in|among)\s+(?:the\s+numbers\s+)?{_LIST}\??"
)
_DOWN = ("descending", "decreasing", "largest to smallest")


def _numbers(text: str) -> list[Decimal]:
    return [Decimal(number) for number in re.findall(_N, text)]


def _way(found: re.Match[str]) -> str:
    return " ".join(found["way"].lower().split())


def _read(text: str) -> Problem | None:
    if found := next((match for shape in _SORT if (match := shape.fullmatch(text))), None):
        values = _numbers(found["list"])
        down = _way(found) in _DOWN
        return Problem(
            key=f"sort {down} {values}",
            truth=", ".join(map(str, sorted(values, reverse=down))),
            kind="numbers",
            difficulty=min(1.0, max(0.0, (len(values) - 3) / 6)),
        )
    if found := _PAIR.fullmatch(text):
        a, b = Decimal(found["a"]), Decimal(found["b"])
        if a == b:
            return None
        smaller = _way(found) == "smaller"
        truth = min(a, b) if smaller else max(a, b)
        trap = len(found["a"]) != len(found["b"]) and "." in found["a"] + found["b"]
        return Problem(
            key=f"{'smaller' if smaller else 'larger'} {sorted((a, b))}",
            truth=str(truth),
            kind="number",
            others=(str(b if truth == a else a),),
            difficulty=0.8 if trap else 0.0,
        )
    if found := _PICK.fullmatch(text):
        values, way = sorted(_numbers(found["list"])), _way(found)
        places = {"largest": -1, "smallest": 0, "second largest": -2, "second smallest": 1}
        if way == "median" and len(values) % 2 == 0:
            return None
        place = places.get(way, len(values) // 2)
        return Problem(
            key=f"{way} {values}",
            truth=str(values[place]),
            kind="number",
            difficulty=min(1.0, len(values) / 10 + (0.3 if way == "median" else 0.0)),
        )
    return None


def _write(rng: Random, level: Level) -> str:
    values = rng.sample(range(1, (60, 400, 2000)[level]), (4, 5, 9)[level])
    listed = ", ".join(map(str, values))
    if rng.random() < 0.35:
        whole = rng.randint(0, 12)
        a, b = f"{whole}.{rng.randint(1, 8)}{rng.randint(1, 9)}", f"{whole}.{rng.randint(2, 9)}"
        if level == 0:
            a, b = str(rng.randint(10, 99)), str(rng.randint(100, 199))
        return f"Which is {rng.choice(('larger', 'smaller'))}, {a} or {b}?"
    pick = rng.choice(("median", "second largest", "second smallest"))
    pick = "largest" if level == 0 else pick if len(values) % 2 else "second largest"
    return rng.choice(
        (
            f"Sort these numbers in {rng.choice(('ascending', 'descending'))} order: {listed}",
            f"Sort from {rng.choice(('smallest to largest', 'largest to smallest'))}: {listed}",
            f"What is the {pick} of {listed}?",
        )
    )


SORTING = Family(
    name="sorting",
    example="Which is larger, 0.9 or 0.11?",
    method=(
        "The numbers are compared from their highest place downwards.",
        "Decimals of different lengths are filled up with zeros first.",
        "The next number in order is picked until none is left.",
        "As many numbers come out as went in.",
    ),
    write=_write,
    read=_read,
)
