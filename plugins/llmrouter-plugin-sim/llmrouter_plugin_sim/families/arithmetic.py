"""Arithmetic on whole and decimal numbers: `What is 17 * 23?`."""

import re
from fractions import Fraction
from random import Random

from llmrouter_plugin_sim.families.expressions import Malformed, Parser, tokens_of
from llmrouter_plugin_sim.problems import Family, Level, Problem

_LEAD = re.compile(
    r"(?:please\s+)?(?:what(?:'s|\s+is)|how\s+much\s+is|calculate|compute|evaluate|work\s+out|"
    r"solve)?\s*:?\s*",
    re.IGNORECASE,
)
_WORDS = (
    (re.compile(r"\bplus\b", re.IGNORECASE), "+"),
    (re.compile(r"\bminus\b|−|–", re.IGNORECASE), "-"),
    (re.compile(r"\btimes\b|\bmultiplied\s+by\b|×|·|(?<=\d)\s*x\s*(?=\d)", re.IGNORECASE), "*"),
    (re.compile(r"\bdivided\s+by\b|÷", re.IGNORECASE), "/"),
)
_TOKEN = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?(?![\d.])|[-+*/()])")
_LONGEST = 60  # tokens; every parenthesis is one, so recursion stays shallow


class _Parser(Parser[Fraction]):
    """Recursive descent over sums, products and parentheses, exact in fractions."""

    def outermost(self) -> Fraction:
        total = self._product()
        while self.tokens[0] in ("+", "-"):
            sign = 1 if self.tokens.pop(0) == "+" else -1
            total += sign * self._product()
        return total

    def _product(self) -> Fraction:
        total = self._atom()
        while self.tokens[0] in ("*", "/"):
            divide = self.tokens.pop(0) == "/"
            factor = self._atom()
            if divide and not factor:
                raise Malformed
            total = total / factor if divide else total * factor
        return total

    def _atom(self) -> Fraction:
        part = self.tokens.pop(0)
        if part == "-":
            return -self._atom()
        if part == "(":
            return self.closed()
        if not part[:1].isdigit():
            raise Malformed
        return Fraction(part)


def shown(value: Fraction) -> str:
    """Return *value* as people write it: whole, or with at most four decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.4f}".rstrip("0").rstrip(".")


def _read(text: str) -> Problem | None:
    lead = _LEAD.match(text)
    expression = text[lead.end() if lead else 0 :].rstrip(" \n?.=!")
    for pattern, sign in _WORDS:
        expression = pattern.sub(f" {sign} ", expression)
    tokens = tokens_of(expression.strip(), _TOKEN, _LONGEST)
    if not tokens or not any(part in "+-*/" for part in tokens[1:]):
        return None
    try:
        value = _Parser(tokens).value()
    except Malformed:
        return None
    numbers = [part for part in tokens if part[0].isdigit()]
    digits = max(len(part) for part in numbers)
    hard = sum((digits > 2, len(numbers) > 2, any(part in "*/" for part in tokens)))
    return Problem(
        key="".join(tokens),
        truth=shown(value),
        kind="number",
        difficulty=min(1.0, hard / 2),
        tolerance=0.0 if value.denominator == 1 else 0.005,
    )


def _write(rng: Random, level: Level) -> str:
    if level == 0:
        a, b = rng.randint(3, 99), rng.randint(3, 99)
        expression = rng.choice((f"{a} + {b}", f"{max(a, b)} - {min(a, b)}"))
    elif level == 1:
        expression = f"{rng.randint(3, 99)} * {rng.randint(3, 99)}"
    else:
        a, b, c = rng.randint(101, 999), rng.randint(12, 99), rng.randint(101, 999)
        expression = rng.choice((f"{a} * {b} + {c}", f"({a} + {c}) * {b}", f"{a} * {b} - {c}"))
    spoken = expression.replace("*", "times").replace("+", "plus").replace("-", "minus")
    wordings = [f"What is {expression}?", f"Calculate {expression}.", f"How much is {expression}?"]
    if "(" not in expression:
        wordings.append(f"What is {spoken}?")
    return rng.choice(wordings)


ARITHMETIC = Family(
    name="arithmetic",
    example="What is 17 * 23?",
    method=(
        "Parentheses come first, then products, then sums.",
        "A product is easiest when one factor is split into tens and ones.",
        "The partial results are added with care for every carry.",
        "A look at the last digit and the size confirms the result.",
    ),
    write=_write,
    read=_read,
)
