"""`llmrouter serve`: the gateway."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from llmrouter_core.cli.console import Misuse, config_argument, example, say, warn

if TYPE_CHECKING:
    from llmrouter_plugin_server.settings import ServerOptions

LOGGER = logging.getLogger("llmrouter.server")


@click.command(epilog=example("llmrouter serve router.toml --insecure"))
@config_argument
@click.option("--server", "file", type=Path, help="A file of these and all further options.")
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [8080]")
@click.option("--keys", help="Store of the keys: a file, or redis://…  [keys.db]")
@click.option("--insecure", is_flag=True, default=None, help="Answer without keys, on loopback.")
@click.option("--log", help="Folder of the decision records.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="How the server's own log is written to stderr.  [text]",
)
@click.option("--default-model", help="Who answers when the router itself fails.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes.  [1]")
@click.option("--fd", type=int, hidden=True)
def serve(
    config: Path,
    file: Path | None,
    workers: int,
    fd: int | None,
    **given: Any,
) -> None:
    """Serve the router of CONFIG to every client that speaks OpenAI's protocol.

    It stops on SIGTERM or Ctrl-C when all answers under way are complete, and reads CONFIG again
    on SIGHUP and whenever the file or its artefacts change.
    """
    from llmrouter_plugin_server.logs import configure
    from llmrouter_plugin_server.settings import options_of

    options = options_of(file, given)
    configure(options.log_format)
    if workers > 1 and sys.platform == "win32":
        raise Misuse("several workers need a system with fork; start several servers instead")
    if workers > 1 and fd is None:
        _supervise(config, file, workers, given, options)
        return
    from llmrouter_plugin_server import serving

    if options.insecure:
        risk = "no key is asked for: whoever is on this machine may spend your money"
        _tell(options, risk, logging.WARNING)
    added: list[str] = []
    serving.serve(
        config,
        options,
        keeper=serving.keeper_of(options),
        sock=None if fd is None else serving.adopt(fd),
        started=lambda url: _tell(options, f"serving {config} at {url}/v1{_beside(added)}"),
        added=added.extend,
    )


def _tell(options: ServerOptions, text: str, level: int = logging.INFO) -> None:
    """Tell people what happens; where programs read, as a line of the log."""
    if options.log_format == "text":
        (say if level == logging.INFO else warn)(text)
    elif level > logging.INFO or not click.get_current_context().obj:  # asked to be quiet
        LOGGER.log(level, text)


def _beside(added: Sequence[str]) -> str:
    """Return what the first line tells of parts that no config lists."""
    return f"; added to its parts: {', '.join(added)}" if added else ""


def _supervise(
    config: Path,
    file: Path | None,
    workers: int,
    given: dict[str, Any],
    options: ServerOptions,
) -> None:
    from llmrouter_core import LLMRouter

    from llmrouter_plugin_server.composing import composed
    from llmrouter_plugin_server.serving import address, bind
    from llmrouter_plugin_server.workers import Workers

    # A config that is wrong is told once, not by every worker.
    _, added = composed(LLMRouter(config), options)
    sock = bind(options.host, options.port)
    command = ["-m", "llmrouter_core", "-q", "serve", str(config)]
    if file is not None:
        command += ["--server", str(file)]
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            command.append(option)
        elif value is not None:
            command += [option, str(value)]
    where = f"{address(sock)}/v1 by {workers} workers"
    _tell(options, f"serving {config} at {where}{_beside(added)}")
    sys.exit(Workers(workers, command, sock, options.drain).run())
