"""Where output goes: results to stdout, everything about them to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmrouter_core.errors import LLMRouterError
from llmrouter_core.types import Query

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 1000  # columns of a table that nobody's screen limits


class Misuse(LLMRouterError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class Finite(click.FloatRange):
    """A number within bounds; not nan, which click takes to be within any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return *value* as a number.

        Raises:
            BadParameter: It is none, out of bounds, or not finite.
        """
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return found


SEED = click.IntRange(min=0)
"""What an option that is a seed takes: numpy's generators know no negative ones."""


def console() -> Console:
    """Return the console of stdout; into a pipe or a file, tables are as wide as they are."""
    from rich.console import Console

    found = Console(markup=False, highlight=False, emoji=False)
    return (
        found
        if found.is_terminal
        else Console(markup=False, highlight=False, emoji=False, width=_WIDE)
    )


def say(text: str) -> None:
    """Write a line about what happens to stderr, unless asked to be quiet."""
    if not click.get_current_context().obj:
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Write a warning to stderr."""
    click.echo(f"warning: {text}", err=True)


def as_json(value: Any, indent: int | None = 2) -> None:
    """Write *value* to stdout as JSON, in ASCII; a number that is not known is null."""
    click.echo(json.dumps(_finite(value), indent=indent, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


@contextmanager
def progress(label: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr while the body runs; yield the function that moves it."""
    if click.get_current_context().obj or not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=1.0)
        yield lambda share: bars.update(task, completed=share)


def example(*lines: str) -> str:
    """Return *lines* as the end of a command's help: an example to copy, never reflowed."""
    return "\n".join(["\b", "Example:", *(f"  {line}" for line in lines)])


def config_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument CONFIG."""
    return click.argument("config", type=Path)(function)


def query_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--user` and `--fact`: what parts may read about a query."""
    user = click.option("--user", help="Who asks.")
    fact = click.option(
        "--fact",
        "facts",
        multiple=True,
        metavar="KEY=VALUE",
        callback=lambda context, parameter, texts: dict(map(_fact, texts)),
        help="What parts may read.",
    )
    return user(fact(function))


def _fact(text: str) -> tuple[str, Any]:
    """Return KEY=VALUE as a key and a value: a JSON value where it is one, else a text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Misuse(f"a fact is KEY=VALUE, got '{text}' @ --fact")
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value


def query_of(text: str, user: str | None, facts: Mapping[str, Any]) -> Query:
    """Return *text* as a query.

    Raises:
        Misuse: There is nothing in it to route on, or it is not text.
    """
    try:
        text.encode()  # bytes that are no UTF-8 come as surrogates, which nothing can be sent as
        return Query.of(text, user=user, facts=facts)
    except UnicodeEncodeError:
        raise Misuse("the query is not UTF-8 text; save or pipe it as UTF-8") from None
    except ValueError as error:
        raise Misuse(str(error)) from None


def printable(text: str) -> str:
    """Return *text* without what would move a terminal's cursor or change its colours."""
    return "".join(char if char.isprintable() else "�" for char in text)


def number(value: float | None, digits: int = 3) -> str:
    """Return *value* with *digits* significant digits, and `-` for what is unknown."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never" if value < 0 else "inf"
    if value and not 1e-4 <= abs(value) < 1000:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}"


def grid(first: str, *others: str) -> Table:
    """Return an empty table: one column of names, then figures; long cells fold, none is cut."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for header in (first, *others):
        table.add_column(header, overflow="fold")
    return table
