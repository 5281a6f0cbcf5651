"""The summary figures of the literature, each with what it means."""

from __future__ import annotations

from collections.abc import Sequence

from llmrouter_core.evaluation.report import Figure, Report

from llmrouter_plugin_report.content import Table
from llmrouter_plugin_report.figures import Form, beside, decimal, known, name, percent, points
from llmrouter_plugin_report.runs import Run

_FIGURES: tuple[tuple[str, str, Form, str], ...] = (
    ("aiq", "AIQ", decimal, "mean height of the router's curve over the costs of the models"),
    ("zero_aiq", "AIQ of the Zero router", decimal, "the same of single models mixed at random"),
    ("aiq_gain", "AIQ above the Zero router", decimal, "the difference, on the same resamples"),
    (
        "quality_at_cost",
        "points at equal cost",
        points,
        "mean score above best single at the cost of best single",
    ),
    (
        "cost_at_quality",
        "cost at equal quality",
        percent,
        "of the cost of best single, for the same mean score",
    ),
    ("pgr", "PGR", decimal, "share of the gap between a weak and a strong model recovered"),
    (
        "apgr",
        "APGR",
        decimal,
        "its mean over all shares of strong calls; 0.5 is chance",
    ),
    ("cpt50", "CPT(50 %)", percent, "of calls to the strong model recover half of the gap"),
    ("cpt80", "CPT(80 %)", percent, "of calls to the strong model recover 80 % of the gap"),
    ("flip_rate", "flip rate", percent, "of queries go elsewhere after small changes in wording"),
)


_REACHED = ("cost_at_quality", "cpt50", "cpt80")  # no finite number: there is no such place


def table(runs: Sequence[Run]) -> Table | None:
    """Return the summary figures that any of *runs* has, or None if there is none."""
    rows = []
    for field, label, form, meaning in _FIGURES:
        found = [getattr(run.report, field) for run in runs]
        if any(figure is not None for figure in found):
            rows.append((label, *(_text(figure, form, field) for figure in found), meaning))
    if not rows:
        return None
    heads = ("value",) if len(runs) == 1 else tuple(run.name for run in runs)
    return Table(
        caption="Summary figures of the literature, with 95\u00a0% intervals",
        heads=("figure", *heads, "meaning"),
        rows=tuple(rows),
        words=frozenset({len(heads) + 1}),
    )


def pair(report: Report) -> str:
    """Return which models the recovered gap lies between, or nothing."""
    if report.pair is None:
        return ""
    weak, strong = map(name, report.pair)
    return f"PGR, APGR and CPT are about the gap between {weak} (weak) and {strong} (strong)."


def _text(figure: Figure | None, form: Form, field: str) -> str:
    if figure is None:
        return "–"
    if not known(figure.value) and field in _REACHED:
        return "never reached"
    return beside(figure.value, figure.interval, form)
