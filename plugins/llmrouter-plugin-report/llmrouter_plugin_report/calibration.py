"""Whether the predicted quality of each model can be taken at its word, as small plots."""

from __future__ import annotations

from llmrouter_core.evaluation.report import Calibration

from llmrouter_plugin_report.content import Table
from llmrouter_plugin_report.figures import beside, count, decimal, known, name, percent
from llmrouter_plugin_report.markup import Markup, tag
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.shapes import path

_SIDE = 156.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 26.0, 144.0, 8.0, 126.0


def plots(run: Run, prefix: str) -> Markup:
    """Return one small plot per model; their ids begin with *prefix*."""
    found = [
        tag("li", tag("figure", _plot(one, f"{prefix}-{number}"), _caption(one)))
        for number, one in enumerate(run.report.calibration)
    ]
    return tag("ul", *found, class_="small")


def table(run: Run) -> Table:
    """Return the figures of each model."""
    return Table(
        caption="How far predictions and scores are apart, 0 is perfect",
        heads=("model", "queries", "ECE", "Brier"),
        rows=tuple(
            (
                name(one.model),
                count(sum(bin_[2] for bin_ in one.bins)),
                beside(one.ece, one.ece_interval, decimal),
                beside(one.brier, one.brier_interval, decimal),
            )
            for one in run.report.calibration
        ),
    )


def _caption(one: Calibration) -> Markup:
    return tag(
        "figcaption",
        tag("strong", name(one.model, 40)),
        tag("span", f"ECE {decimal(one.ece)}, Brier {decimal(one.brier)}"),
    )


def _plot(one: Calibration, prefix: str) -> Markup:
    bins = [(p, y, n) for p, y, n in one.bins if known(p) and known(y)]
    most = max((n for _, _, n in bins), default=1) or 1
    at = [(_x(p), _y(y)) for p, y, _ in bins]
    said = "; ".join(f"{percent(p, 0)} predicted, {percent(y, 0)} seen" for p, y, _ in bins)
    return tag(
        "svg",
        tag("title", f"Calibration of {name(one.model)}", id=f"{prefix}-title"),
        tag("desc", f"{said or 'No bin is known'}.", id=f"{prefix}-summary"),
        *_frame(),
        tag("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="ideal"),
        tag("path", d=path(at), class_="line curve router-0") if len(at) > 1 else None,
        *(
            tag("circle", cx=x, cy=y, r=2 + 2.5 * (n / most) ** 0.5, class_="mark router-0")
            for (x, y), (_, _, n) in zip(at, bins, strict=True)
        ),
        viewBox=f"0 0 {_SIDE:.0f} {_SIDE:.0f}",
        role="img",
        aria_labelledby=f"{prefix}-title {prefix}-summary",
        font_size=10,
    )


def _frame() -> list[Markup]:
    found = []
    for value in (0.0, 0.5, 1.0):
        x, y, text = _x(value), _y(value), f"{100 * value:.0f}"
        grid = [
            tag("line", x1=x, x2=x, y1=_TOP, y2=_BOTTOM),
            tag("line", x1=_LEFT, x2=_RIGHT, y1=y, y2=y),
            tag("text", text, x=x, y=_BOTTOM + 12, text_anchor="middle"),
            tag("text", text, x=_LEFT - 4, y=y + 3.5, text_anchor="end"),
        ]
        found.append(tag("g", *grid, class_="grid"))
    middle = (_LEFT + _RIGHT) / 2
    axis = tag("text", "predicted, %", x=middle, y=_SIDE - 3, text_anchor="middle", class_="axis")
    return [*found, tag("g", axis, class_="grid")]


def _x(value: float) -> float:
    return _LEFT + min(max(value, 0.0), 1.0) * (_RIGHT - _LEFT)


def _y(value: float) -> float:
    return _BOTTOM - min(max(value, 0.0), 1.0) * (_BOTTOM - _TOP)
