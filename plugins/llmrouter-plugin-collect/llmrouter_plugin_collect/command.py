"""`llmrouter collect`: the outcome of every query at every model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
from llmrouter_core import LLMRouter
from llmrouter_core.cli.console import (
    Misuse,
    as_json,
    config_argument,
    console,
    example,
    say,
    warn,
)
from llmrouter_core.config import load

from llmrouter_plugin_collect.arguments import (
    judging_model,
    known_callers,
    numbers,
    priced,
    questions,
)
from llmrouter_plugin_collect.journal import OUTCOMES, Journal
from llmrouter_plugin_collect.lanes import lanes
from llmrouter_plugin_collect.plan import Plan
from llmrouter_plugin_collect.running import Run
from llmrouter_plugin_collect.showing import (
    carry_out,
    estimate,
    estimate_table,
    summary,
    summary_table,
)


@click.command(
    epilog=example(
        "llmrouter collect router.toml sim --limit 20 --dry-run",
        "llmrouter collect router.toml sim --limit 20 --out outcomes",
    )
)
@config_argument
@click.argument("tasks", nargs=-1)
@click.option("--out", type=Path, required=False, help="Folder of the outcomes; it resumes.")
@click.option(
    "--queries", type=Path, metavar="FILE", help="Ask these too: JSONL with query, reference."
)
@click.option("--scored-by", metavar="TASK", help="The task that words and scores --queries.")
@click.option(
    "--task-source",
    "sources",
    multiple=True,
    metavar="[TASK=]FILE",
    help="Where a task's examples are.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Examples of each task at most.")
@click.option("--seed", default=0, show_default=True, help="Seed of the examples drawn.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), help="Limit of answers where a task has none."
)
@click.option("--judge", metavar="MODEL", help="The model that judges, where a task wants one.")
@click.option(
    "--concurrency",
    multiple=True,
    metavar="[CALLER=]N",
    help="Calls at a time, of each caller or of one.  [default: 8]",
)
@click.option(
    "--per-minute", multiple=True, metavar="[CALLER=]N", help="Calls a minute that may start."
)
@click.option(
    "--budget",
    type=click.FloatRange(0, 1e9, min_open=True),
    metavar="USD",
    help="What the folder may cost, all runs together.",
)
@click.option(
    "--expected-output",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Tokens of an answer, for the estimate and the budget, before any is known.",
)
@click.option(
    "--retry",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How often this run asks again what failed.",
)
@click.option("--dry-run", is_flag=True, help="Estimate the bill, ask nothing.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
def collect(
    config: Path,
    tasks: tuple[str, ...],
    out: Path | None,
    queries: Path | None,
    scored_by: str | None,
    sources: tuple[str, ...],
    limit: int | None,
    seed: int,
    max_tokens: int | None,
    judge: str | None,
    concurrency: tuple[str, ...],
    per_minute: tuple[str, ...],
    budget: float | None,
    expected_output: int,
    retry: int,
    dry_run: bool,
    json_: bool,
) -> None:
    """Ask every model of CONFIG every query of the TASKS, and keep what came of it.

    The same command goes on where an earlier one stopped, however it stopped, and asks again what
    failed. Results: OUT/outcomes.jsonl, for `llmrouter train`.
    """
    if out is None and not dry_run:
        raise Misuse("where should the outcomes go? add: --out outcomes @ --out")
    if budget is not None and math.isnan(budget):
        raise Misuse("a budget is an amount in dollars, got nan @ --budget")
    caps = numbers(concurrency, "--concurrency", whole=True)
    rates = numbers(per_minute, "--per-minute", whole=False)
    router = LLMRouter.of(load(config))  # what was learned is not needed
    asked = questions(tasks, sources, queries, scored_by, limit, seed, max_tokens)
    plan = Plan(asked, router.pipeline.models)
    judging = judging_model(router, judge, plan)
    known_callers(router, [*caps, *rates])
    if dry_run:
        journal = Journal(out or Path(), plan)
        _estimate(journal.look() if out is not None else journal, expected_output, json_)
        return
    called = [*plan.models, *([judging] if judging else [])]
    if budget is not None:
        priced(called)
    with Journal(out or Path(), plan) as journal:
        run = Run(
            router=router,
            journal=journal,
            lanes=lanes(router, called, caps, rates),
            judge=judging,
            budget=budget,
            expected_output=expected_output,
            passes=retry,
        )
        carry_out(run)
        rows = journal.finish()
        _report(summary(run, rows), journal, json_)


def _report(found: dict[str, Any], journal: Journal, json_: bool) -> None:
    if json_:
        as_json(found)
    else:
        console().print(summary_table(found))
    say(f"{found['rows']:,} rows in {journal.folder / OUTCOMES}, ${found['spent']:.6g} spent")
    if found["stopped"]:
        say(f"stopped: {found['stopped']}")
    for name, error in found["given_up"].items():
        warn(f"model '{name}' failed again and again, and is left for the next run: {error}")
    if found["open"]:
        say(f"{found['open']:,} calls are open or failed; run the same again to ask them")


def _estimate(journal: Journal, expected_output: int, json_: bool) -> None:
    found = estimate(journal, expected_output)
    if json_:
        as_json(found)
        return
    console().print(estimate_table(found))
    say(
        "an estimate: four characters a token in, and as many tokens out as so far, "
        f"or {expected_output:,}; nothing was asked"
    )
