"""What the marks and lines of the plot stand for."""

from __future__ import annotations

from collections.abc import Sequence

from llmrouter_plugin_report.markup import Markup, tag
from llmrouter_plugin_report.plot import SHAPES, key, marks
from llmrouter_plugin_report.runs import Run


def legend(runs: Sequence[Run]) -> Markup:
    """Return one entry per kind of mark that the plot of *runs* shows."""
    found = []
    for number, run in enumerate(runs):
        who = "router" if len(runs) == 1 else f"router {run.name}"
        long = " along its trade-off, with its interval" if len(run.report.curve) > 1 else ""
        found.append((f"router-{number % SHAPES}", who + long))
    kinds = {mark.kind for mark in marks(runs)}
    words = {
        "single": "one model, always",
        "oracle": "oracle: the best model for each query",
        "random": "random choice",
    }
    found += [(kind, text) for kind, text in words.items() if kind in kinds]
    if "single" in kinds:
        found.append(("hull", "lots drawn between single models"))
    return tag(
        "figcaption",
        tag("ul", *(tag("li", key(kind), text) for kind, text in found), class_="legend"),
    )
