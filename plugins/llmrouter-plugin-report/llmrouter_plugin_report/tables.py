"""The tables of figures: policies, savings, shares and tasks."""

from __future__ import annotations

from collections.abc import Sequence

from llmrouter_core.evaluation.report import Row, Slice

from llmrouter_plugin_report import bars
from llmrouter_plugin_report.content import Cell, Table
from llmrouter_plugin_report.figures import (
    beside,
    between,
    count,
    dollars,
    known,
    name,
    per_thousand,
    percent,
    points,
    whole,
)
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.saving import savings
from llmrouter_plugin_report.words import Sign, side

_SHARED_LEAST = 0.0005  # below it a share reads 0.0 %


def policies(runs: Sequence[Run]) -> Table:
    """Return the figures of each router, then those of the baselines of the first run."""
    rows = [_policy(run.router, _router(run, runs)) for run in runs]
    for row in runs[0].report.rows[1:]:
        model = runs[0].model(row.policy)
        rows.append(_policy(row, name(row.policy) + (f" ({model})" if model else "")))
    return Table(
        caption="Every policy on the same queries, with 95\u00a0% intervals",
        heads=(
            "policy",
            "mean score",
            "gain over best single, points",
            "US dollars per 1,000 queries",
            "regret, points",
        ),
        rows=tuple(rows),
    )


def singles(runs: Sequence[Run]) -> Table | None:
    """Return each model alone, the best first, or None if the reports have none."""
    found = {one.label: one for run in reversed(runs) for one in run.report.singles}
    order = sorted(found.values(), key=lambda o: (not known(o.quality), -_zero(o.quality)))
    if not order:
        return None
    return Table(
        caption="Each model alone, with 95\u00a0% intervals",
        heads=("model", "mean score", "US dollars per 1,000 queries"),
        rows=tuple(
            (
                name(one.label),
                beside(one.quality, one.quality_interval, percent),
                beside(one.cost, one.cost_interval, per_thousand),
            )
            for one in order
        ),
    )


def _zero(value: float) -> float:
    return value if known(value) else 0.0


def _router(run: Run, runs: Sequence[Run]) -> str:
    return "router" if len(runs) == 1 else f"router {run.name}"


def _policy(row: Row, label: str) -> tuple[Cell | str, ...]:
    gain = "–" if row.policy == "best single" else beside(row.gain, row.gain_interval, points)
    return (
        label,
        beside(row.quality, row.quality_interval, percent),
        gain,
        beside(row.cost, row.cost_interval, per_thousand),
        percent(row.regret).removesuffix("\u00a0%") if known(row.regret) else "–",
    )


def saved(runs: Sequence[Run], per_day: int) -> Table | None:
    """Return what each router saves in a month, or None if there is nothing to compare with."""
    rows: list[tuple[Cell | str, ...]] = []
    for run in runs:
        for one in savings(run, per_day):
            label = f"{one.policy}{f' ({one.model})' if one.model else ''}"
            if len(runs) > 1:
                label = f"{run.name} against {label}"
            rows.append(
                (
                    label,
                    dollars(one.month),
                    between(one.interval, dollars),
                    dollars(one.other),
                    dollars(one.router),
                    points(one.quality),
                )
            )
    if not rows:
        return None
    return Table(
        caption=f"US dollars a month at {count(per_day)} queries a day",
        heads=(
            "instead of always asking",
            "saved",
            "between",
            "it costs",
            "the router costs",
            "gain in score, points",
        ),
        rows=tuple(rows),
    )


def shares(runs: Sequence[Run]) -> Table | None:
    """Return how the queries are spread over the models, or None if nobody says."""
    models = {model for run in runs for model in run.router.shares}
    largest = {m: max(run.router.shares.get(m, 0.0) for run in runs) for m in models}
    used = [model for model in models if largest[model] >= _SHARED_LEAST]
    oracle = runs[0].row("oracle")
    if not used:
        return None
    rows = []
    for model in sorted(used, key=lambda model: (-largest[model], model)):
        row: list[Cell | str] = [name(model)]
        for run in runs:
            part = run.router.shares.get(model, 0.0)
            row.append(Cell(percent(part), bars.share(part)))
        if oracle is not None:
            row.append(percent(oracle.shares.get(model, 0.0)))
        rows.append(tuple(row))
    heads = tuple(_router(run, runs) for run in runs)
    return Table(
        caption="Share of the queries that each model answers",
        heads=("model", *heads, *(("oracle",) if oracle is not None else ())),
        rows=tuple(rows),
    )


def unused(runs: Sequence[Run]) -> list[str]:
    """Return the models that no router of *runs* asks."""
    models = dict.fromkeys(model for run in runs for model in run.router.shares)
    return [
        name(model)
        for model in models
        if all(run.router.shares.get(model, 0.0) < _SHARED_LEAST for run in runs)
    ]


def tasks(run: Run) -> Table:
    """Return the figures of each task, the largest loss first."""
    slices = sorted(run.report.tasks, key=_gained)
    reach = max((abs(end) for one in slices for end in _ends(one)), default=0.0) or 1.0
    rows = tuple(
        (
            name(one.task) if one.task else "(no task named)",
            _drawn(one, reach),
            _said(one),
            percent(one.router),
            percent(one.best_single),
            percent(one.oracle),
            count(one.queries),
        )
        for one in slices
    )
    return Table(
        caption="Tasks, the largest loss first: gain over the best single model, with 95\u00a0% "
        f"intervals drawn from {points(-reach)} to {points(reach)} points",
        heads=("task", "gain, points", "that is", "router", "best single", "oracle", "queries"),
        rows=rows,
        words=frozenset({2}),
    )


_SAID = {
    Sign.ABOVE: "better",
    Sign.BELOW: "worse",
    Sign.EITHER: "may be chance",
    Sign.UNKNOWN: "not known",
    Sign.FEW: "too few",
}


def _said(one: Slice) -> str:
    if one.gain == 0 and one.gain_interval == (0.0, 0.0):
        return "no difference"
    return _SAID[side(one.gain_interval)]


def _gained(one: Slice) -> tuple[bool, float, str]:
    return (not known(one.gain), _zero(one.gain), one.task)


def _ends(one: Slice) -> list[float]:
    return [value for value in (one.gain, *(whole(one.gain_interval) or ())) if known(value)]


def _drawn(one: Slice, reach: float) -> Cell:
    text = beside(one.gain, one.gain_interval, points)
    if not known(one.gain):
        return Cell(text)
    return Cell(text, bars.difference(one.gain, whole(one.gain_interval), reach))
