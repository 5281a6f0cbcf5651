"""What a short Python program prints; programs are recognised by shape and never run."""

import re
from collections.abc import Callable
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_PROMPT = re.compile(
    r"(?:what\s+(?:does|will|is)|predict|give|tell\s+me)\b[^\n]*"
    r"(?:print|output|program|code|snippet)[^\n]*\n+(?P<code>.+)",
    re.IGNORECASE | re.DOTALL,
)
_FENCED = re.compile(r"```(?:python|py)?\s*\n(?P<code>.+?)\n?```", re.DOTALL)
_N = r"(-?\d{1,4})"


def _total(m: re.Match[str]) -> int:
    return sum(range(int(m[1]), int(m[2]))) * int(m[3])


def _product(m: re.Match[str]) -> int | None:
    start, end = int(m[1]), int(m[2])
    if end - start > 12:
        return None
    result = 1
    for factor in range(start, end):
        result *= factor
    return result


def _kept(m: re.Match[str]) -> list[int]:
    return [n for n in range(int(m[2]), int(m[3])) if n % max(1, int(m[4])) == 0]


def _listed(m: re.Match[str]) -> int:
    kept = _kept(m)
    return sum(kept) if m[1] == "sum" else len(kept)


def _halved(m: re.Match[str]) -> int | None:
    n, by, steps = int(m[1]), int(m[2]), 0
    if by < 2:
        return None
    while n > 1:
        n //= by
        steps += 1
    return steps


def _sliced(m: re.Match[str]) -> str:
    return m[1][int(m[2]) : int(m[3])]


def _stepped(m: re.Match[str]) -> str:
    return m[1][:: int(m[2])] if int(m[2]) else ""


def _picked(m: re.Match[str]) -> int | None:
    values = sorted([*map(int, m[1].split(",")), int(m[2])])
    place = int(m[3])
    return values[place] if -len(values) <= place < len(values) else None


_PROGRAMS: tuple[tuple[re.Pattern[str], float, Callable[[re.Match[str]], int | str | None]], ...]
_PROGRAMS = tuple(
    (re.compile(shape), difficulty, run)
    for shape, difficulty, run in (
        (rf"total = 0\nfor i in range\({_N}, {_N}\):\n    total \+= i \* {_N}\nprint\(total\)",
         0.6, _total),
        (rf"product = 1\nfor i in range\({_N}, {_N}\):\n    product \*= i\nprint\(product\)",
         0.8, _product),
        (rf"print\((sum|len)\(\[n for n in range\({_N}, {_N}\) if n % (\d{{1,3}}) == 0\]\)\)",
         0.7, _listed),
        (rf"n = {_N}\nsteps = 0\nwhile n > 1:\n    n = n // {_N}\n    steps \+= 1\nprint\(steps\)",
         1.0, _halved),
        (rf"word = '(\w{{1,40}})'\nprint\(word\[{_N}:{_N}\]\)", 0.1, _sliced),
        (rf"word = '(\w{{1,40}})'\nprint\(word\[::{_N}\]\)", 0.4, _stepped),
        (rf"values = \[(-?\d{{1,4}}(?:, -?\d{{1,4}}){{1,19}})\]\nvalues\.append\({_N}\)\n"
         rf"print\(sorted\(values\)\[{_N}\]\)", 0.3, _picked),
    )
)  # fmt: skip


def _read(text: str) -> Problem | None:
    prompt = _PROMPT.match(text)
    if prompt is None:
        return None
    fenced = _FENCED.search(prompt["code"])
    code = (fenced or prompt)["code"].strip().replace('"', "'")
    for shape, difficulty, run in _PROGRAMS:
        found = shape.fullmatch(code)
        printed = run(found) if found else None
        if isinstance(printed, int):
            return Problem(key=code, truth=str(printed), kind="number", difficulty=difficulty)
        if printed:
            return Problem(key=code, truth=printed, difficulty=difficulty, cased=True)
    return None


_WORDS = ("router", "python", "lighthouse", "bicycle", "umbrella", "keyboard", "avalanche")


def _write(rng: Random, level: Level) -> str:
    a, b = rng.randint(1, 6), rng.randint(8, 14)
    word = rng.choice(_WORDS)
    values = ", ".join(str(rng.randint(1, 60)) for _ in range(rng.randint(4, 6)))
    programs = (
        (
            f"word = '{word}'\nprint(word[{rng.randint(0, 2)}:{rng.randint(3, 5)}])",
            f"values = [{values}]\nvalues.append({rng.randint(1, 60)})\n"
            f"print(sorted(values)[{rng.choice((0, 1, -1, -2))}])",
        ),
        (
            f"word = '{word}'\nprint(word[::{rng.choice((2, 3, -1))}])",
            f"total = 0\nfor i in range({a}, {b}):\n    total += i * {rng.randint(2, 9)}\n"
            "print(total)",
        ),
        (
            f"print({rng.choice(('sum', 'len'))}([n for n in range({a}, {b * 4}) "
            f"if n % {rng.randint(3, 9)} == 0]))",
            f"n = {rng.randint(20, 999)}\nsteps = 0\nwhile n > 1:\n"
            f"    n = n // {rng.randint(2, 4)}\n    steps += 1\nprint(steps)",
            f"product = 1\nfor i in range({a}, {a + rng.randint(4, 6)}):\n    product *= i\n"
            "print(product)",
        ),
    )
    lead = rng.choice(
        (
            "What does this Python code print?",
            "What is the output of the following program?",
            "Predict the output of this Python snippet:",
        )
    )
    return f"{lead}\n\n```python\n{rng.choice(programs[level])}\n```"


CODE = Family(
    name="code",
    example="What does this Python code print?\n\nword = 'router'\nprint(word[1:4])",
    method=(
        "The program is followed line by line.",
        "A range stops before its end, and an index starts at zero.",
        "The variables are noted after every turn of the loop.",
        "Only the last line prints.",
    ),
    layout=True,
    write=_write,
    read=_read,
)
