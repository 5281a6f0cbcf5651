"""Numbers as people read them: one form for each kind of number, on every page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import TypeGuard

from llmrouter_core.cli.console import printable

UNKNOWN = "unknown"
"""What stands for a number that nobody knows."""

Interval = tuple[float, float]
Bounds = tuple[float | None, float | None] | None
Form = Callable[[float | None], str]


def known(value: float | None) -> TypeGuard[float]:
    """Return whether *value* is a number."""
    return value is not None and math.isfinite(value)


def whole(bounds: Bounds) -> Interval | None:
    """Return *bounds* if both ends are numbers."""
    if bounds is None or not known(bounds[0]) or not known(bounds[1]):
        return None
    return bounds[0], bounds[1]


def name(text: str, longest: int = 60) -> str:
    """Return the name of something on one line, cut in the middle if it is longer than that."""
    text = printable(" ".join(text.split())) or "(no name)"
    if len(text) <= longest:
        return text
    end = (longest - 1) // 3
    return f"{text[: longest - 1 - end]}…{text[-end:]}"


def width(text: str) -> float:
    """Return about how many times the size of its letters *text* is wide."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return 0.57 * (len(text) - wide) + wide


def count(value: int) -> str:
    """Return a number of things, such as `12,000`."""
    return f"{value:,}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share, such as `79.1 %`."""
    return f"{_minus(f'{100 * value:,.{digits}f}')}\u00a0%" if known(value) else UNKNOWN


def points(value: float | None) -> str:
    """Return a difference of shares in percentage points, such as `+3.8`."""
    if not known(value):
        return UNKNOWN
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else _minus(text)


def decimal(value: float | None) -> str:
    """Return a plain figure with three decimals, such as `0.512`."""
    return _minus(f"{value:.3f}") if known(value) else UNKNOWN


def dollars(value: float | None) -> str:
    """Return an amount of US dollars, such as `$1,204`, `$3.20` or `$0.0047`."""
    if not known(value):
        return UNKNOWN
    size = abs(value)
    if size >= 1000:
        text = f"{size:,.0f}"
    elif size >= 1 or size == 0:
        text = f"{size:.2f}"
    else:
        rounded = float(f"{size:.2e}")  # so that all amounts below a dollar have three digits
        text = f"{size:.{2 - math.floor(math.log10(rounded))}f}" if size > 1e-9 else "0.00"
    return f"{'−' if value < 0 else ''}${text}"


def per_thousand(value: float | None) -> str:
    """Return dollars a query as dollars per 1,000 queries."""
    return dollars(1000 * value) if known(value) else UNKNOWN


def between(bounds: Bounds, form: Form) -> str:
    """Return an interval in words, such as `+2.1 to +5.4`."""
    ends = whole(bounds)
    return UNKNOWN if ends is None else f"{form(ends[0])} to {form(ends[1])}"


def beside(value: float | None, bounds: Bounds, form: Form) -> str:
    """Return a figure and its interval, such as `79.1 % [77.0, 81.2]`."""
    ends = whole(bounds)
    if not known(value) or ends is None:
        return form(value)
    low, high = (form(end).removesuffix("\u00a0%") for end in ends)
    return f"{form(value)} [{low},\u00a0{high}]"


def _minus(text: str) -> str:
    return text.replace("-", "−")
