"""Names beside their points, none on another name, on a point or outside the plot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from attrs import frozen

from llmrouter_plugin_report.figures import width

_DISTANCES = (9.0, 16.0, 26.0, 38.0, 52.0)
_DIRECTIONS = (0, -45, 45, -90, 90, 180, -135, 135, -20, 20, -70, 70, -160, 160)
_LEADER = 15.0  # from this distance on a line leads from the point to its name


@frozen(kw_only=True)
class Box:
    """A rectangle on the page."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Return whether the two share any place."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        """Return whether all of it lies in *other*."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@frozen(kw_only=True)
class Label:
    """Where a name stands.

    Attributes:
        x: Where the text is anchored.
        y: Its base line.
        anchor: `start`, `middle` or `end`.
        leader: Ends of the line from the point, or None where the name is next to it.
    """

    x: float
    y: float
    anchor: str
    leader: tuple[float, float, float, float] | None


def around(x: float, y: float, radius: float) -> Box:
    """Return the box of a point."""
    return Box(left=x - radius, top=y - radius, right=x + radius, bottom=y + radius)


def along(places: Sequence[tuple[float, float]], radius: float = 2.0) -> list[Box]:
    """Return boxes that cover a line through *places*."""
    found = []
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(1, int(math.hypot(x1 - x0, y1 - y0) / 6))
        for step in range(steps + 1):
            part = step / steps
            found.append(around(x0 + part * (x1 - x0), y0 + part * (y1 - y0), radius))
    return found


def place(
    points: Sequence[tuple[float, float, str]],
    bounds: Box,
    size: float,
    taken: Iterable[Box],
    lines: Sequence[Box],
) -> list[Label | None]:
    """Return where the name of each of *points* stands, the first served first.

    Args:
        points: Place and name of each point.
        bounds: What no name leaves.
        size: Size of the letters.
        taken: Boxes that no name may cover.
        lines: Boxes that a name covers only if there is no other room.

    Returns:
        One label per point, None where there is no room.
    """
    boxes = [*taken, *(around(x, y, 5.5) for x, y, _ in points)]
    found: list[Label | None] = []
    for x, y, text in points:
        chosen = _try(x, y, text, bounds, size, [*boxes, *lines], boxes) or _try(
            x, y, text, bounds, size, boxes, boxes
        )
        found.append(chosen and chosen[0])
        if chosen:
            boxes.append(chosen[1])
            if chosen[0].leader:
                x0, y0, x1, y1 = chosen[0].leader
                boxes += along([(x0, y0), (x1, y1)], 1.0)
    return found


def _try(
    x: float,
    y: float,
    text: str,
    bounds: Box,
    size: float,
    boxes: Sequence[Box],
    solid: Sequence[Box],
) -> tuple[Label, Box] | None:
    """Return the nearest place clear of *boxes*, with a leader that crosses nothing *solid*."""
    long = size * width(text)
    for distance in _DISTANCES:
        for angle in _DIRECTIONS:
            along_x, along_y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            tip_x, tip_y = x + distance * along_x, y + distance * along_y
            anchor = "start" if along_x > 0.3 else "end" if along_x < -0.3 else "middle"
            left = tip_x - {"start": 0.0, "middle": long / 2, "end": long}[anchor]
            middle = tip_y + along_y * size / 2
            box = Box(
                left=left - 1,
                right=left + long + 1,
                top=middle - size * 0.6,
                bottom=middle + size * 0.6,
            )
            if not box.within(bounds) or any(box.meets(other) for other in boxes):
                continue
            leader = None
            if distance >= _LEADER:
                near, far = (x + 10 * along_x, y + 10 * along_y), (tip_x, tip_y)
                path = along([near, far], 1.0)
                if any(step.meets(other) for step in path for other in solid):
                    continue
                leader = (x + 5 * along_x, y + 5 * along_y, tip_x - 2 * along_x, tip_y)
            return Label(x=tip_x, y=middle + size * 0.35, anchor=anchor, leader=leader), box
    return None
