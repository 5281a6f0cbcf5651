"""`llmrouter evaluate`: how good a trained router is."""

from __future__ import annotations

from pathlib import Path

import click

from llmrouter_core.cli import report as shown
from llmrouter_core.cli.console import (
    Misuse,
    as_json,
    config_argument,
    console,
    example,
    progress,
    say,
)
from llmrouter_core.cli.outcomes import read_outcomes, replay_options
from llmrouter_core.evaluation import Report, evaluate
from llmrouter_core.outcomes import Repairs, rows
from llmrouter_core.router import LLMRouter


@click.command(epilog=example("llmrouter evaluate router.toml test.jsonl --train train.jsonl"))
@config_argument
@click.argument("data", type=Path)
@replay_options
@click.option("--weak", metavar="MODEL", help="Weak model of RouteLLM's figures: the cheapest.")
@click.option(
    "--strong", metavar="MODEL", help="Strong model of RouteLLM's figures: the best single one."
)
@click.option(
    "--full", is_flag=True, help="Show regret, curve, models, calibration and tasks too."
)
@click.option("--out", type=Path, metavar="DIR", help="Write report.json into this folder.")
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
def command(
    config: Path,
    data: Path,
    train: Path,
    resamples: int,
    seed: int,
    weak: str | None,
    strong: str | None,
    full: bool,
    out: Path | None,
    skip_bad: bool,
    json_: bool,
) -> None:
    """Replay the router of CONFIG over the outcomes in DATA, beside the policies to beat.

    The policies: a random model, the cheapest, smallest and largest one, the best single one
    overall and for each task, the Zero router, which tosses a coin between two models so that it
    costs what the router costs, and the oracle, which knows the best model of each query.
    """
    with LLMRouter(config) as router:
        test, learned = (read_outcomes(path, skip_bad, router) for path in (data, train))
        for name in (weak, strong):
            if name is not None and name not in [m.name for m in router.pipeline.models]:
                raise Misuse(f"there is no model '{name}' in the pool of {config}")
        if weak is not None and weak == strong:
            raise Misuse(f"--weak and --strong are both '{weak}'; name two models")
        with progress("evaluating") as tell:
            report = evaluate(
                router,
                test,
                train=learned,
                resamples=resamples,
                seed=seed,
                progress=tell,
                weak=weak,
                strong=strong,
                texts=texts(router, data, skip_bad),
                card=shown.sources(config=config, test=data, train=train),
            )
    if out is not None:
        say(f"written: {shown.keep(report, out)}")
    if json_:
        as_json(report.to_dict())
    else:
        show(report, full=full)


def show(report: Report, *, full: bool) -> None:
    """Print *report*: its table, the figures of its curve, and with *full* everything."""
    out = console()
    for table in [shown.table(report), shown.figures(report)]:
        out.print(table)
        out.print()
    for table in shown.details(report) if full else []:
        out.print(table)
        out.print()
    say(shown.shares(report))


def texts(router: LLMRouter, path: Path, skip_bad: bool) -> dict[tuple[str, str], str]:
    """Return the recorded answers in *path* by query id and model, if a solver may read them."""
    from llmrouter_core.evaluation.solving import has_solver

    if not has_solver(router):
        return {}
    return {
        (str(row["id"]), row["model"]): row["text"]
        for _, row in rows(path, repairs=Repairs() if skip_bad else None)
        if row.get("id") and row.get("text") and row.get("model")
    }
