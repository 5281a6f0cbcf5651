"""The ASGI application: heads are checked, keys are asked for, and each path has its endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen
from llmrouter_core import LLMRouter

from llmrouter_plugin_server.admission import Admission
from llmrouter_plugin_server.answering import Answer
from llmrouter_plugin_server.faults import Fault, Refusal, fault_of, refuse
from llmrouter_plugin_server.generations import Generations
from llmrouter_plugin_server.logs import told
from llmrouter_plugin_server.metrics import Metrics
from llmrouter_plugin_server.reading import head_of
from llmrouter_plugin_server.records import Records
from llmrouter_plugin_server.replies import App, Receive, Scope, Send, openai_error, reply_fault
from llmrouter_plugin_server.settings import ServerOptions, is_loopback
from llmrouter_plugin_server.tongues import Read, Shape

if TYPE_CHECKING:
    from llmrouter_plugin_server.keeping import Holder, Keeper

LOGGER = logging.getLogger("llmrouter.server")

_LOOK = 0.25  # seconds after which other workers know of what happened here

HOLDER = "llmrouter.holder"
"""Where a route of another house finds who asks, in its scope; None without keys."""

Head: TypeAlias = Mapping[bytes, bytes]
Page: TypeAlias = Callable[["Gateway", Scope, Receive, Send, Head], Awaitable[None]]


@frozen
class Route:
    """A page of another house.

    Attributes:
        path: Where it is, such as `/chat`.
        app: The ASGI application that answers; the head was checked and the key asked for.
        open: Whether it needs no key. Only for files without secrets.
        below: Whether everything below *path* belongs to it too.
    """

    path: str
    app: App
    open: bool = False
    below: bool = False


@frozen
class Endpoint:
    """What a path does: a page, or a protocol in which models answer."""

    methods: tuple[str, ...]
    page: Page | None = None
    read: Read | None = None
    shape: Shape = openai_error
    open: bool = False


class Gateway:
    """The whole gateway. `router`, `options` and `routes` are those of `build`.

    Attributes:
        options: What the server was told.
        metrics: What is counted.
        generations: The router that serves now, and its successors.
        keeper: Who knows the keys; None without keys.
        records: Where decisions are recorded; None where nowhere.
        stopping: Whether the server is about to stop: it is not ready any more.
    """

    def __init__(
        self,
        router: LLMRouter,
        options: ServerOptions,
        endpoints: Mapping[str, Endpoint],
        routes: Sequence[Route],
        keeper: Keeper | None,
    ) -> None:
        self.options = options
        self.metrics = Metrics()
        self.generations = Generations(router, options, self.metrics.reloaded)
        self.admission = Admission(options, self.metrics)
        self.keeper = keeper
        self.records: Records | None = None
        self.stopping = False
        self._ready = False
        self._endpoints = dict(endpoints)
        self._routes = {route.path: route for route in routes}
        self._below = tuple(route for route in routes if route.below)
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = AsyncExitStack()
        self._names = Random()  # noqa: S311 - seeded by the system, and quicker than asking it

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        return self._ready and not self.stopping

    def identifier(self) -> str:
        """Return a new name for a request; it is unique, and no secret."""
        return f"{self._names.getrandbits(96):024x}"

    # ------------------------------------------------------------------ opening

    async def open(self) -> None:
        """Open the keys, the records and the router; if one fails, none stays open."""
        async with AsyncExitStack() as stack:
            if self.keeper is not None:
                await self.keeper.open()
                stack.push_async_callback(self.keeper.aclose)
            if self.options.log is not None:
                self.records = Records(self.options.log, self.metrics.lost)
                stack.push_async_callback(asyncio.to_thread, self.records.close)
            await self.generations.now.open()
            stack.push_async_callback(self.generations.close)
            self._opened = stack.pop_all()
        self.start(self._keep_metrics())
        if self.options.reload and self.generations.reloads:
            self.start(self.generations.watch())
        self._ready = True

    async def close(self) -> None:
        """Close everything that `open` opened."""
        self._ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._opened.aclose()
        self.metrics.settle()

    async def __aenter__(self) -> Gateway:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self, work: Any) -> None:
        """Run *work* beside the requests, until the gateway closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def look_at_circuits(self) -> None:
        """Let the metrics have the state of each circuit: it changes by the clock as well."""
        with suppress(RuntimeError):  # a decision in a thread has just come upon another model
            self.metrics.circuits(self.generations.now.circuits)

    async def _keep_metrics(self) -> None:
        # Whoever reads the metrics may ask another worker than the one whose they are.
        lost = False
        while True:
            try:
                self.look_at_circuits()
                self.metrics.settle()
            except Exception as error:  # a full disk, for one, where workers share their counts
                if not lost:
                    lost = True
                    LOGGER.exception("metrics are lost", exc_info=error)
            await asyncio.sleep(_LOOK)

    # ------------------------------------------------------------------ answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.open()
                except BaseException as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        endpoint = self._endpoints.get(path)
        shape = openai_error if endpoint is None else endpoint.shape
        try:
            head = head_of(scope)
            route = None if endpoint is not None else self._route(path)
            if self.options.insecure:
                _same_machine(head)
            holder = None
            if not (endpoint.open if endpoint else route is not None and route.open):
                holder = await self._holder(head)
            if route is not None:
                scope[HOLDER] = holder
                await route.app(scope, receive, send)
                return
            if endpoint is None:
                endpoint, path = self._parent(path)
            if scope["method"] not in endpoint.methods:
                allowed = ", ".join(endpoint.methods)
                raise refuse(405, f"{path} takes {allowed}", "method_not_allowed")
            if endpoint.read is not None:
                answer = Answer(self, path, endpoint.read, endpoint.shape, holder)
                await answer.run(scope, receive, send, head)
            elif endpoint.page is not None:
                scope[HOLDER] = holder
                await endpoint.page(self, scope, receive, send, head)
        except Exception as error:  # noqa: BLE001 - every failure has an answer
            await self._refused(send, error, path if endpoint is not None else "other", shape)

    def _parent(self, path: str) -> tuple[Endpoint, str]:
        """Return the endpoint that has *path* as an item, such as one model of all."""
        above = path.rpartition("/")[0] + "/*"
        while above not in self._endpoints:
            above = above.removesuffix("/*").rpartition("/")[0] + "/*"
            if above == "/*":
                raise refuse(404, "there is nothing at this path", "not_found")
        return self._endpoints[above], above

    async def _refused(self, send: Send, error: Exception, endpoint: str, shape: Shape) -> None:
        fault = fault_of(error)
        if fault.status >= 500 and not isinstance(error, Refusal):
            LOGGER.error("%s failed: %s", endpoint, told(error), extra={"error": error})
        self.metrics.answered(endpoint, fault.status, 0.0)
        await reply_fault(send, fault, (), shape)

    def _route(self, path: str) -> Route | None:
        found = self._routes.get(path)
        if found is not None:
            return found
        for route in self._below:
            if path.startswith(f"{route.path.rstrip('/')}/"):
                return route
        return None

    async def _holder(self, head: Head) -> Holder | None:
        """Return who asks.

        Raises:
            Refusal: There are no keys, so that nobody may ask.
            Unauthorized: The key is missing or wrong.
        """
        if self.keeper is None:
            if self.options.insecure:
                return None
            raise Refusal(_CLOSED)
        return await self.keeper.identify(_token(head))


_CLOSED = Fault(
    401,
    "this server has no keys yet, so nobody may ask; make one: llmrouter keys add NAME",
    "authentication_error",
    "invalid_api_key",
)


def _token(head: Head) -> str | None:
    """Return the key of a request: `Authorization: Bearer …`, or Anthropic's `x-api-key`."""
    scheme, _, token = head.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        token = head.get(b"x-api-key", b"")
    return token.strip().decode("latin-1") or None


def _same_machine(head: Head) -> None:
    """Refuse what a page of another site sends to a server that asks for no key.

    Raises:
        Refusal: The request names another host, or comes from another site.
    """
    host = head[b"host"].decode("latin-1")
    origin = head.get(b"origin")
    hosts = [urlsplit(f"//{host}").hostname or ""]
    if origin is not None:
        hosts.append(urlsplit(origin.decode("latin-1")).hostname or "")
    if not all(map(is_loopback, hosts)):
        raise refuse(
            403,
            "without keys only this machine is answered, by the name localhost",
            "not_local",
            type="permission_error",
        )
