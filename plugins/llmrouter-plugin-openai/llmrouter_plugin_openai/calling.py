"""What callers over HTTP share: one request, one answer, one client per event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from attrs import define, field, frozen, validators
from llmrouter_core import (
    Call,
    CallError,
    Chunk,
    ConfigError,
    Model,
    Request,
    Secret,
    TimedOut,
    Unavailable,
    hookimpl,
)

from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.keys import Keys, soonest
from llmrouter_plugin_openai.options import (
    bare,
    fits_header,
    instead_of_one,
    positive,
    sendable,
    web_address,
)
from llmrouter_plugin_openai.reading import Clock
from llmrouter_plugin_openai.reply import Reply
from llmrouter_plugin_openai.transport import (
    NAMES,
    Client,
    NotConnected,
    Response,
    Unreachable,
    opened,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


@frozen
class Message:
    """What is sent: a body, and headers beside those of every request."""

    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


@define
class _Opened:
    """A client and how many lifespans share it."""

    client: Client
    users: int = 0


@define(eq=False, kw_only=True)
class HttpCaller:
    """Ask models of a provider over HTTP; a class that derives from it speaks a protocol.

    That class adds `path`, `message`, `reply` and `authorised`; connections, limits and keys that
    take turns are here.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        base_url: Where the provider is, up to `/v1`; the key is sent nowhere else.
        api_key: The provider's key; None where a local server needs none.
        api_keys: Several keys of the provider instead, which take turns.
        headers: Further headers.
        deadline: Seconds the whole call may take.
        connect: Seconds until the connection stands.
        first_byte: Seconds until the response begins, connecting included.
        idle: Seconds that may pass within the response without a byte.
        largest_response: Bytes a response may have, compressed or not.
        connections: Connections that may be open at once; further calls wait for one.
        stream: Whether answers are asked for in pieces; a payload that says `stream = false`
            is never streamed.
        transport: What carries the requests, `aiohttp` or `httpx`; None is the best that is
            installed.
    """

    path: ClassVar[str]
    """Where requests go, below `base_url`."""

    name: str = "default"
    base_url: str = field(converter=bare, validator=web_address)
    api_key: Secret | None = None
    api_keys: tuple[Secret, ...] = field(default=(), validator=instead_of_one)
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=sendable)
    deadline: float = field(default=120.0, validator=positive)
    connect: float = field(default=5.0, validator=positive)
    first_byte: float = field(default=30.0, validator=positive)
    idle: float = field(default=30.0, validator=positive)
    largest_response: int = field(default=16 << 20, validator=validators.gt(0))
    connections: int = field(default=100, validator=validators.gt(0))
    stream: bool = True
    transport: str | None = field(
        default=None, validator=validators.optional(validators.in_(NAMES))
    )
    _opened: dict[Any, _Opened] = field(init=False, repr=False, factory=dict)
    _keys: Keys = field(init=False, repr=False)

    @_keys.default
    def _all_keys(self) -> Keys:
        return Keys(self.api_keys or ((self.api_key,) if self.api_key is not None else ()))

    @cached_property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc

    # ------------------------------------------------------------------ what a protocol adds

    def message(self, place: Place, model: Model, request: Request) -> Message:
        """Return what is sent.

        Raises:
            BadRequest: The payload cannot be sent.
        """
        raise NotImplementedError

    def reply(self, response: Response, clock: Clock, model: Model) -> Reply:
        """Return the reader of *response*."""
        raise NotImplementedError

    def authorised(self, key: str) -> tuple[str, str]:
        """Return the header that holds *key*: its name and its value."""
        raise NotImplementedError

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the function that asks *model*, or None for a model of another caller."""
        return partial(self._ask, model) if model.caller in (None, self.name) else None

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which calls work; it opens and closes the connections."""
        return self._open()

    # ------------------------------------------------------------------ opening

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        import asyncio

        loop = asyncio.get_running_loop()
        ours = self._opened.get(loop)
        if ours is None:  # routers that share this part on one loop share its client
            ours = self._opened[loop] = _Opened(self._new_client())
        ours.users += 1
        try:
            yield
        finally:
            ours.users -= 1
            if not ours.users:
                del self._opened[loop]
                await ours.client.aclose()

    def _new_client(self) -> Client:
        try:
            return opened(
                self.transport,
                self.base_url,
                connect=self.connect,
                connections=self.connections,
            )
        except ModuleNotFoundError as error:
            reason = (
                f"{error.name} is not installed; pip install 'llmrouter-plugin-openai[aiohttp]'"
            )
            raise ConfigError(f"caller.{self.name}.transport", [reason]) from error

    def _client(self, loop: AbstractEventLoop) -> Client:
        if loop not in self._opened:
            reason = "is not open here; ask within `async with router:`"
            raise ConfigError(f"caller.{self.name}", [reason])
        return self._opened[loop].client

    # ------------------------------------------------------------------ asking

    async def _ask(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        import asyncio

        loop = asyncio.get_running_loop()
        client = self._client(loop)
        host, ends = self._host, loop.time() + self.deadline
        message = self.message(Place(model.name, host), model, request)
        failures: list[CallError] = []
        for key in self._keys.turns():
            clock = Clock(Place(model.name, host, key), self.deadline, ends)
            reply: Reply | None = None
            started = False
            try:
                reply = self.reply(await self._send(client, clock, message), clock, model)
                while chunks := await reply.more():
                    for chunk in chunks:
                        started = True
                        yield chunk
                return
            except CallError as error:
                if started or not self._keys.rest(key, error):
                    raise
                failures.append(error)
            finally:
                clock.stop()
                if reply is not None:
                    await reply.aclose()
        raise soonest(failures)

    async def _send(self, client: Client, clock: Clock, message: Message) -> Response:
        """Return the response to one request, made with the key of the clock's place."""
        place = clock.place
        headers = self._headers(place.key, message)
        sent = client.post(f"{self.base_url}{self.path}", headers, message.body)
        try:
            return await clock.within(self.first_byte, "first_byte", sent)
        except NotConnected as error:
            reason = f"not connected within {self.connect:g} s (limit 'connect')"
            raise place.error(TimedOut, reason) from error
        except Unreachable as error:
            reason = f"cannot be reached: {place.quote(str(error))}"
            raise place.error(Unavailable, reason) from error

    def _headers(self, key: Secret | None, message: Message) -> dict[str, str]:
        headers = {
            **self.headers,
            **message.headers,
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if key is not None:
            if not fits_header(key.reveal()):
                reason = "holds characters that HTTP cannot send; set it again"
                raise ConfigError(f"caller.{self.name}.api_key", [reason])
            name, value = self.authorised(key.reveal())
            headers[name] = value
        return headers
