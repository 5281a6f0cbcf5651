"""`llmrouter compare`: which of several routers is better, and at which cost."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmrouter_core.cli.console import (
    Misuse,
    as_json,
    console,
    example,
    grid,
    number,
    progress,
    say,
)
from llmrouter_core.cli.evaluate import texts
from llmrouter_core.cli.outcomes import read_outcomes, replay_options
from llmrouter_core.cli.report import missing, table
from llmrouter_core.evaluation import Report
from llmrouter_core.evaluation.versus import Comparison, Duel, versus
from llmrouter_core.router import LLMRouter

if TYPE_CHECKING:
    from rich.table import Table

    from llmrouter_core.evaluation import Figure


@click.command(
    epilog=example("llmrouter compare knn.toml plain.toml test.jsonl --train train.jsonl")
)
@click.argument("configs", nargs=-1, required=True, type=Path, metavar="CONFIG CONFIG… DATA")
@replay_options
@click.option("--json", "json_", is_flag=True, help="Print the comparison as JSON.")
def command(
    configs: tuple[Path, ...],
    train: Path,
    resamples: int,
    seed: int,
    skip_bad: bool,
    json_: bool,
) -> None:
    """Replay the routers of two or more CONFIGs over the outcomes in DATA, paired.

    Each pair is compared as the routers are set, and at equal costs along their knobs. A
    difference whose interval includes zero may be chance.
    """
    *paths, data = configs
    if len(paths) < 2:
        raise Misuse("give two or more configs, then the outcomes: CONFIG CONFIG… DATA")
    names = _names(paths)
    with ExitStack() as stack:
        routers = {
            name: stack.enter_context(LLMRouter(path))
            for name, path in zip(names, paths, strict=True)
        }
        pools = {frozenset(m.name for m in router.pipeline.models) for router in routers.values()}
        if len(pools) > 1:
            raise Misuse("the configs have different pools; compare routers of the same models")
        one = next(iter(routers.values()))
        test, learned = (read_outcomes(path, skip_bad, one) for path in (data, train))
        answers: dict[tuple[str, str], str] = {}
        for router in routers.values():
            answers = answers or texts(router, data, skip_bad)
        with progress("comparing") as tell:
            found = versus(
                routers,
                test,
                train=learned,
                resamples=resamples,
                seed=seed,
                progress=tell,
                texts=answers,
            )
    if json_:
        as_json(found.to_dict())
    else:
        _show(found)


def _names(paths: list[Path]) -> list[str]:
    """Return what to call each config: its stem, or its path where stems are equal."""
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise Misuse("a config is named twice")
    return names


def _show(found: Comparison) -> None:
    out = console()
    rows = Report(
        rows=found.rows, queries=found.queries, resamples=found.resamples, seed=found.seed
    )
    out.print(table(rows))
    out.print()
    for duel in found.duels:
        out.print(f"{duel.first} minus {duel.second}: {_verdict(duel)}")
        out.print(_duel(duel))
        out.print()
    say(f"{found.queries:,} queries; 95 % intervals in brackets, paired")
    for sentence in missing(found.rows):
        say(sentence)


def _verdict(duel: Duel) -> str:
    return (
        "no difference in quality beyond chance"
        if duel.better is None
        else f"{duel.better} is better"
    )


def _duel(duel: Duel) -> Table:
    table = grid("compared", "quality, points", "better")
    table.add_row("as set", _points(duel.quality), duel.better or "-")
    for level in duel.levels:
        cost = f"both at $ {number(1000 * level.cost)} per 1,000"
        table.add_row(cost, _points(level.quality), level.better or "-")
    if duel.aiq is not None:
        table.add_row("AIQ, over all costs", _points(duel.aiq), "")
    if duel.cost is not None:
        low, high = (number(1000 * part, 2) for part in duel.cost.interval)
        cost = f"{number(1000 * duel.cost.value)} [{low}, {high}]"
        table.add_row("$ per 1,000 queries, as set", cost, "")
    return table


def _points(figure: Figure) -> str:
    value, low, high = (100 * part for part in (figure.value, *figure.interval))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
