"""`llmrouter show`: a config with everything written out."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import click

from llmrouter_core.artefacts import options
from llmrouter_core.cli import toml
from llmrouter_core.cli.console import as_json, config_argument, example
from llmrouter_core.config import SINGLE, Config, Part, load


@click.command(epilog=example("llmrouter show router.toml"))
@config_argument
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def command(config: Path, json_: bool) -> None:
    """Print CONFIG with its recipe and every option written out.

    What is printed is a config itself and means the same, on whichever version of the recipe.
    """
    found = load(config)
    if json_:
        as_json(expanded(found))
    else:
        click.echo("\n".join(_lines(found)))


def expanded(config: Config) -> dict[str, Any]:
    """Return the tables of *config*, complete: the recipe's and every default."""
    router = {k: v for k, v in attrs.asdict(config.router).items() if k != "use"}
    tables: dict[str, Any] = {"router": router}
    tables["model"] = {model.name: _model(model) for model in config.models}
    for part in config.parts:
        table = {"use": _use(part), **_plain(options(part.plugin))}
        if part.kind in SINGLE:
            tables[part.kind] = table
        elif part.kind == "extension":
            tables.setdefault("extension", []).append(table)
        else:
            tables.setdefault(part.kind, {})[part.name] = table
    return tables


def _model(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = _plain(attrs.asdict(model))
    del found["name"]
    return found


def _use(part: Part) -> str:
    """Return the plugin's full name, which means the same wherever it is installed."""
    return f"{part.entry.distribution}/{part.entry.name}" if part.entry else ""


def _plain(value: Any) -> Any:
    """Return an option as plain data, ready for TOML and JSON."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(inner) for inner in value)
    if isinstance(value, Enum):
        return value.value
    if attrs.has(type(value)):
        return options(value)
    return value


def _lines(config: Config) -> Iterator[str]:
    tables = expanded(config)
    if config.router.use:
        yield f"# The recipe '{config.router.use}', expanded."
    yield "[router]"
    yield from toml.lines(tables["router"])
    for name, table in tables["model"].items():
        yield f"\n[model.{toml.key(name)}]"
        yield from toml.lines(table)
    for part in config.parts:
        yield f"\n# {part.entry.distribution} {part.entry.version}" if part.entry else ""
        if part.kind in SINGLE:
            yield f"[{part.kind}]"
            yield from toml.lines(tables[part.kind])
        elif part.kind == "extension":
            yield "[[extension]]"
            yield from toml.lines(tables["extension"].pop(0))
        else:
            yield f"[{part.kind}.{part.name}]"
            yield from toml.lines(tables[part.kind][part.name])
