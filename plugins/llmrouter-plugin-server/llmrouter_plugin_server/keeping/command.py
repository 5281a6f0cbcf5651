"""`llmrouter keys`: make, list and revoke virtual keys."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from functools import reduce
from typing import Any, TypeVar

import click
from llmrouter_core.cli.console import Misuse, as_json, console, example, grid, say

from llmrouter_plugin_server.keeping.addresses import DEFAULT, VARIABLE, store_at
from llmrouter_plugin_server.keeping.amounts import LARGEST, UNITS
from llmrouter_plugin_server.keeping.limits import Bounds, Charge, Limits, key_account
from llmrouter_plugin_server.keeping.records import Record, new
from llmrouter_plugin_server.keeping.store import Balance, Store
from llmrouter_plugin_server.permitting import NAME as REGION

T = TypeVar("T")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MONEY = click.FloatRange(0, LARGEST, min_open=True)
_COUNT = click.IntRange(1, 10**9)
_BOUNDS: tuple[tuple[str, str, click.ParamType[Any], str], ...] = (
    ("dollars", "USD", _MONEY, "Dollars {} may spend over its whole life."),
    ("dollars-per-day", "USD", _MONEY, "Dollars {} may spend a day, UTC."),
    ("calls", "N", _COUNT, "Calls {} may make over its whole life."),
    ("calls-per-day", "N", _COUNT, "Calls {} may make a day, UTC."),
    ("calls-per-minute", "N", click.IntRange(1, 10**6), "Calls {} may make a minute."),
    ("calls-at-once", "N", _COUNT, "Calls {} may have under way."),
)


def _bounds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `Bounds`, once for the key and once for each user."""
    options = [
        click.option(f"--{prefix}{name}", type=kind, metavar=metavar, help=help_.format(who))
        for prefix, who in (("", "the key"), ("user-", "each user of it"))
        for name, metavar, kind, help_ in _BOUNDS
    ]
    return reduce(lambda inner, option: option(inner), reversed(options), function)


_store = click.option(
    "--store",
    envvar=VARIABLE,
    default=DEFAULT,
    show_default=True,
    metavar="ADDRESS",
    help=f"Where keys are: sqlite:FILE or redis://HOST; also {VARIABLE}, for an address with a "
    "password.",
)
_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group()
def keys() -> None:
    """Make, list and revoke the keys that `llmrouter serve` asks for."""


@keys.command(
    epilog=example(
        "llmrouter keys add ada --dollars-per-day 5 --calls-per-minute 60",
        "llmrouter keys add shop --model small --user-dollars-per-day 0.10",
        "llmrouter keys add berlin --region eu",
    )
)
@click.argument("name")
@click.option(
    "--model", "models", multiple=True, help="A model it may use; several times.  [default: all]"
)
@click.option("--region", help="Only models with the tag region:… of it may answer.")
@_bounds
@_store
@_json
def add(
    name: str,
    models: tuple[str, ...],
    region: str | None,
    store: str,
    json_: bool,
    **bounds: Any,
) -> None:
    """Make a key and print it, once: only a digest of it is kept."""
    if not _NAME.fullmatch(name):
        raise Misuse(
            "a name is 1 to 64 letters, digits, '.', '_', '@' and '-', and begins with a letter "
            "or a digit @ NAME"
        )
    if region is not None and not REGION.fullmatch(region):
        raise Misuse("a region is 1 to 64 letters, digits, '.', '_' and '-' @ --region")
    users = {key.removeprefix("user_"): v for key, v in bounds.items() if key.startswith("user_")}
    own = {key: value for key, value in bounds.items() if not key.startswith("user_")}
    limits = Limits(key=Bounds(**own), user=Bounds(**users))
    record, token = new(name, models=models or None, region=region, limits=limits)
    _with(store, lambda opened: opened.add(record))
    if json_:
        as_json({**_shown(record, Balance()), "key": token})
    else:
        click.echo(token)
    say(f"the key of '{name}' ({record.id}); it is not shown again")


@keys.command("list")
@_store
@_json
def list_(store: str, json_: bool) -> None:
    """List all keys, what they may spend and what they have spent."""

    async def look(opened: Store) -> list[dict[str, Any]]:
        found = []
        for record in await opened.records():
            charge = Charge(account=key_account(record.id))
            found.append(_shown(record, (await opened.balances([charge]))[charge]))
        return found

    rows = _with(store, look)
    if json_:
        as_json(rows)
        return
    if not rows:
        say("there are no keys; make one: llmrouter keys add NAME")
        return
    table = grid("name", "id", "state", "models", "region", "limits", "spent", "calls")
    for row in rows:
        table.add_row(
            row["name"],
            row["id"],
            "valid" if row["revoked"] is None else f"revoked {row['revoked'][:10]}",
            "all" if row["models"] is None else ", ".join(row["models"]),
            row["region"] or "any",
            _limits(row["limits"]),
            f"${row['spent']:,.6g}" if row["limits"] else "-",
            f"{row['calls']:,}" if row["limits"] else "-",
        )
    console().print(table)


@keys.command()
@click.argument("key", metavar="NAME|ID")
@_store
def revoke(key: str, store: str) -> None:
    """End a key: running servers refuse it within seconds."""
    if key.startswith("lr-"):  # it is in the shell's history now, but need not be in messages
        raise Misuse("that looks like a key itself; name it by its name or id @ NAME|ID")
    record = _with(store, lambda opened: opened.revoke(key))
    say(f"the key of '{record.name}' ({record.id}) is revoked")


def _with(address: str, use: Callable[[Store], Awaitable[T]]) -> T:
    """Return what *use* makes of the store at *address*, which is open meanwhile."""
    store = store_at(address)

    async def run() -> T:
        await store.open()
        async with aclosing(store):
            return await use(store)

    return asyncio.run(run())


def _shown(record: Record, balance: Balance) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for prefix, bounds in (("", record.limits.key), ("user_", record.limits.user)):
        limits |= {f"{prefix}{name}": value for name, value in bounds.table().items()}
    return {
        "name": record.name,
        "id": record.id,
        "made": _date(record.made),
        "revoked": None if record.revoked is None else _date(record.revoked),
        "models": None if record.models is None else list(record.models),
        "region": record.region,
        "limits": limits,
        "spent": balance.spent / UNITS,
        "reserved": balance.reserved / UNITS,
        "calls": balance.calls,
    }


def _limits(table: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', '-')} {value:g}" for name, value in table.items()) or "-"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
