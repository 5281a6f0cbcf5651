"""What people see: the estimate, the progress and what came of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from llmrouter_core import LLMRouterError
from llmrouter_core.cli.console import grid, number, say, warn
from llmrouter_core.outcomes import FAILED, STATUSES

from llmrouter_plugin_collect.journal import Journal
from llmrouter_plugin_collect.lanes import Lane
from llmrouter_plugin_collect.running import Run

_EVERY = 0.1  # seconds between two looks at the progress


def estimate(journal: Journal, expected_output: int) -> dict[str, Any]:
    """Return what the calls that are left would cost, by model, as plain data.

    Args:
        journal: What there is already.
        expected_output: Tokens of an answer where no model has answered yet.
    """
    plan, tally = journal.plan, journal.tally
    models: list[dict[str, Any]] = []
    for j, model in enumerate(plan.models):
        left = journal.status[j :: len(plan.models)]
        requests = [
            question.request
            for question, status in zip(plan.questions, left, strict=True)
            if not status or STATUSES[status] in FAILED
        ]
        costs = [tally.cost(model, request, expected_output) for request in requests]
        used = tally.models.get(model.name)
        models.append(
            {
                "model": model.name,
                "calls": len(requests),
                "input_tokens": sum(request.input_tokens for request in requests),
                "output_tokens_each": tally.output(model.name, expected_output),
                "answers_so_far": used.answers if used else 0,
                "cost": None if None in costs else sum(cost or 0.0 for cost in costs),
            }
        )
    known = [found["cost"] for found in models]
    return {
        "queries": len(plan.questions),
        "calls": sum(found["calls"] for found in models),
        "models": models,
        "cost": None if None in known else sum(known),
        "spent": tally.spent,
    }


def estimate_table(found: dict[str, Any]) -> Any:
    """Return the estimate as a table."""
    table = grid("model", "calls", "tokens in", "tokens out, each", "from answers", "$")
    for row in found["models"]:
        table.add_row(
            row["model"],
            f"{row['calls']:,}",
            f"{row['input_tokens']:,}",
            number(row["output_tokens_each"]),
            f"{row['answers_so_far']:,}",
            number(row["cost"]),
        )
    table.add_row("together", f"{found['calls']:,}", "", "", "", number(found["cost"]))
    return table


def summary(run: Run, rows: int) -> dict[str, Any]:
    """Return what became of every cell, by model, as plain data."""
    journal = run.journal
    plan, tally = journal.plan, journal.tally
    models: list[dict[str, Any]] = []
    for j, model in enumerate(plan.models):
        column = journal.status[j :: len(plan.models)]
        used = tally.models.get(model.name)
        counts = {status: column.count(code) for code, status in enumerate(STATUSES)}
        models.append({"model": model.name, **counts, "cost": used.spent if used else 0.0})
    open_ = sum(row[status] for row in models for status in ("unasked", *FAILED))
    return {
        "queries": len(plan.questions),
        "rows": rows,
        "asked": run.asked,
        "complete": not open_,
        "open": open_,
        "spent": tally.spent,
        "judging": tally.judged,
        "stopped": run.stopped or None,
        "given_up": run.given_up,
        "models": models,
    }


def summary_table(found: dict[str, Any]) -> Any:
    """Return what became of every cell as a table."""
    names = ("ok", "truncated", "refused", "timeout", "error", "unasked")
    table = grid("model", *names, "$")
    for row in found["models"]:
        table.add_row(row["model"], *(f"{row[name]:,}" for name in names), number(row["cost"]))
    return table


@contextmanager
def progress(run: Run) -> Iterator[Callable[[], None]]:
    """Show on stderr what is done, failed and spent, and when it may end.

    Into a pipe or a file, and where the user wants quiet, it shows nothing.
    """
    if click.get_current_context().obj or not sys.stderr.isatty():
        yield lambda: None
        return
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    journal = run.journal
    total = len(journal.plan)
    failed = [STATUSES.index(status) for status in FAILED]
    columns = (
        TextColumn("asking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]:,} failed"),
        TextColumn("${task.fields[spent]:.4f}"),
        Remaining(),
        TextColumn("{task.fields[held]}"),
    )
    shown = 0.0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=total, failed=0, spent=0.0, held="")

        def tell() -> None:
            nonlocal shown
            if time.monotonic() - shown < _EVERY:
                return
            shown = time.monotonic()
            wrong = sum(map(journal.status.count, failed))
            bars.update(
                task,
                completed=total - journal.status.count(0) - wrong,
                failed=wrong,
                spent=journal.tally.spent,
                held=_held(set(run.lanes.values())),
            )

        yield tell


def _held(lanes: set[Lane]) -> str:
    """Return which providers asked to wait, and for how long."""
    return ", ".join(f"{lane.name} waits {lane.held:.0f} s" for lane in lanes if lane.held > 1)


def carry_out(run: Run) -> None:
    """Ask what is open, and show how far it is; where it stops early, say how much is left.

    Raises:
        KeyboardInterrupt: It was interrupted; what came is kept.
        LLMRouterError: See `Run.run`.
    """
    journal = run.journal
    for sentence in journal.repairs.sentences():
        warn(f"{journal.path}: {sentence}")
    try:
        with progress(run) as run.tell:
            asyncio.run(run.run())
    except (KeyboardInterrupt, LLMRouterError):
        left = len(journal.plan) - sum(map(bool, journal.status))
        say(f"stopped: {left:,} of {len(journal.plan):,} calls are left; run the same to go on")
        raise
