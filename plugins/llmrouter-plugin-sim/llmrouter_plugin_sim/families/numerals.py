"""Roman numerals and other bases: `Write 1994 in Roman numerals.`."""

import re
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_SIGNS = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
    (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_BASES = {"binary": 2, "octal": 8, "hexadecimal": 16, "hex": 16}
_BASE = "|".join(_BASES)


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_TO_ROMAN = _shape(
    r"(?:write|convert|express|what\s+is)\s+(\d{1,4})\s+(?:in|to|into|as)\s+"
    r"(?:a\s+)?roman\s+numerals?[.?]?"
)
_FROM_ROMAN = _shape(
    r"(?:what\s+(?:number\s+)?is|convert|what\s+number\s+does)\s+(?:the\s+roman\s+numeral\s+)"
    r"([mdclxvi]{1,15})(?:\s+(?:to\s+a\s+number|in\s+digits|stand\s+for))?[.?]?"
)
_TO_BASE = _shape(
    rf"(?:write|convert|express|what\s+is)\s+(\d{{1,6}})\s+(?:in|to|into|as)\s+({_BASE})[.?]?"
)
_FROM_BASE = _shape(
    rf"(?:convert|what\s+is)\s+(?:the\s+)?({_BASE})\s+(?:number\s+)?(?:0[box])?([0-9a-f]{{1,16}})\s+"
    r"(?:in|to|as)\s+decimal[.?]?"
)


def roman(number: int) -> str:
    """Return *number* (1..3999) in Roman numerals."""
    text = ""
    for value, sign in _SIGNS:
        count, number = divmod(number, value)
        text += sign * count
    return text


def _value(numeral: str) -> int | None:
    """Return what *numeral* stands for, or None where it is not well formed."""
    values = {sign: value for value, sign in _SIGNS if len(sign) == 1}
    total = 0
    for here, after in zip(numeral, [*numeral[1:], ""], strict=True):
        value = values[here]
        total += -value if after and values[after] > value else value
    return total if 0 < total < 4000 and roman(total) == numeral else None


def _in_base(number: int, base: int) -> str:
    return {2: f"{number:b}", 8: f"{number:o}", 16: f"{number:x}"}[base]


def _read(text: str) -> Problem | None:
    if (found := _TO_ROMAN.fullmatch(text)) and 0 < int(found[1]) < 4000:
        truth = roman(int(found[1]))
        return Problem(key=f"roman {int(found[1])}", truth=truth, difficulty=_hard(truth, 15))
    if found := _FROM_ROMAN.fullmatch(text):
        value = _value(found[1].upper())
        return None if value is None else Problem(
            key=f"arabic {value}", truth=str(value), kind="number",
            difficulty=_hard(found[1], 15),
        )  # fmt: skip
    if found := _TO_BASE.fullmatch(text):
        base = _BASES[found[2].lower()]
        truth = _in_base(int(found[1]), base)
        prefix = {2: "0b", 8: "0o", 16: "0x"}[base]
        return Problem(
            key=f"base {base} {int(found[1])}", truth=truth, also=(prefix + truth,),
            difficulty=_hard(truth, 9),
        )  # fmt: skip
    if found := _FROM_BASE.fullmatch(text):
        try:
            value = int(found[2], _BASES[found[1].lower()])
        except ValueError:  # a digit that this base does not have
            return None
        return Problem(
            key=f"decimal {found[1].lower()} {value}", truth=str(value), kind="number",
            difficulty=_hard(found[2], 9),
        )  # fmt: skip
    return None


def _hard(text: str, longest: int) -> float:
    return min(1.0, len(text) / longest)


def _write(rng: Random, level: Level) -> str:
    number = rng.randint(*((3, 39), (40, 399), (400, 3999))[level])
    base = rng.choice(("binary", "hexadecimal", "octal"))
    small = number % (15, 255, 4095)[level] + 2
    return rng.choice(
        (
            f"Write {number} in Roman numerals.",
            f"What is {number} in Roman numerals?",
            f"What number is the Roman numeral {roman(number)}?",
            f"Convert the Roman numeral {roman(number)} to a number.",
            f"Convert {small} to {base}.",
            f"What is {small} in {base}?",
            f"What is the {base} number {_in_base(small, _BASES[base])} in decimal?",
        )
    )


NUMERALS = Family(
    name="numerals",
    example="Write 1994 in Roman numerals.",
    method=(
        "The largest sign that fits is taken out first.",
        "A smaller sign before a larger one is subtracted.",
        "In another base, each place is worth that base times the place after it.",
        "Turning the result back gives the number asked for.",
    ),
    write=_write,
    read=_read,
)
