"""`llmrouter chat`: the gateway with its pages, opened in a browser."""

from __future__ import annotations

import os
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from llmrouter_core.cli.console import Misuse, config_argument, example, say, warn

if TYPE_CHECKING:
    from llmrouter_plugin_server.settings import ServerOptions


@click.command(epilog=example("llmrouter chat router.toml --log log"))
@config_argument
@click.option("--server", "file", type=Path, help="A file of the options of `llmrouter serve`.")
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [8080]")
@click.option("--keys", help="Store of the keys; without one, a key is made for this run.")
@click.option("--log", help="Folder of the decision records, and of what thumbs say.")
@click.option("--no-browser", is_flag=True, help="Only say where the page is.")
def chat(config: Path, file: Path | None, no_browser: bool, **given: Any) -> None:
    """Talk to the router of CONFIG on a page in the browser, and watch it on another.

    The pages are served beside the whole API of `llmrouter serve`. On this machine alone they come
    with a key that is made for this run and forgotten at its end; whoever has the address has the
    key, so it is not one to pass on.
    """
    from llmrouter_plugin_server.keeping import VARIABLE
    from llmrouter_plugin_server.settings import is_loopback, options_of

    options = options_of(file, given)
    local = is_loopback(options.host)
    if options.insecure:
        warn("no key is asked for: whoever is on this machine may spend your money")
        _serve(config, options, None, None, no_browser)
    elif options.keys is not None or (not local and VARIABLE in os.environ):
        from llmrouter_plugin_server.serving import keeper_of

        _serve(config, options, keeper_of(options), None, no_browser)
    elif local:
        from llmrouter_plugin_chat.onekey import one_key

        with one_key() as (keeper, token):
            _serve(config, options, keeper, token, no_browser)
    else:
        raise Misuse(
            f"'{options.host}' is reached from other machines, so there must be keys; make one "
            "with `llmrouter keys add NAME`, and say where they are @ --keys"
        )


def _serve(
    config: Path, options: ServerOptions, keeper: Any, token: str | None, no_browser: bool
) -> None:
    from llmrouter_plugin_server.app import Route
    from llmrouter_plugin_server.logs import configure
    from llmrouter_plugin_server.serving import serve

    from llmrouter_plugin_chat.pages import app

    def started(url: str) -> None:
        page = f"{url}/chat" + (f"#k={token}" if token else "")
        say(f"chat with {config} at {page}")
        if not no_browser:
            # A browser of the terminal holds whoever opens it until it is closed.
            threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()

    configure(options.log_format)
    routes = [
        Route("/chat", app, open=True, below=True),
        Route("/dashboard", app, open=True),
    ]
    serve(config, options, routes=routes, keeper=keeper, started=started)
