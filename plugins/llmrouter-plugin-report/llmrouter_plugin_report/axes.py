"""Axes: from a figure to a place on the page, with round numbers marked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

_WORTH_A_LOG = 12.0  # dearest over cheapest from which a linear axis would crowd the cheap ones


@frozen(kw_only=True)
class Axis:
    """A range of figures laid over a range of places.

    Attributes:
        low: Figure at *start*.
        high: Figure at *end*.
        start: Place of the lowest figure.
        end: Place of the highest figure.
        log: Whether equal steps are equal factors.
        zero: Place of figures that are not above zero on a log axis, left of *start*.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    zero: float = 0.0

    def __call__(self, value: float) -> float:
        """Return the place of *value*."""
        if self.log:
            if value <= 0:
                return self.zero
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def at(self, place: float) -> float:
        """Return the figure at *place*."""
        part = (place - self.start) / (self.end - self.start)
        if self.log:
            return float(self.low * (self.high / self.low) ** part)
        return self.low + part * (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """Return up to about *most* round figures within the range."""
        if not self.log:
            return _linear(self.low, self.high, most)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for steps in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
            found = [s * 10.0**power for power in range(first, last + 1) for s in steps]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) <= most:
                return found
        return found[:: math.ceil(len(found) / most)]


def quality(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis of mean scores around *values*, with room on both sides."""
    low, high = min(values), max(values)
    room = max(0.08 * (high - low), 0.01)
    least, most = min(0.0, low), max(1.0, high)
    return Axis(low=max(least, low - room), high=min(most, high + room), start=start, end=end)


def cost(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis of dollars around *values*: logarithmic where their range asks for it.

    On a logarithmic axis what costs nothing stands left of a gap.
    """
    above = [value for value in values if value > 0]
    if not above:
        return Axis(low=0.0, high=0.001, start=start, end=end)
    low, high = min(above), max(above)
    if high / low < _WORTH_A_LOG:
        return Axis(low=0.0, high=1.08 * high, start=start, end=end)
    free = len(above) < len(values)
    room = (high / low) ** 0.06
    return Axis(
        low=low / room,
        high=high * room,
        start=start + (40.0 if free else 0.0),
        end=end,
        log=True,
        zero=start + 12.0,
    )


def _linear(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * number for number in range(first, last + 1)]
