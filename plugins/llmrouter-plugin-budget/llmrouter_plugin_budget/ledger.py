"""A ledger that cannot be overdrawn: reserve first, settle later, exact from any thread."""

from threading import Lock

_UNITS = 10**12  # picodollars: whole numbers add up without rounding, whatever the order

SMALLEST = 1 / _UNITS
"""The smallest amount a ledger can hold, in dollars."""

_LARGEST = 1e30  # dollars; what claims to be more is counted as this


class Ledger:
    """What was spent and what is reserved, in dollars, under a limit.

    Args:
        limit: The most that may be spent and reserved together.
    """

    def __init__(self, limit: float) -> None:
        self._limit = _units(limit)
        self._spent = 0
        self._reserved = 0
        self._lock = Lock()

    @property
    def spent(self) -> float:
        """Dollars settled so far."""
        return self._spent / _UNITS

    @property
    def reserved(self) -> float:
        """Dollars set aside for calls that are under way."""
        return self._reserved / _UNITS

    @property
    def remaining(self) -> float:
        """Dollars that are neither spent nor reserved; never below 0."""
        with self._lock:
            return max(0, self._limit - self._spent - self._reserved) / _UNITS

    def reserve(self, dollars: float) -> bool:
        """Set *dollars* aside and return True, or return False where they do not fit.

        Nothing at all always fits, even in a ledger that is used up.
        """
        units = _units(dollars)
        with self._lock:
            if units and self._spent + self._reserved + units > self._limit:
                return False
            self._reserved += units
            return True

    def settle(self, reserved: float, spent: float) -> None:
        """Give back what was *reserved* and book what was really *spent*."""
        freed, booked = _units(reserved), _units(spent)
        with self._lock:
            self._reserved -= freed
            self._spent += booked


def _units(dollars: float) -> int:
    return round(min(max(dollars, 0.0), _LARGEST) * _UNITS)
