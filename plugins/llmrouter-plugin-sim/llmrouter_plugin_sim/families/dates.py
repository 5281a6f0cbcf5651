"""The calendar: `What day of the week was 2024-03-15?`."""

import re
from calendar import isleap
from datetime import date, timedelta
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_NAMES = "|".join(_MONTHS)
_DATE = (
    r"\d{4}-\d{1,2}-\d{1,2}|"
    rf"\d{{1,2}}\s(?:{_NAMES})\s\d{{4}}|"
    rf"(?:{_NAMES})\s\d{{1,2}},?\s\d{{4}}"
)


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_WEEKDAY = (
    _shape(
        rf"(?:what|which)\s+(?:day\s+of\s+the\s+week|weekday)\s+(?:is|was|will\s+be)\s+({_DATE})\??"
    ),
    _shape(
        rf"on\s+(?:what|which)\s+(?:day\s+of\s+the\s+week|weekday)\s+(?:does|did|will)\s+({_DATE})\s+fall\??"
    ),
)
_SHIFT = (
    _shape(
        rf"(?:what|which)\s+date\s+(?:is|was|comes)\s+(\d{{1,5}})\s+days?\s+(after|before)\s+({_DATE})\??"
    ),
    _shape(
        rf"(?:what|which)\s+is\s+the\s+date\s+(\d{{1,5}})\s+days?\s+(after|before)\s+({_DATE})\??"
    ),
)
_BETWEEN = (
    _shape(
        rf"how\s+many\s+days\s+(?:are\s+there\s+|lie\s+)?between\s+({_DATE})\s+and\s+({_DATE})\??"
    ),
    _shape(
        rf"how\s+many\s+days\s+(?:are\s+there\s+|is\s+it\s+)?from\s+({_DATE})\s+to\s+({_DATE})\??"
    ),
)
_LEAP = (_shape(r"(?:is|was)\s+(?:the\s+year\s+)?(\d{1,4})\s+a\s+leap\s+year\??"),)


def _date(text: str) -> date:
    """Return the date in *text*; a ValueError says that there is no such day."""
    if text[4:5] == "-":
        year, month, day = map(int, text.split("-"))
        return date(year, month, day)
    first, second, last = text.replace(",", "").split()
    name, number = (first, second) if second.isdigit() else (second, first)
    return date(int(last), _MONTHS.index(name.capitalize()) + 1, int(number))


def _spoken(day: date) -> tuple[str, str, str]:
    month = _MONTHS[day.month - 1]
    return (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{month} {day.day} {day.year}",
    )


def _match(shapes: tuple[re.Pattern[str], ...], text: str) -> re.Match[str] | None:
    return next((found for shape in shapes if (found := shape.fullmatch(text))), None)


def _read(text: str) -> Problem | None:
    try:
        return _solve(text)
    except (ValueError, OverflowError):  # no such day, or beyond the calendar
        return None


def _solve(text: str) -> Problem | None:
    if found := _match(_WEEKDAY, text):
        day = _date(found[1])
        truth = WEEKDAYS[day.weekday()]
        others = tuple(name for name in WEEKDAYS if name != truth)
        return Problem(key=f"weekday {day}", truth=truth, others=others, difficulty=0.9)
    if found := _match(_SHIFT, text):
        day, count = _date(found[3]), int(found[1])
        later = day + timedelta(days=count if found[2].lower() == "after" else -count)
        return Problem(
            key=f"{found[2].lower()} {day} {count}",
            truth=later.isoformat(),
            also=_spoken(later),
            difficulty=0.2 if count < 20 else 0.6 if count < 100 else 1.0,
        )
    if found := _match(_BETWEEN, text):
        start, end = _date(found[1]), _date(found[2])
        count = abs((end - start).days)
        return Problem(
            key=f"between {start} {end}",
            truth=str(count),
            kind="number",
            difficulty=0.2 if count < 20 else 0.6 if count < 100 else 1.0,
        )
    if (found := _match(_LEAP, text)) and int(found[1]):
        leap = isleap(int(found[1]))
        return Problem(
            key=f"leap {int(found[1])}",
            truth="yes" if leap else "no",
            others=("no" if leap else "yes",),
            difficulty=0.8 if int(found[1]) % 100 == 0 else 0.0,
        )
    return None


def _write(rng: Random, level: Level) -> str:
    day = date(1950, 1, 1) + timedelta(days=rng.randint(0, 30000))
    count = rng.randint(3, 18) if level == 0 else rng.randint(20, 400)
    first, later = (
        one.isoformat() if rng.random() < 0.6 else _spoken(one)[0]
        for one in (day, day + timedelta(days=count))
    )
    if level == 0 and rng.random() < 0.4:
        return f"Is {rng.choice((1800, 1900, 2000, 1996, rng.randint(1900, 2100)))} a leap year?"
    if level == 2 and rng.random() < 0.6:
        return rng.choice(
            (f"What day of the week was {first}?", f"On which weekday did {first} fall?")
        )
    return rng.choice(
        (
            f"What date is {count} days after {first}?",
            f"What is the date {count} days before {first}?",
            f"How many days are there between {first} and {later}?",
            f"How many days is it from {first} to {later}?",
        )
    )


DATES = Family(
    name="dates",
    example="What day of the week was 2024-03-15?",
    method=(
        "Months have different lengths, and leap years have one day more.",
        "Whole months are counted first and the remaining days after them.",
        "Weekdays repeat every seven days, so only the remainder counts.",
        "A century is a leap year only if it is divisible by four hundred.",
    ),
    write=_write,
    read=_read,
)
