"""`llmrouter dataset`: convert, describe and split files of outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from llmrouter_core.cli.console import (
    SEED,
    Finite,
    Misuse,
    as_json,
    console,
    example,
    grid,
    number,
    printable,
    say,
    warn,
)
from llmrouter_core.cli.outcomes import foreign, skip_bad_option, tell
from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes import Repairs, Stats, checked, rows, write_rows

_FORMATS = {".jsonl", ".csv", ".parquet", ".pq"}


@click.group(epilog=example("llmrouter dataset stats outcomes.jsonl"))
def command() -> None:
    """Convert, describe and split files of outcomes."""


@command.command(
    epilog=example(
        "llmrouter dataset convert outcomes.jsonl outcomes.parquet",
        "llmrouter dataset convert table.csv outcomes.jsonl.gz --from routerbench",
    )
)
@click.argument("source", type=Path)
@click.argument("out", type=Path)
@click.option("--from", "reader", help="What wrote SOURCE: the name of an installed reader.")
@skip_bad_option
def convert(source: Path, out: Path, reader: str | None, skip_bad: bool) -> None:
    """Write the outcomes of SOURCE to OUT, as JSONL, CSV or Parquet.

    The name of OUT says the format. Every row is checked on the way; rows are read and written
    one by one, however many there are. With --from, SOURCE is a file or a folder of another
    project, and what had to be repaired is said.
    """
    if source.exists() and out.exists() and source.samefile(out):
        raise Misuse(f"{out}: is what is read; name another file")
    if (out.with_suffix("") if out.suffix == ".gz" else out).suffix.lower() not in _FORMATS:
        raise Misuse(f"{out}: its name says no format; name it .jsonl, .csv or .parquet")
    repairs = Repairs()
    dropped = repairs if skip_bad else None
    if reader is None:
        if source.is_dir():
            raise Misuse(f"{source}: is a folder; say what wrote it: --from {'|'.join(readers())}")
        found = rows(source, repairs=dropped)
    else:
        read = foreign(reader, source, repairs, skip_bad)
        found = checked(read, str(source), repairs=dropped)
    count = write_rows(_filled(found, source), out)
    tell(repairs)
    say(f"{count:,} rows in {out}")


@command.command(epilog=example("llmrouter dataset stats outcomes.jsonl --json"))
@click.argument("file", type=Path)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def stats(file: Path, json_: bool) -> None:
    """Describe the outcomes in FILE: models, coverage, statuses, means, tasks, groups.

    Damaged rows are named and left out of the counts.
    """
    repairs = Repairs()
    found = Stats.of(row for _, row in rows(file, repairs=repairs))
    if json_:
        as_json({**found.to_dict(), "damaged": repairs.counts})
    elif found.rows or found.preferences:
        _describe(found)
    tell(repairs)
    if not (found.rows or found.preferences):
        raise _nothing(file)


@command.command(epilog=example("llmrouter dataset split outcomes.jsonl --test 0.25 --out parts"))
@click.argument("file", type=Path)
@click.option(
    "--test",
    type=Finite(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the groups of each task that is held out.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the draw.")
@click.option("--out", type=Path, required=True, help="Folder for train and test.")
@skip_bad_option
def split(file: Path, test: float, seed: int, out: Path, skip_bad: bool) -> None:
    """Split FILE into train and test, by group and within each task.

    Queries of one group, and queries of equal text, are never on both sides. The two files have
    the format of FILE, and everything in its rows: answers, too.
    """
    from llmrouter_core.splitting import held_out

    repairs = Repairs()
    dropped = repairs if skip_bad else None
    held = held_out(
        (
            (_group(row), row.get("task", ""), row["query"])
            for _, row in rows(file, repairs=dropped)
        ),
        test,
        seed,
    )
    tell(repairs)
    out.mkdir(parents=True, exist_ok=True)
    suffix = "".join(file.suffixes[-2:] if file.suffix == ".gz" else file.suffixes[-1:])
    for name, wanted in (("train", False), ("test", True)):
        path = out / f"{name}{suffix or '.jsonl'}"
        if path.exists() and path.samefile(file):
            raise Misuse(f"{path}: is what is read; name another folder with --out")
        again = rows(file, repairs=Repairs() if skip_bad else None)
        count = write_rows((row for _, row in again if (_group(row) in held) == wanted), path)
        say(f"{count:,} rows in {path}")
        if not count:
            warn(f"{path} is empty: there are too few groups of queries for --test {test}")


def readers() -> list[str]:
    """Return the names of the installed readers, without importing one."""
    from llmrouter_core.catalogue import discover

    return sorted({entry.name for entry in discover() if entry.kind == "dataset"})


def _filled(found: Iterator[tuple[int, Any]], source: Path) -> Iterator[Any]:
    """Yield the rows without their numbers.

    Raises:
        DatasetError: There are none.
    """
    empty = True
    for _, row in found:
        empty = False
        yield row
    if empty:
        raise _nothing(source)


def _nothing(source: Path) -> DatasetError:
    return DatasetError(f"{source}: holds no outcomes that could be kept")


def _group(row: Any) -> str:
    return str(row.get("group", row["id"]))


def _describe(found: Stats) -> None:
    models = grid("model", "rows", "ok", "mean score", "$ per 1,000", "output tokens")
    for name, column in found.models.items():
        cost = column.mean("cost")
        models.add_row(
            printable(name),
            f"{column.statuses.total():,}",
            f"{column.statuses['ok']:,}",
            number(column.mean("score")),
            number(None if cost is None else 1000 * cost),
            number(column.mean("output_tokens")),
        )
    console().print(models)
    tasks = grid("task", "queries")
    for task, count in found.tasks.most_common():
        tasks.add_row(printable(task) or "-", f"{count:,}")
    console().print(tasks)
    for line in (
        f"{found.queries:,} queries x {len(found.models):,} models, {found.rows:,} rows, "
        f"{found.coverage:.1%} of the cells scored",
        "statuses: " + ", ".join(f"{k} {v:,}" for k, v in found.statuses.most_common()),
        f"{found.groups:,} groups; {found.duplicates:,} queries repeat an earlier text",
        f"{len(found.users):,} users, {found.preferences:,} preferences",
    ):
        click.echo(line)
