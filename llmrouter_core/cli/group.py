"""The `llmrouter` command: finding commands without importing them, and reporting mistakes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping

import click

from llmrouter_core import __version__
from llmrouter_core.catalogue import Entry, discover, find
from llmrouter_core.cli.console import example, printable
from llmrouter_core.errors import BrokenPlugin, ConfigError, LLMRouterError

COMMANDS: Mapping[str, str] = {
    "init": "Print a complete config to start from.",
    "plugins": "List the installed plugins.",
    "check": "Say everything that is wrong with a config.",
    "show": "Print a config with its recipe and all options written out.",
    "decide": "Show which models a query is worth, and why; nothing is sent.",
    "ask": "Answer a query.",
    "dataset": "Convert, describe and split files of outcomes.",
    "train": "Learn from outcomes, and say how good the router is.",
    "evaluate": "Say how good a trained router is.",
    "compare": "Say which of several routers is better, and at which cost.",
}
"""Core's own commands in the order of use, each with its line of help."""


class Commands(click.Group):
    """A group whose commands are imported one by one, when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of core's commands and of the plugins', without importing any."""
        return [*COMMANDS, *(entry.name for entry in offered())]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their one line of help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        plugins = [(entry.name, entry.summary) for entry in offered()]
        if plugins:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(plugins)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now, or None if there is none of that name."""
        entry = find([*_own(), *offered()], "command", cmd_name)
        command = entry.load()
        if not isinstance(command, click.Command):
            raise BrokenPlugin(f"{entry} is not a click command; its entry point is {entry.value}")
        return command

    def invoke(self, ctx: click.Context) -> None:
        """Run a command; whatever goes wrong is said in one line on stderr."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(130)
        except LLMRouterError as error:
            if ctx.params["debug"]:
                raise
            for problem in problems(error):
                click.echo(f"error: {problem}", err=True)
            ctx.exit(error.exit_code)
        except Exception as error:
            if ctx.params["debug"] or getattr(error, "errno", None) == errno.EPIPE:
                raise  # click ends quietly when the reader of a pipe has gone
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            if isinstance(error, OSError):
                click.echo(f"error: {printable(reason)}", err=True)
            else:
                click.echo(
                    f"error: this is a bug: {printable(reason)}; run with LLMROUTER_DEBUG=1 to "
                    "see where, and report it",
                    err=True,
                )
            ctx.exit(1)


def offered() -> list[Entry]:
    """Return the commands of installed plugins; core's own names are taken."""
    return [e for e in discover() if e.kind == "command" and e.name not in COMMANDS]


def _own() -> list[Entry]:
    """Return core's commands as the entries they would be if core were a plugin."""
    from importlib_metadata import EntryPoint

    found = []
    for name in COMMANDS:
        value = f"llmrouter_core.cli.{name}:command"
        point = EntryPoint(name=name, value=value, group="llmrouter.command")
        found.append(Entry("command", name, "llmrouter-core", __version__, value, point))
    return found


def problems(error: LLMRouterError) -> list[str]:
    """Return *error* as lines, one for each problem."""
    found = [str(error)]
    if isinstance(error, ConfigError):
        found = [f"{error.source}: {problem}" for problem in error.problems]
    return [printable(" ".join(problem.split())) for problem in found]


def _debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
    return value or os.environ.get("LLMROUTER_DEBUG", "") not in ("", "0")


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "llmrouter init smallest-llm > router.toml",
        'llmrouter ask router.toml "What is the capital of France?"',
    ),
)
@click.version_option(__version__, prog_name="llmrouter")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summaries on stderr.")
@click.option("--debug", is_flag=True, callback=_debug, help="Show where an error comes from.")
@click.pass_context
def llmrouter(ctx: click.Context, quiet: bool, debug: bool) -> None:
    """Answer each query with the model worth using for it."""
    ctx.obj = quiet
