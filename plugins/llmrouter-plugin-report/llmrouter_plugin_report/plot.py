"""The plot of cost and quality, drawn by hand as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from llmrouter_core.evaluation.curves import hull
from llmrouter_core.evaluation.report import Point

from llmrouter_plugin_report import axes
from llmrouter_plugin_report.figures import dollars, name, per_thousand, percent, whole
from llmrouter_plugin_report.labels import Box, Label, along, around, place
from llmrouter_plugin_report.markup import Markup, join, tag
from llmrouter_plugin_report.points import Mark, marks, placed
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.shapes import Places, line, path, router, shape


@frozen(kw_only=True)
class Size:
    """How large a plot is drawn.

    Attributes:
        name: What ids and classes call it.
        width: Units across; a unit is a pixel where there is room.
        height: Units down.
        letters: Size of the letters.
        longest: Letters of a name before it is cut.
        margin: Units left of the plot.
    """

    name: str
    width: float
    height: float
    letters: float
    longest: int
    margin: float


WIDE = Size(name="wide", width=860, height=500, letters=13, longest=28, margin=62)
NARROW = Size(name="narrow", width=360, height=400, letters=11.5, longest=18, margin=46)


def plot(runs: Sequence[Run], size: Size, title: str, summary: str) -> tuple[Markup, list[str]]:
    """Return the plot as SVG, and the names that found no room in it.

    Args:
        runs: The runs to draw, at least one with a point of known cost.
        size: How large.
        title: What it is.
        summary: What it shows, for those who do not see it.
    """
    points = marks(runs)
    curves = [placed(run.report.curve) for run in runs]
    spread = [mark.quality for mark in points]
    spread += [end for mark in points for end in whole(mark.quality_interval) or ()]
    for one in (point for curve in curves for point in curve):
        spread += [one.quality, *(whole(one.quality_interval) or ())]
    paid = [m.cost for m in points] + [p.cost or 0.0 for curve in curves for p in curve]
    bottom = size.height - 46
    frame = Box(left=size.margin, top=12, right=size.width - 14, bottom=bottom)
    across = axes.cost(paid, frame.left, frame.right)
    up = axes.quality(spread, frame.bottom, frame.top)
    zero = _hull(runs[0].report.singles, across, up)
    lines = [[(across(p.cost or 0.0), up(p.quality)) for p in curve] for curve in curves]
    clip = f"{size.name}-clip"
    names, lost = _names(points, size, across, up, frame, [zero, *lines])
    ids = f"{size.name}-title", f"{size.name}-summary"
    drawing = tag(
        "svg",
        tag("title", title, id=ids[0]),
        tag("desc", summary, id=ids[1]),
        tag("clipPath", _rectangle(frame), id=clip),
        _grid(across, up, frame, size),
        tag(
            "g",
            *(_band(curve, across, up, number) for number, curve in enumerate(curves)),
            line(zero, "hull"),
            *(line(places, f"curve {router(n)}") for n, places in enumerate(lines)),
            *(_knots(places, n) for n, places in enumerate(lines)),
            *(_bars(mark, across, up) for mark in reversed(points)),
            clip_path=f"url(#{clip})",
        ),
        *(_dot(mark, across, up) for mark in reversed(points)),
        names,
        viewBox=f"0 0 {size.width} {size.height}",
        class_=f"plot {size.name}",
        role="img",
        aria_labelledby=" ".join(ids),
        font_size=size.letters,
    )
    return drawing, lost


def _hull(singles: Sequence[Point], across: axes.Axis, up: axes.Axis) -> Places:
    """Return the hull of the single models, bent as a log axis bends straight lines."""
    found = placed(singles)
    x, y = hull(np.array([p.cost for p in found]), np.array([p.quality for p in found]))
    if not len(x):
        return []
    places: Places = []
    for left, right in zip(range(len(x) - 1), range(1, len(x)), strict=True):
        first, last = across(float(x[left])), across(float(x[right]))
        for step in range(25):
            cost = across.at(first + (last - first) * step / 24)
            if step == 0:
                cost = float(x[left])
            height = float(np.interp(cost, [x[left], x[right]], [y[left], y[right]]))
            places.append((across(cost), up(height)))
    places.append((across(float(x[-1])), up(float(y[-1]))))
    return [*places, (across.end, up(float(y[-1])))]


def _grid(across: axes.Axis, up: axes.Axis, frame: Box, size: Size) -> Markup:
    """Return both axes with their lines, numbers and names."""
    found = []
    for value in up.ticks(max(4, int(size.height / 60))):
        y = up(value)
        found.append(tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y))
        text = percent(value, 0 if up.high - up.low > 0.05 else 1)
        found.append(tag("text", text, x=frame.left - 6, y=y + 4, text_anchor="end"))
    ticks = across.ticks(max(4, int(size.width / 95)))
    if across.log and across.start > frame.left:
        ticks = [0.0, *ticks]
    for value in ticks:
        x = across(value)
        found.append(tag("line", x1=x, x2=x, y1=frame.top, y2=frame.bottom))
        text = _tick(value)
        anchor = "middle" if x < frame.right - 20 else "end"
        found.append(tag("text", text, x=x, y=frame.bottom + 17, text_anchor=anchor))
    scale = ", logarithmic" if across.log else ""
    found.append(
        tag(
            "text",
            f"US dollars per 1,000 queries{scale}",
            x=(frame.left + frame.right) / 2,
            y=size.height - 8,
            text_anchor="middle",
            class_="axis",
        )
    )
    middle = (frame.top + frame.bottom) / 2
    if size.margin > 50:
        found.append(
            tag(
                "text",
                "mean score",
                text_anchor="middle",
                class_="axis",
                transform=f"translate(14 {middle:.0f}) rotate(-90)",
            )
        )
    return tag("g", *found, class_="grid")


def _tick(value: float) -> str:
    text = dollars(1000 * value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rectangle(frame: Box) -> Markup:
    return tag(
        "rect",
        x=frame.left,
        y=frame.top,
        width=frame.right - frame.left,
        height=frame.bottom - frame.top,
    )


def _band(curve: Sequence[Point], across: axes.Axis, up: axes.Axis, number: int) -> Markup | None:
    """Return the area between the ends of the intervals along a curve."""
    ends = [(across(p.cost or 0.0), whole(p.quality_interval)) for p in curve]
    top = [(x, up(both[1])) for x, both in ends if both]
    bottom = [(x, up(both[0])) for x, both in ends if both]
    if len(top) < 2:
        return None
    return tag("path", d=path(top + bottom[::-1]) + "Z", class_=f"band {router(number)}")


def _knots(places: Places, number: int) -> Markup:
    kind = f"knot {router(number)}"
    return join(*(tag("circle", cx=x, cy=y, r=2, class_=kind) for x, y in places))


def _bars(mark: Mark, across: axes.Axis, up: axes.Axis) -> Markup:
    """Return both intervals of *mark* as lines."""
    x, y = across(mark.cost), up(mark.quality)
    kind = f"bar {mark.kind}"
    high, wide = whole(mark.quality_interval), whole(mark.cost_interval)
    found = []
    if high:
        found.append(tag("line", x1=x, x2=x, y1=up(high[0]), y2=up(high[1]), class_=kind))
    if wide:
        found.append(tag("line", y1=y, y2=y, x1=across(wide[0]), x2=across(wide[1]), class_=kind))
    return join(*found)


def _dot(mark: Mark, across: axes.Axis, up: axes.Axis) -> Markup:
    said = f"{mark.label}: {percent(mark.quality)}, {per_thousand(mark.cost)} per 1,000 queries"
    drawn = shape(mark.kind, across(mark.cost), up(mark.quality))
    return tag("g", tag("title", said), drawn)


def _names(
    points: Sequence[Mark],
    size: Size,
    across: axes.Axis,
    up: axes.Axis,
    frame: Box,
    lines: Sequence[Places],
) -> tuple[Markup, list[str]]:
    """Return the names of *points* where there is room, and those without."""
    texts = [name(mark.label, size.longest) for mark in points]
    at = [(across(mark.cost), up(mark.quality)) for mark in points]
    bars = []
    for mark, (x, y) in zip(points, at, strict=True):
        ends = whole(mark.quality_interval)
        if ends:
            bars += along([(x, up(ends[0])), (x, up(ends[1]))], 1.0)
        wide = whole(mark.cost_interval)
        if wide:
            bars += along([(across(wide[0]), y), (across(wide[1]), y)], 1.0)
    labels = place(
        [(x, y, text) for (x, y), text in zip(at, texts, strict=True)],
        frame,
        size.letters,
        [around(*at[n], 7.5) for n, mark in enumerate(points) if mark.kind != "single"],
        [box for places in lines for box in along(places)] + bars,
    )
    found, lost = [], []
    for mark, text, label in zip(points, texts, labels, strict=True):
        if label is None:
            lost.append(mark.label)
        else:
            found.append(_name(text, label, mark.kind))
    return tag("g", *found, class_="names"), lost


def _name(text: str, label: Label, kind: str) -> Markup:
    line = None
    if label.leader:
        x1, y1, x2, y2 = label.leader
        line = tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="leader")
    written = tag("text", text, x=label.x, y=label.y, text_anchor=label.anchor, class_=kind)
    return join(line, written)
