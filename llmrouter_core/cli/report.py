"""A report as a table for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmrouter_core.cli.console import grid, number

if TYPE_CHECKING:
    from rich.table import Table

    from llmrouter_core.evaluation import Interval, Report


def table(report: Report) -> Table:
    """Return *report* as a table that fits 80 columns, every figure with its 95 % interval.

    Quality is in percent, the gain over the best single model in percentage points.
    """
    found = grid("policy", "quality, %", "$ per 1,000 queries", "gain over best")
    for row in report.rows:
        found.add_row(
            row.policy,
            _with("{:.1f}", row.quality, row.quality_interval),
            _with("", row.cost, row.cost_interval),
            _with("{:+.1f}", row.gain, row.gain_interval),
        )
    return found


def shares(report: Report) -> str:
    """Return in one line which models the router sends the queries to, and how many there are."""
    used = sorted(report.rows[0].shares.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{model} {share:.0%}" for model, share in used if share > 0)
    return f"{report.queries:,} queries; the router sends them to: {listed}"


def _with(form: str, value: float | None, interval: Interval | None) -> str:
    """Return a figure and its interval, such as `81.2 [79.0, 83.1]`.

    With a *form* it is a share, shown in percent; without one it is dollars, shown per 1,000.
    """
    if value is None or interval is None or math.isnan(value):
        return "-"
    if form:
        figures = [form.format(100 * part) for part in (value, *interval)]
    else:
        figures = [number(1000 * value), *(number(1000 * part, 2) for part in interval)]
    return "{} [{}, {}]".format(*figures)
