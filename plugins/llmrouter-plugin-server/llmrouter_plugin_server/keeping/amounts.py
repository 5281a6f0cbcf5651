"""Money as whole picodollars: integers add up without rounding, in any order and in any process.

A token can cost less than a microdollar, and sums of floats depend on the order in which calls
end; a ledger of them would neither equal the sum of what it booked nor be the same twice.
"""

from __future__ import annotations

import math

UNITS = 10**12
"""Picodollars of a dollar."""

LARGEST = 10**6
"""Dollars; what claims to be more is counted as this, so that sums fit 64 bits."""


def units(dollars: float) -> int:
    """Return *dollars* as whole picodollars, from 0 to `LARGEST`; what is no number is `LARGEST`.

    Whoever cannot say what a call costs must not get it for nothing.
    """
    if math.isnan(dollars):
        return LARGEST * UNITS
    return round(min(max(dollars, 0.0), LARGEST) * UNITS)


def shown(amount: int) -> str:
    """Return picodollars as dollars to read."""
    return f"${amount / UNITS:,.6g}"
