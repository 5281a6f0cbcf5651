"""Lines and marks of the plot: shapes differ, so that no one needs the colours."""

from __future__ import annotations

from llmrouter_plugin_report.markup import Markup, join, tag

Places = list[tuple[float, float]]

_ROUTERS = 4
_OUTLINES: dict[str, Places] = {
    "router-1": [(-6, -6), (6, -6), (6, 6), (-6, 6)],
    "router-2": [(0, -8), (7, 6), (-7, 6)],
    "router-3": [(0, -8), (8, 0), (0, 8), (-8, 0)],
    "oracle": [
        *((0, -8), (2, -2.5), (8, -2.5), (3, 1.5), (5, 7.5)),
        *((0, 4), (-5, 7.5), (-3, 1.5), (-8, -2.5), (-2, -2.5)),
    ],
}


def router(number: int) -> str:
    """Return the kind of mark of a run; a fifth looks like the first."""
    return f"router-{number % _ROUTERS}"


def key(kind: str) -> Markup:
    """Return the mark or line of *kind* on its own, for a legend."""
    ends = [(1.0, 8.0), (27.0, 8.0)]
    if kind == "hull":
        inside: Markup | None = line(ends, "hull")
    elif kind.startswith("router"):
        inside = join(line(ends, f"curve {kind}"), shape(kind, 14.0, 8.0))
    else:
        inside = shape(kind, 14.0, 8.0)
    return tag("svg", inside, viewBox="0 0 28 16", class_="key", aria_hidden="true")


def path(places: Places) -> str:
    """Return the path through *places*."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def line(places: Places, kind: str) -> Markup | None:
    """Return a line through *places*, or None if there are not two."""
    return tag("path", d=path(places), class_=f"line {kind}") if len(places) > 1 else None


def shape(kind: str, x: float, y: float) -> Markup:
    """Return the mark of *kind*."""
    css = f"mark {kind}"
    if kind == "random":
        strokes = f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"
        return tag("path", d=strokes, class_=css)
    if kind not in _OUTLINES:
        return tag("circle", cx=x, cy=y, r=6.5 if kind == "router-0" else 4.5, class_=css)
    return tag("path", d=path([(x + dx, y + dy) for dx, dy in _OUTLINES[kind]]) + "Z", class_=css)
