"""`llmrouter plugins`: what is installed."""

from __future__ import annotations

import sys

import click

from llmrouter_core.catalogue import KINDS, Entry, discover
from llmrouter_core.cli.console import as_json, console, example, grid, printable
from llmrouter_core.errors import LLMRouterError


@click.command(epilog=example("llmrouter plugins scorer"))
@click.argument("kind", required=False, metavar="[KIND]", type=click.Choice(KINDS))
@click.option("--check", is_flag=True, help="Import each one and show which are broken.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def command(kind: str | None, check: bool, json_: bool) -> None:
    """List the installed plugins, or those of one KIND.

    The kinds: embedder, scorer, selector, caller, solver, extension, router, command, dataset,
    task and store.

    Reads labels only; with --check each plugin is imported, and any that is broken makes the
    exit code 1.
    """
    entries = [entry for entry in discover() if kind in (None, entry.kind)]
    faults = {entry: _fault(entry) for entry in entries} if check else {}
    if json_:
        as_json([_row(entry, faults) for entry in entries])
    else:
        table = grid("kind", "name", "distribution", "version", *(["state"] if check else []))
        for entry in entries:
            state = ["broken" if faults[entry] else "ok"] if check else []
            table.add_row(entry.kind, entry.name, entry.distribution, entry.version, *state)
        console().print(table)
    broken = [fault for fault in faults.values() if fault]
    for fault in broken:
        click.echo(f"error: {printable(fault)}", err=True)
    if broken:
        sys.exit(1)


def _fault(entry: Entry) -> str | None:
    """Return why *entry* cannot be used, or None; a recipe is data and needs no import."""
    from llmrouter_core.recipes import read_recipe
    from llmrouter_core.tables import parse

    try:
        if entry.kind == "router":
            parse(read_recipe(entry).encode(), "recipe.toml")
        else:
            entry.load()
    except LLMRouterError as error:
        return " ".join(str(error).split())
    return None


def _row(entry: Entry, faults: dict[Entry, str | None]) -> dict[str, object]:
    row: dict[str, object] = {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": entry.summary,
    }
    return {**row, "fault": faults[entry]} if faults else row
