"""A report as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmrouter_core.cli.console import grid, number

if TYPE_CHECKING:
    from rich.table import Table

    from llmrouter_core.evaluation import Interval, Report


def table(report: Report) -> Table:
    """Return *report* as a table: quality, cost per 1,000 queries, gain, 95 % intervals."""
    found = grid("policy", "quality", "$ per 1,000 queries", "gain over best single")
    for row in report.rows:
        cost = "-" if row.cost is None else _with(row.cost, row.cost_interval, 1000)
        gain = _with(row.gain, row.gain_interval, sign="+")
        found.add_row(row.policy, _with(row.quality, row.quality_interval), cost, gain)
    return found


def shares(report: Report) -> str:
    """Return in one line which models the router sends the queries to, and how many there are."""
    used = sorted(report.rows[0].shares.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{model} {share:.0%}" for model, share in used if share > 0)
    return f"{report.queries:,} queries; the router sends them to: {listed}"


def _with(value: float, interval: Interval | None, factor: float = 1.0, sign: str = "-") -> str:
    """Return a figure and its interval, such as `0.812 [0.79, 0.83]`."""
    if factor == 1.0:  # scores and their differences, all within -1..1
        figures = [f"{part:{sign}.3f}" for part in (value, *(interval or ()))]
    else:
        figures = [number(part * factor) for part in (value, *(interval or ()))]
    if value != value:  # nothing was recorded
        return "-"
    return figures[0] + (f" [{', '.join(figures[1:])}]" if interval else "")
