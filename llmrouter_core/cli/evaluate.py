"""`llmrouter evaluate`: how good a trained router is."""

from __future__ import annotations

from pathlib import Path

import click

from llmrouter_core.cli.console import as_json, config_argument, console, example, progress, say
from llmrouter_core.cli.report import shares, table
from llmrouter_core.evaluation import evaluate
from llmrouter_core.router import LLMRouter
from llmrouter_core.training import Dataset


@click.command(epilog=example("llmrouter evaluate router.toml test.jsonl --train train.jsonl"))
@config_argument
@click.argument("data", type=Path)
@click.option(
    "--train",
    "train",
    type=Path,
    required=True,
    help="The outcomes the router learned from: they say which single model is best.",
)
@click.option(
    "--resamples",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Bootstrap resamples behind the intervals.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the resampling.")
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
def command(config: Path, data: Path, train: Path, resamples: int, seed: int, json_: bool) -> None:
    """Replay the router of CONFIG over the outcomes in DATA, beside the policies to beat.

    The policies: the cheapest model, the best single model, a random one, and the oracle, which
    knows the best model of each query.
    """
    with LLMRouter(config) as router:
        test, learned = Dataset.read(data), Dataset.read(train)
        with progress("evaluating") as tell:
            report = evaluate(
                router, test, train=learned, resamples=resamples, seed=seed, progress=tell
            )
    if json_:
        as_json(report.to_dict())
    else:
        console().print(table(report))
        say(shares(report))
