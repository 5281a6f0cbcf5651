"""Unit conversion: `Convert 5 km to miles.`."""

import re
from random import Random

import numpy as np
from attrs import frozen

from llmrouter_plugin_sim.problems import Family, Level, Problem


@frozen
class _Unit:
    """A unit: its dimension, its size in that dimension's base unit, and its zero there."""

    name: str
    dimension: str
    size: float
    zero: float = 0.0


_TABLE = (
    # name, dimension, size in base units, spellings
    ("millimetres", "length", 0.001, "mm millimetre millimeter millimetres millimeters"),
    ("centimetres", "length", 0.01, "cm centimetre centimeter centimetres centimeters"),
    ("metres", "length", 1.0, "m metre meter metres meters"),
    ("kilometres", "length", 1000.0, "km kilometre kilometer kilometres kilometers"),
    ("inches", "length", 0.0254, "in inch inches"),
    ("feet", "length", 0.3048, "ft foot feet"),
    ("miles", "length", 1609.344, "mi mile miles"),
    ("grams", "mass", 0.001, "g gram grams"),
    ("kilograms", "mass", 1.0, "kg kilogram kilograms kilo kilos"),
    ("pounds", "mass", 0.45359237, "lb lbs pound pounds"),
    ("ounces", "mass", 0.028349523125, "oz ounce ounces"),
    ("millilitres", "volume", 0.001, "ml millilitre milliliter millilitres milliliters"),
    ("litres", "volume", 1.0, "l litre liter litres liters"),
    ("gallons", "volume", 3.785411784, "gal gallon gallons"),
    ("seconds", "time", 1.0, "s sec second seconds"),
    ("minutes", "time", 60.0, "min minute minutes"),
    ("hours", "time", 3600.0, "h hour hours"),
    ("days", "time", 86400.0, "d day days"),
    ("weeks", "time", 604800.0, "week weeks"),
)
_UNITS = {
    spelling: _Unit(name, dimension, size)
    for name, dimension, size, spellings in _TABLE
    for spelling in spellings.split()
}
_UNITS |= dict.fromkeys(
    ("c", "°c", "celsius", "degrees celsius"), _Unit("degrees Celsius", "heat", 1.0, 273.15)
)
_UNITS |= dict.fromkeys(
    ("f", "°f", "fahrenheit", "degrees fahrenheit"),
    _Unit("degrees Fahrenheit", "heat", 5 / 9, 459.67 * 5 / 9),
)
_UNITS |= dict.fromkeys(("k", "kelvin", "kelvins"), _Unit("kelvins", "heat", 1.0))
SPELLINGS = frozenset(_UNITS)
"""Every way a unit may be written, in lower case."""

_AMOUNT = r"(?P<amount>-?\d{1,9}(?:\.\d{1,6})?)"
_FROM = r"(?P<from>°?[a-z]+(?:\s(?:celsius|fahrenheit))?)"
_TO = r"(?P<to>°?[a-z]+(?:\s(?:celsius|fahrenheit))?)"
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        rf"(?:please\s+)?(?:convert|express|change)\s+{_AMOUNT}\s*{_FROM}\s+(?:in)?to\s+{_TO}\.?",
        rf"(?:express|what(?:'s|\s+is|\s+are))\s+{_AMOUNT}\s*{_FROM}\s+in\s+{_TO}[.?]?",
        rf"how\s+many\s+{_TO}\s+(?:(?:are|is)\s+(?:there\s+)?)?(?:in\s+)?{_AMOUNT}\s*{_FROM}\??",
    )
)


def _read(text: str) -> Problem | None:
    found = next((match for shape in _SHAPES if (match := shape.fullmatch(text))), None)
    if found is None:
        return None
    start, end = _UNITS.get(found["from"].lower()), _UNITS.get(found["to"].lower())
    if start is None or end is None or start.dimension != end.dimension:
        return None
    value = (float(found["amount"]) * start.size + start.zero - end.zero) / end.size
    whole = abs(value - round(value)) < 1e-9 * max(1.0, abs(value))
    simple = (start.size / end.size) in (1000.0, 100.0, 0.001, 0.01, 10.0, 0.1)
    return Problem(
        key=f"{found['amount']} {start.name} {end.name}",
        truth=str(round(value)) if whole else _significant(value),
        kind="number",
        difficulty=0.0 if simple else 0.5 if start.dimension == "time" else 1.0,
        tolerance=0.0 if whole else abs(value) * 0.005,
    )


def _significant(value: float) -> str:
    """Return *value* with two decimals, or with four significant digits below one."""
    if abs(value) >= 1:
        return f"{value:.2f}"
    return np.format_float_positional(value, precision=4, fractional=False, trim="-")


_PAIRS = (
    (("kilometres", "metres"), ("kilograms", "grams"), ("litres", "millilitres")),
    (("hours", "minutes"), ("days", "hours"), ("weeks", "days"), ("minutes", "seconds")),
    (("kilometres", "miles"), ("pounds", "kilograms"), ("feet", "centimetres"),
     ("gallons", "litres"), ("degrees Celsius", "degrees Fahrenheit"), ("inches", "centimetres")),
)  # fmt: skip


def _write(rng: Random, level: Level) -> str:
    start, end = rng.choice(_PAIRS[level])
    if level and "degrees" not in start and rng.random() < 0.5:
        start, end = end, start
    amount = rng.randint(2, 60) if level < 2 else round(rng.uniform(2, 200), 1)
    if (start, end) in (("minutes", "hours"), ("hours", "days"), ("seconds", "minutes")):
        amount = rng.randint(2, 60) * 30
    return rng.choice(
        (
            f"Convert {amount} {start} to {end}.",
            f"What is {amount} {start} in {end}?",
            f"How many {end} are in {amount} {start}?",
            f"Express {amount} {start} in {end}.",
        )
    )


UNITS = Family(
    name="units",
    example="Convert 5 km to miles.",
    method=(
        "The factor between the two units decides.",
        "Going to a smaller unit the number grows, going to a larger one it shrinks.",
        "The amount is multiplied by the factor and rounded sensibly.",
        "The size of the result is plausible for the unit.",
    ),
    write=_write,
    read=_read,
)
