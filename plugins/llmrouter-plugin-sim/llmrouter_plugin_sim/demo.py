"""`llmrouter demo`: what routing gains, shown on simulated models in a few seconds."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click
from llmrouter_core import Answer, DatasetError, LLMRouter
from llmrouter_core.cli.console import SEED, Misuse, as_json, console, grid, number, progress
from llmrouter_core.cli.report import table

from llmrouter_plugin_sim.trial import (
    BALANCED,
    CONFIG,
    SETTINGS,
    Trial,
    collect,
    config,
    learn,
    questions,
)

_EXAMPLE = "What comes next: 3, 5, 9, 15, 23?"
_NEXT = """\
Next, with real models:
  llmrouter init auto > router.toml            # put in your models and their base_url
  llmrouter ask router.toml "…"                # untrained, it asks your first model
  llmrouter collect --help                     # ask each of them what you know answers to
  llmrouter train router.toml outcomes.jsonl   # what your models did: docs/outcomes.md
"""


@click.command()
@click.option(
    "--queries",
    type=click.IntRange(min=60),
    default=600,
    show_default=True,
    help="How many questions every model is asked.",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of questions and outcomes."
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@click.option(
    "--keep", type=Path, metavar="DIR", help="Leave data, config and artefacts in this new folder."
)
def demo(queries: int, seed: int, json_: bool, keep: Path | None) -> None:
    """Train a router on simulated models, and show what it gains.

    Six simulated models answer generated questions; a router learns from the outcomes and is
    compared with the policies it must beat. No key, no network, no cost. No real model is shown.

    \b
    Example:
      llmrouter demo --keep trial
      llmrouter decide trial/router.toml "What is 17 * 23?"
    """  # noqa: D301 - click reads the backspace: lines below it stay as they are
    started = time.perf_counter()
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise Misuse(f"{keep}: is not an empty folder; choose a new one: --keep DIR")
    asked = questions(queries, seed)
    asker = LLMRouter(config(seed, BALANCED))
    with progress("asking the simulated models") as tell:
        dataset = asyncio.run(collect(asker, asked, tell))
    with progress("learning and evaluating") as tell:
        trial = learn(dataset, seed, tell)
    with trial.routers[BALANCED] as router:
        answer = router.route(_EXAMPLE)
    if keep is not None:
        _keep(keep, trial, seed)
    seconds = time.perf_counter() - started
    if json_:
        as_json(_plain(trial, answer, seed, seconds))
    else:
        _show(trial, answer, keep, seconds)


def _keep(folder: Path, trial: Trial, seed: int) -> None:
    """Write what a newcomer needs to go on: outcomes, config and artefacts."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.train.write(folder / "train.jsonl")
        trial.test.write(folder / "test.jsonl")
        text = CONFIG.format(seed=seed, tradeoff=BALANCED)
        (folder / "router.toml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written: {error.strerror}") from error
    trial.routers[BALANCED].save(folder / "artefacts")


def _plain(trial: Trial, answer: Answer, seed: int, seconds: float) -> dict[str, Any]:
    """Return everything as plain data."""
    decision = answer.decision
    return {
        "simulated": True,
        "seed": seed,
        "seconds": seconds,
        "train": len(trial.train),
        "test": len(trial.test),
        "tasks": sorted(set(trial.train.tasks)),
        "settings": list(SETTINGS),
        "report": trial.report.to_dict(),
        "example": {
            "answer": answer.text,
            "model": answer.model,
            "cost": answer.cost,
            "decision": None if decision is None else decision.explain(),
        },
    }


def _show(trial: Trial, answer: Answer, keep: Path | None, seconds: float) -> None:
    out = console()
    rule = f"{len(trial.train.models)} simulated models, {len(set(trial.train.tasks))} tasks"
    out.print(f"SIMULATED: {rule}; no figure describes a real model.\n")
    out.print(
        f"Learned from {len(trial.train)} questions, tried on {len(trial.test)} others; "
        "95 % intervals in brackets."
    )
    out.print("Each router is named by its knob `tradeoff`: 0 is quality first, 1 cost first.\n")
    out.print(table(trial.report))
    _explain(answer)
    if keep is not None:
        out.print(
            f"\nKept in {keep}: train.jsonl, test.jsonl, router.toml, artefacts. Try:\n"
            f'  llmrouter decide {keep}/router.toml "What is 17 * 23?"',
            soft_wrap=True,
        )
    out.print(f"\n{_NEXT}\nThis took {seconds:.1f} seconds.", soft_wrap=True)


def _explain(answer: Answer) -> None:
    """Print one answer, and what each model was expected to do for the query."""
    out = console()
    out.print(f"\nOne question through router {BALANCED}: {_EXAMPLE}\n")
    if answer.decision is None:
        return
    rows = answer.decision.explain()["models"]
    expected = grid("model", "rank", "expected quality, %", "expected $ per 1,000 such calls")
    for row in sorted(rows, key=lambda row: row["rank"] or len(rows)):
        cost = None if row["cost"] is None else 1000 * row["cost"]
        quality = None if row["quality"] is None else 100 * row["quality"]
        expected.add_row(row["model"], str(row["rank"] or "-"), number(quality), number(cost))
    out.print(expected)
    out.print(f"\n{answer.model} answers, the best worth for its cost: {answer.text}")
