"""The points of the plot: routers, single models, oracle and random."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from llmrouter_core.evaluation.report import Point, Row

from llmrouter_plugin_report.figures import Bounds, known, name
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.shapes import router


@frozen(kw_only=True)
class Mark:
    """A point of the plot.

    Attributes:
        label: Its name.
        kind: Its class, which gives shape and colour.
        quality: Mean score.
        quality_interval: Its interval.
        cost: Dollars a query.
        cost_interval: Its interval.
    """

    label: str
    kind: str
    quality: float
    quality_interval: Bounds
    cost: float
    cost_interval: Bounds


def marks(runs: Sequence[Run]) -> list[Mark]:
    """Return the points of *runs* whose place is known, the most important first."""
    found = []
    for number, run in enumerate(runs):
        label = "router" if len(runs) == 1 else run.name
        found.append(_mark(run.router, label, router(number)))
    for policy in ("oracle", "random"):
        found.append(_mark(runs[0].row(policy), policy, policy))
    seen = set()
    for run in runs:
        for one in ranked(run.report.singles):
            if one.label not in seen:
                seen.add(one.label)
                found.append(_mark(one, name(one.label), "single"))
    return [mark for mark in found if mark is not None]


def ranked(singles: Sequence[Point]) -> list[Point]:
    """Return *singles* in the order in which they may be named: those worth their cost first."""
    best = -1.0
    worth = set()
    for one in placed(singles):
        if one.quality > best:
            worth.add(one.label)
            best = one.quality
    return sorted(singles, key=lambda one: (one.label not in worth, -_number(one.quality)))


def unplaced(runs: Sequence[Run]) -> list[str]:
    """Return the models whose cost or quality is unknown, and which no plot can show."""
    points = [point for run in runs for point in run.report.singles]
    lost = [p.label for p in points if not (known(p.cost) and known(p.quality))]
    return [name(label) for label in dict.fromkeys(lost)]


def placed(points: Sequence[Point]) -> list[Point]:
    """Return the points whose place is known, cheapest first."""
    found = [point for point in points if known(point.cost) and known(point.quality)]
    return sorted(found, key=lambda point: (point.cost or 0.0, point.quality))


def _mark(found: Point | Row | None, label: str, kind: str) -> Mark | None:
    if found is None or not known(found.cost) or not known(found.quality):
        return None
    return Mark(
        label=label,
        kind=kind,
        quality=found.quality,
        quality_interval=found.quality_interval,
        cost=found.cost,
        cost_interval=found.cost_interval,
    )


def _number(value: float) -> float:
    return value if known(value) else -1.0
