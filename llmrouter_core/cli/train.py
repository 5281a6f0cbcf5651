"""`llmrouter train`: learn from outcomes."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import click

from llmrouter_core.artefacts import refuse_strangers
from llmrouter_core.cli.console import (
    SEED,
    Finite,
    Misuse,
    as_json,
    config_argument,
    console,
    example,
    progress,
    say,
)
from llmrouter_core.cli.outcomes import logged, read_outcomes, skip_bad_option
from llmrouter_core.cli.report import keep, shares, sources, table
from llmrouter_core.config import Config, load
from llmrouter_core.errors import ConfigError, DatasetError
from llmrouter_core.evaluation import evaluate
from llmrouter_core.router import LLMRouter
from llmrouter_core.training import Trainable


@click.command(epilog=example("llmrouter train router.toml outcomes.jsonl --all"))
@config_argument
@click.argument("data", type=Path, required=False)
@click.option(
    "--from-log",
    "log",
    type=Path,
    metavar="DIR",
    help="Learn from the rated requests in a server's log instead of DATA.",
)
@click.option("--out", type=Path, help="Folder for what is learned.")
@click.option(
    "--test",
    type=Finite(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the queries held out to say how good the router is.",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of the split and the intervals."
)
@click.option(
    "--all", "everything", is_flag=True, help="After the report, learn from all of DATA."
)
@click.option(
    "--report", "kept", type=Path, metavar="DIR", help="Write report.json into this folder."
)
@skip_bad_option
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
def command(
    config: Path,
    data: Path | None,
    log: Path | None,
    out: Path | None,
    test: float,
    seed: int,
    everything: bool,
    kept: Path | None,
    skip_bad: bool,
    json_: bool,
) -> None:
    """Let the parts of CONFIG learn from the outcomes in DATA, and report how good they are.

    DATA is JSONL, one line per query and model: query, model, score, and where known cost,
    output_tokens, latency, task, group. Queries of one group are never split.
    """
    read = data or log
    if read is None or (data and log):
        raise Misuse("learn from what? give either DATA or --from-log DIR")
    found = load(config)
    router = LLMRouter.of(found)  # without what was learned earlier, which may no longer fit
    learners = [part for part in found.parts if isinstance(part.plugin, Trainable)]
    if not learners:
        raise ConfigError(str(config), ["no part learns, so there is nothing to train"])
    folder = out or found.folder / (found.router.artefacts or "artefacts")
    refuse_strangers(folder)
    with ExitStack() as stack:
        file = stack.enter_context(logged(log, skip_bad)) if log else read
        outcomes = read_outcomes(file, skip_bad, router, named=read)
        card = {**sources(config=config, outcomes=file), "split": {"test": test, "seed": seed}}
    taught, held = outcomes.split(test, seed=seed)
    if not len(taught) or not len(held):
        raise DatasetError(
            f"{read}: cannot be split for --test {test}, with queries of so few groups "
            f"({len(set(outcomes.groups))}, in tasks that are split one by one: "
            f"{len(set(outcomes.tasks))}); give more outcomes"
        )
    with progress("learning") as tell:
        fitted = router.fit(taught, progress=tell)
    with progress("evaluating") as tell:
        report = evaluate(fitted, held, train=taught, seed=seed, progress=tell, card=card)
    if everything:
        with progress("learning from everything") as tell:
            fitted = router.fit(outcomes, progress=tell)
    if kept is not None:
        say(f"written: {keep(report, kept)}")
    if json_:
        as_json(report.to_dict())
    else:
        console().print(table(report))
    fitted.save(folder)
    say(shares(report))
    for note in fitted.notes():
        say(note)
    number = len(outcomes if everything else taught)
    say(f"saved to {folder}: {', '.join(p.place for p in learners)}, from {number:,} queries")
    named = found.router.artefacts
    if named is None or (found.folder / named).resolve() != folder.resolve():
        say(f"to use it, {_advice(found, folder)}")


def _advice(config: Config, folder: Path) -> str:
    """Return what to write so that the config finds its artefacts in *folder*."""
    place = json.dumps(os.path.relpath(folder, config.folder), ensure_ascii=False)
    if config.router.use is None and config.router.artefacts is None:
        return f"add to the config: router = {{ artefacts = {place} }}"
    use = f"use = {json.dumps(config.router.use)}, " if config.router.use else ""
    return f"write in the config: router = {{ {use}artefacts = {place} }}"
