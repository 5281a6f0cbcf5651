"""A report as tables for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrouter_core.cli.console import grid, number
from llmrouter_core.errors import DatasetError

if TYPE_CHECKING:
    from rich.table import Table

    from llmrouter_core.evaluation import Figure, Interval, Report, Row

FILE = "report.json"
"""Name of a report in the folder of a run."""


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


def figures(report: Report) -> Table:
    """Return the figures that follow from the rows and the curve, one a line."""
    found = grid("figure", "value")
    weak, strong = report.pair or ("", "")
    asked = [
        ("AIQ, mean quality over all costs, %", "{:.1f}", report.aiq),
        ("AIQ of the Zero router (no learning), %", "{:.1f}", report.zero_aiq),
        ("AIQ gained over the Zero router", "{:+.1f}", report.aiq_gain),
        ("quality at the cost of best single, gain", "{:+.1f}", report.quality_at_cost),
        ("cost at the quality of best single, %", "{:.1f}", report.cost_at_quality),
        (f"gap from {weak} to {strong} recovered (PGR), %", "{:.1f}", report.pgr),
        ("the same over all shares of calls (APGR), %", "{:.1f}", report.apgr),
        ("calls that recover half of it (CPT 50), %", "{:.1f}", report.cpt50),
        ("calls that recover 80 % of it (CPT 80), %", "{:.1f}", report.cpt80),
        ("choices that noise in the wording changes, %", "{:.1f}", report.flip_rate),
    ]
    for label, form, value in asked:
        if value is not None:
            found.add_row(label, _figure(form, value))
    return found


def details(report: Report) -> list[Table]:
    """Return what `--full` shows besides: regret, the curve, models, calibration, tasks."""
    regret = grid("policy", "regret, %", "answered")
    for row in report.rows:
        regret.add_row(
            row.policy, _with("{:.1f}", row.regret, row.regret_interval), f"{row.answered:,}"
        )
    tables = [regret, _points("tradeoff", report.curve), _points("model alone", report.singles)]
    if report.calibration:
        found = grid("predicted quality of", "calibration error, %", "Brier score")
        for one in report.calibration:
            found.add_row(
                one.model,
                _with("{:.1f}", one.ece, one.ece_interval),
                _plain(one.brier, one.brier_interval),
            )
        tables.append(found)
    if report.tasks:
        found = grid("task", "queries", "router, %", "best, %", "oracle, %", "gain over best")
        for task in report.tasks:
            shown = (f"{100 * part:.1f}" for part in (task.router, task.best_single, task.oracle))
            gain = _with("{:+.1f}", task.gain, task.gain_interval)
            found.add_row(task.task or "-", f"{task.queries:,}", *shown, gain)
        tables.append(found)
    return tables


def shares(report: Report) -> str:
    """Return which models the router sends the queries to, how many, and if scores are missing."""
    used = sorted(report.rows[0].shares.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{model} {share:.0%}" for model, share in used if share > 0)
    told = f"{report.queries:,} queries; the router sends them to: {listed}"
    return "\n".join([told, *missing(report.rows)])


def missing(rows: Sequence[Row]) -> list[str]:
    """Return a sentence where not every policy has a score for the same queries, else nothing."""
    few, many = (pick(row.answered for row in rows) for pick in (min, max))
    if few == many:
        return []
    return [
        f"scores are missing: each policy's quality is over the queries it has one for, "
        f"{few:,} to {many:,}; a gain is over those that both have"
    ]


def keep(report: Report, folder: Path) -> Path:
    """Write *report* as JSON into *folder*, which is made if need be, and return the file.

    Raises:
        DatasetError: It cannot be written.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def sources(**paths: Path) -> dict[str, Any]:
    """Return what a card says of the files that an evaluation read: name, size and SHA-256."""
    import hashlib

    found = {}
    for name, path in paths.items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[name] = {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}
    return {"data": found}


def _points(label: str, points: Any) -> Table:
    found = grid(label, "quality, %", "$ per 1,000 queries")
    for point in points:
        found.add_row(
            point.label,
            _with("{:.1f}", point.quality, point.quality_interval),
            _with("", point.cost, point.cost_interval),
        )
    return found


def _figure(form: str, found: Figure) -> str:
    return "never reached" if math.isinf(found.value) else _with(form, found.value, found.interval)


def _plain(value: float, interval: Interval | None) -> str:
    low, high = interval or (math.nan, math.nan)
    return f"{number(value)} [{number(low, 2)}, {number(high, 2)}]"


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
