"""What the marks and lines of the plot stand for."""

from __future__ import annotations

from collections.abc import Sequence

from llmrouter_plugin_report.markup import Markup, tag
from llmrouter_plugin_report.points import marks
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.shapes import key, router


def legend(runs: Sequence[Run]) -> Markup:
    """Return one entry per kind of mark that the plot of *runs* shows."""
    found = []
    for number, run in enumerate(runs):
        who = "router" if len(runs) == 1 else f"router {run.name}"
        long = " along its trade-off, with its interval" if len(run.report.curve) > 1 else ""
        found.append((router(number), who + long))
    kinds = {mark.kind for mark in marks(runs)}
    words = {
        "single": "one model, always",
        "oracle": "oracle: the best model for each query",
        "random": "random choice",
    }
    found += [(kind, text) for kind, text in words.items() if kind in kinds]
    if "single" in kinds:
        found.append(("hull", "single models mixed at random"))
    return tag(
        "figcaption",
        tag("ul", *(tag("li", key(kind), text) for kind, text in found), class_="legend"),
    )
