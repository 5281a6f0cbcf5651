"""`llmrouter decide`: which models a query is worth, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from llmrouter_core.cli.console import (
    Misuse,
    as_json,
    config_argument,
    console,
    example,
    grid,
    number,
    printable,
    query_of,
    query_options,
)
from llmrouter_core.router import LLMRouter

if TYPE_CHECKING:
    from rich.table import Table

    from llmrouter_core.types import Decision

_BATCH = 1024  # queries decided at a time
_HEADERS = {"cost": "$ per 1,000 queries", "latency": "latency, s"}


@click.command(
    epilog=example('llmrouter decide router.toml "Prove that 2 is prime" --fact tradeoff=0.8')
)
@config_argument
@click.argument("queries", nargs=-1)
@click.option(
    "--input",
    "file",
    type=click.File(encoding="utf-8", errors="surrogateescape"),
    help="One query a line; - is stdin.",
)
@query_options
@click.option("--json", "json_", is_flag=True, help="Print one JSON object per query.")
def command(
    config: Path,
    queries: tuple[str, ...],
    file: TextIO | None,
    user: str | None,
    facts: dict[str, Any],
    json_: bool,
) -> None:
    """Show how CONFIG ranks the models for each of QUERIES, and why; nothing is sent."""
    lines = (line for line in file or () if line.strip())
    prompts = (query_of(text.strip("\n"), user, facts) for text in chain(queries, lines))
    with LLMRouter(config) as router:
        nothing = True
        for batch in _batches(prompts):
            for decision in router.decide_all(batch):
                if json_:
                    as_json(router.explain(decision).explain(), indent=None)
                else:
                    _print(decision)
                nothing = False
    if nothing:
        raise Misuse("no query; give one, or a file of them with --input")


def _batches(items: Iterable[Any]) -> Iterator[Sequence[Any]]:
    source = iter(items)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _print(decision: Decision) -> None:
    out = console()
    out.print(printable(" ".join(decision.query.text.split())[:200]), style="bold")
    out.print(table(decision))
    out.print()


def table(decision: Decision) -> Table:
    """Return *decision* as a table: every model's rank, scores with errors, and exclusion."""
    names = list(decision.scores)
    headers = [_HEADERS.get(name, name) for name in names]
    found = grid("rank", "model", *headers, *(["excluded"] if decision.excluded else []))
    rank = {model.name: str(place) for place, model in enumerate(decision.ranking, start=1)}
    order = sorted(
        range(len(decision.models)),
        key=lambda column: int(rank.get(decision.models[column].name, len(decision.models) + 1)),
    )
    for column in order:
        name = decision.models[column].name
        cells = []
        for score, one in decision.scores.items():
            factor = 1000 if score == "cost" else 1
            cell = number(float(one.values[column]) * factor)
            if one.std is not None and cell not in ("-", "never"):
                cell += f" ± {number(float(one.std[column]) * factor, 2)}"
            cells.append(cell)
        why = [decision.excluded.get(name, "")] if decision.excluded else []
        found.add_row(rank.get(name, "-"), printable(name), *cells, *why)
    return found
