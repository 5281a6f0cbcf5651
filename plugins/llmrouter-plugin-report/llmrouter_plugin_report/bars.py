"""Small drawings that stand in a cell of a table."""

from __future__ import annotations

from llmrouter_plugin_report.figures import Interval
from llmrouter_plugin_report.markup import Markup, tag

_LONG = 160.0
_HIGH = 16.0


def share(part: float) -> Markup:
    """Return a bar as long as *part*, from 0 to 1."""
    return tag(
        "svg",
        tag("rect", x=0, y=3, width=_LONG, height=10, class_="track"),
        tag("rect", x=0, y=3, width=_LONG * min(max(part, 0.0), 1.0), height=10, class_="fill"),
        viewBox=f"0 0 {_LONG:.0f} {_HIGH:.0f}",
        class_="cell",
        aria_hidden="true",
    )


def difference(value: float, ends: Interval | None, reach: float) -> Markup:
    """Return *value* and its interval on a line from minus *reach* to *reach*."""
    middle = _LONG / 2

    def at(place: float) -> float:
        return middle + min(max(place / reach, -1.0), 1.0) * (middle - 5)

    kind = "clear" if ends and (ends[0] > 0 or ends[1] < 0) else "chance"
    sign = "gain" if value > 0 else "loss"
    return tag(
        "svg",
        tag("line", x1=middle, x2=middle, y1=0, y2=_HIGH, class_="zero"),
        tag("line", x1=at(ends[0]), x2=at(ends[1]), y1=8, y2=8, class_=f"{kind} {sign}")
        if ends
        else None,
        tag("circle", cx=at(value), cy=8, r=4, class_=f"{kind} {sign}"),
        viewBox=f"0 0 {_LONG:.0f} {_HIGH:.0f}",
        class_="cell",
        aria_hidden="true",
    )
