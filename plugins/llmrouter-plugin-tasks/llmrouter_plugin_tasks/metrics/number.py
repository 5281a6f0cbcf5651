"""Find the number an answer gives, and compare it exactly.

Numbers are read as in English: a comma before three digits separates thousands, a point is a
decimal point, and units, currencies and full stops around them do not count.
"""

import re
import unicodedata
from fractions import Fraction

from attrs import frozen

from llmrouter_plugin_tasks.metrics.spoken import spoken

_TOLERANCE = Fraction(1, 10**6)  # relative: what floating point leaves
_LARGEST = 400  # exponents beyond this are no answer to anything
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_SCALES |= {"trillion": 10**12, "k": 10**3}
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_ONES += " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_ONES.split())}
_WORDS |= {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_PLAIN = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)\]}}])[-+])?[$€£¥]?"
    r"(?:"
    r"(?:(?P<whole>\d+)[ -]?)?\\frac\{(?P<top>-?\d+)\}\{(?P<bottom>\d+)\}"
    r"|(?P<mixed>\d+)[ -](?P<over>\d+)/(?P<under>\d+)(?![\d/])"
    rf"|(?P<plain>{_PLAIN})"
    r"(?:/(?P<per>\d+(?:\.\d+)?)(?![\d/]))?"
    r"(?:[eE](?P<e>[-+]?\d+)(?![\d\w])|\s?(?:x|×|\*|·)\s?10(?:\^|\*\*)\(?(?P<ten>[-+]?\d+)\)?)?"
    r"(?:\^|\*\*)?(?P<power>(?<=\^)-?\d+|(?<=\*\*)-?\d+)?"
    r")"
    r"(?P<scale>(?:\s?-?(?:hundred|thousand|million|billion|trillion)\b)+|k\b)?"
    r"(?P<percent>\s?(?:%|percent\b|per cent\b))?",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\banswer\b(?:\s+(?:to|for|of)\s[^.\n:=]{1,60}?\s(?:is|was)\b|\s+(?:is|was)\b|\s*[:=])?"
    r"|\\f?boxed\s*\{",
    re.IGNORECASE,
)
_NEAR, _MARKS = 1_000, 20  # characters of a statement, and statements, that are looked at


@frozen
class Value:
    """A number as it was written.

    Attributes:
        value: The number; of 50% it is 50.
        percent: Whether a percent sign follows.
    """

    value: Fraction
    percent: bool = False

    @property
    def readings(self) -> set[Fraction]:
        """What the number may mean: a percentage is also a share of one."""
        return {self.value, self.value / 100} if self.percent else {self.value}


def numbers(text: str) -> list[Value]:
    """Return every number of *text*, in order; in words only where there are no digits."""
    text = _tidy(text)
    found = [value for value in map(_value, _NUMBER.finditer(text)) if value is not None]
    return found or _in_words(text)


def number(answer: str) -> Value | None:
    """Return the number *answer* settles on, or None where it has none.

    That is what follows the last `####`, else what is boxed, else what is said to be the answer,
    else the last number there is.
    """
    answer = spoken(answer)
    if "####" in answer:
        stated = numbers(answer.rpartition("####")[2].strip().partition("\n")[0])
        if stated:
            return stated[0]
    text = _tidy(answer)
    marks = list(_ANSWER.finditer(text))
    boxed = [match for match in marks if match[0][0] == "\\"]
    for match in reversed((boxed or marks)[-_MARKS:]):
        value = _stated(text[match.end() : match.end() + _NEAR], bool(boxed))
        if value is not None:
            return value
    found = numbers(answer)
    return found[-1] if found else None


def same_number(answer: str, reference: str) -> bool:
    """Return whether *answer* settles on the number that *reference* gives."""
    mine, theirs = number(answer), number(reference)
    if mine is None or theirs is None:
        return False
    if mine.percent and theirs.percent:
        return _close(mine.value, theirs.value)
    return any(_close(one, other) for one in mine.readings for other in theirs.readings)


def _close(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= _TOLERANCE * abs(other)


def _stated(text: str, boxed: bool) -> Value | None:
    """Return the first number of the sentence *text* begins with, or what it comes to."""
    if boxed:
        end = _closing(text)
        sentence = text[:end]
    else:
        sentence = re.split(r"\n\s*\n|[.!?](?=\s|$)", text.lstrip("*_ :\n"), maxsplit=1)[0]
    _, equals, result = sentence.rpartition("=")
    if equals and numbers(result):
        sentence = result
    sentence = re.sub(r"\bnot\s+[-$€£¥]*[\d.,/]*\d", " ", sentence)
    found = numbers(sentence)
    return found[0] if found else None


def _closing(text: str) -> int:
    depth = 1
    for place, mark in enumerate(text):
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            return place
    return len(text)


def _tidy(text: str) -> str:
    """Return *text* in plain characters: `1½` is `1 1/2`, `10³` is `10^3`, `−` is `-`."""
    marks: list[str] = []
    for mark in text:
        value = unicodedata.decomposition(mark)
        if value.startswith("<fraction>"):
            parts = unicodedata.normalize("NFKC", mark).replace("⁄", "/")
            marks.append((" " if marks and marks[-1][-1:].isdigit() else "") + parts)
        elif value.startswith("<super>") and unicodedata.normalize("NFKC", mark) in "0123456789−":
            raised = bool(marks) and marks[-1].startswith("^")
            digit = unicodedata.normalize("NFKC", mark)
            if raised:
                marks[-1] += digit
            else:
                marks.append("^" + digit)
        else:
            marks.append(mark)
    text = "".join(marks)
    text = re.sub(r"(?<=\d)[\u00a0\u202f\u2009'’_](?=\d{3}(?!\d))", "", text)
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("⁄", "/")
    text = re.sub(r"\\(?:d|t|c)frac", r"\\frac", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\(?:left|right|[!,;: ])", "", text).replace("{,}", ",")
    text = text.replace("\\times", "×").replace("\\cdot", "·").replace("\\%", "%")
    text = re.sub(r"\\\$", "$", text)
    text = re.sub(r"\^\{([-+]?\d+)\}", r"^\1", text)
    text = re.sub(r"([=(:]\s*)-\s+(?=[$€£¥]?[\d.])", r"\1-", text)
    return re.sub(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}", r" \1", text)


def _value(match: re.Match[str]) -> Value | None:
    """Return the number of a match, or None where it is none, such as 1/0."""
    try:
        if match["top"]:
            value = Fraction(int(match["top"]), int(match["bottom"])) + int(match["whole"] or 0)
        elif match["mixed"]:
            value = int(match["mixed"]) + Fraction(int(match["over"]), int(match["under"]))
        else:
            value = Fraction(match["plain"].replace(",", "")) / Fraction(match["per"] or 1)
        raised = int(match["e"] or match["ten"] or 0)
        power = int(match["power"] or 1)
        if abs(raised) > _LARGEST or abs(power) > _LARGEST:
            return None
        value = value**power * Fraction(10) ** raised
    except (ValueError, ZeroDivisionError):
        return None
    for word in re.findall(r"[a-z]+", (match["scale"] or "").lower()):
        value *= _SCALES[word]
    return Value(-value if "-" in (match["sign"] or "") else value, bool(match["percent"]))


def _in_words(text: str) -> list[Value]:
    """Return numbers written out, such as "one hundred and five"."""
    found: list[Value] = []
    total, part, open_, negative = 0, 0, False, False
    for word in [*re.findall(r"[a-z]+", text.lower()), ""]:
        if word in _WORDS:
            part, open_ = part + _WORDS[word], True
        elif word == "hundred" and open_:
            part *= 100
        elif word in _SCALES and len(word) > 1 and open_:
            total, part = total + part * _SCALES[word], 0
        elif word == "and" and open_:
            continue
        else:
            if open_:
                value = Fraction(total + part)
                found.append(Value(-value if negative else value, word == "percent"))
            total, part, open_, negative = 0, 0, False, word in ("minus", "negative")
    return found
