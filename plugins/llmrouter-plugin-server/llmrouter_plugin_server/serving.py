"""Running a gateway: its socket, its signals, and how it stops without dropping a request."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from llmrouter_core import ConfigError, LLMRouter
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from llmrouter_plugin_server.app import Gateway, Route, ServerOptions, build
from llmrouter_plugin_server.protocol import Http, Limits

if TYPE_CHECKING:
    from llmrouter_plugin_server.keeping import Keeper

LOGGER = logging.getLogger("llmrouter.server")


class _Server(uvicorn.Server):
    """A server that is not ready any more from the moment it is told to stop."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT: finish what is under way, begin nothing, exit with 0."""
        if threading.current_thread() is threading.main_thread():  # no other gets signals
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        self._gateway.stopping = True
        self.handle_exit(number, None)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By name, or asyncio leaves small writes waiting for each other.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), port))
    except OSError as error:
        sock.close()
        reason = f"{host}:{port} cannot be listened on: {error.strerror}; take another --port"
        raise ConfigError("server", [reason]) from None
    sock.listen(2048)
    sock.set_inheritable(True)
    return sock


def adopt(number: int) -> socket.socket:
    """Return the socket that another process bound and passed on as file *number*."""
    return socket.socket(fileno=number)


def keeper_of(options: ServerOptions) -> Keeper | None:
    """Return who knows the keys; None where none are asked for.

    Raises:
        ConfigError: The store's address cannot be one.
    """
    if options.insecure:
        return None
    from llmrouter_plugin_server.keeping import DEFAULT, VARIABLE, Keeper, store_at

    return Keeper(store=store_at(options.keys or os.environ.get(VARIABLE) or DEFAULT))


def address(sock: socket.socket) -> str:
    """Return the URL at which *sock* listens."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(gateway: Gateway, sock: socket.socket, started: Callable[[], None] | None = None) -> None:
    """Serve *gateway* on *sock* until SIGTERM or SIGINT; SIGHUP reads the config again.

    Args:
        gateway: What to serve.
        sock: Where; see `bind`.
        started: Called once requests are answered.
    """
    server = server_of(gateway)

    async def live() -> None:
        async with gateway:
            loop = asyncio.get_running_loop()
            if hasattr(signal, "SIGHUP"):
                reload = gateway.generations.reload
                loop.add_signal_handler(signal.SIGHUP, lambda: gateway.start(reload()))
            _settle_memory()
            if gateway.options.blas_threads:
                threadpool_limits(limits=gateway.options.blas_threads, user_api="blas")
            if started is not None:
                started()
            await server.serve([sock])

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(live())


def _settle_memory() -> None:
    """Let the garbage collector leave alone what lives as long as the process.

    Otherwise each of its rounds walks the router and all modules, a sixth of what a request costs.
    What is left to walk is little, so all of it is walked often enough that the cycles of failed
    calls (an error, its traceback, its frames) do not pile up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


def server_of(gateway: Gateway) -> uvicorn.Server:
    """Return the server of a gateway that somebody else opens and closes."""
    options = gateway.options

    class Limited(Http):
        limits = Limits(options.largest_head, options.head_seconds)

    config = uvicorn.Config(
        gateway,
        http=Limited,
        loop="auto",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(options.idle),
        timeout_graceful_shutdown=int(options.drain),
    )
    return _Server(config, gateway)


def serve(
    config: str | Path,
    options: ServerOptions,
    *,
    routes: Sequence[Route] = (),
    keeper: Keeper | None = None,
    sock: socket.socket | None = None,
    started: Callable[[str], None] | None = None,
    added: Callable[[tuple[str, ...]], None] | None = None,
) -> None:
    """Serve the router of the file *config*, as `llmrouter serve` does.

    Args:
        config: The router's config.
        options: What the server is told.
        routes: Pages of other houses.
        keeper: Who knows the keys.
        sock: Where to listen; by default at the options' host and port.
        started: Called with the server's URL once requests are answered.
        added: Called before with the names of what the config lacks and the gateway added.
    """
    gateway = build(LLMRouter(config), options, routes=routes, keeper=keeper)
    if added is not None:
        added(gateway.generations.now.added)
    listening = sock or bind(options.host, options.port)
    told: Any = None if started is None else lambda: started(address(listening))
    run(gateway, listening, told)
