"""The caller: one request, one answer, one client per event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import Attribute, define, field, validators
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
from llmrouter_plugin_openai.transport import Client, NotConnected, Unreachable, opened

from llmrouter_plugin_anthropic.asking import Asked, asked_of
from llmrouter_plugin_anthropic.reply import Reply

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

BASE_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"


def _keyless(_: object, attribute: Attribute[Any], headers: Mapping[str, str]) -> None:
    """Refuse a key where it would be shown."""
    if any(name.lower() == "x-api-key" for name in headers):
        raise ValueError(f"'{attribute.name}' is no place for a key; set api_key instead")


@define
class _Opened:
    """A client and how many lifespans share it."""

    client: Client
    users: int = 0


@define(eq=False, kw_only=True)
class AnthropicCaller:
    """Ask models through `POST {base_url}/messages`.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        base_url: Where Anthropic is, up to `/v1`; the key is sent nowhere else.
        api_key: The key; None where a local server needs none.
        api_keys: Several keys instead, which take turns.
        headers: Further headers, such as `anthropic-beta`.
        max_tokens: The most tokens of an answer where the payload does not say; Anthropic
            insists on a number.
        deadline: Seconds the whole call may take.
        connect: Seconds until the connection stands.
        first_byte: Seconds until the response begins, connecting included.
        idle: Seconds that may pass within the response without a byte.
        largest_response: Bytes a response may have, compressed or not.
        connections: Connections that may be open at once; further calls wait for one.
        stream: Whether answers are asked for in pieces; a payload that says `stream = false`
            is never streamed.
    """

    name: str = "default"
    base_url: str = field(default=BASE_URL, converter=bare, validator=web_address)
    api_key: Secret | None = None
    api_keys: tuple[Secret, ...] = field(default=(), validator=instead_of_one)
    headers: Mapping[str, str] = field(
        factory=dict, repr=False, validator=validators.and_(sendable, _keyless)
    )
    max_tokens: int = field(default=8192, validator=validators.gt(0))
    deadline: float = field(default=120.0, validator=positive)
    connect: float = field(default=5.0, validator=positive)
    first_byte: float = field(default=30.0, validator=positive)
    idle: float = field(default=30.0, validator=positive)
    largest_response: int = field(default=16 << 20, validator=validators.gt(0))
    connections: int = field(default=100, validator=validators.gt(0))
    stream: bool = True
    _opened: dict[Any, _Opened] = field(init=False, repr=False, factory=dict)
    _keys: Keys = field(init=False, repr=False)

    @_keys.default
    def _all_keys(self) -> Keys:
        return Keys(self.api_keys or ((self.api_key,) if self.api_key is not None else ()))

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
            client = opened(
                None, self.base_url, connect=self.connect, connections=self.connections
            )
            ours = self._opened[loop] = _Opened(client)
        ours.users += 1
        try:
            yield
        finally:
            ours.users -= 1
            if not ours.users:
                del self._opened[loop]
                await ours.client.aclose()

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
        host = urlsplit(self.base_url).netloc
        ends = loop.time() + self.deadline
        asked = asked_of(
            Place(model.name, host),
            model,
            request.payload,
            stream=self.stream,
            max_tokens=self.max_tokens,
        )
        failures: list[CallError] = []
        for key in self._keys.turns():
            clock = Clock(Place(model.name, host, key), self.deadline, ends)
            reply: Reply | None = None
            started = False
            try:
                reply = await self._send(client, clock, model, asked)
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

    async def _send(self, client: Client, clock: Clock, model: Model, asked: Asked) -> Reply:
        """Return the reply to one request, made with the key of the clock's place."""
        place = clock.place
        headers = self._headers(place.key, asked)
        sent = client.post(f"{self.base_url}/messages", headers, asked.body)
        try:
            response = await clock.within(self.first_byte, "first_byte", sent)
        except NotConnected as error:
            reason = f"not connected within {self.connect:g} s (limit 'connect')"
            raise place.error(TimedOut, reason) from error
        except Unreachable as error:
            reason = f"cannot be reached: {place.quote(str(error))}"
            raise place.error(Unavailable, reason) from error
        return Reply(response, clock, model, idle=self.idle, largest=self.largest_response)

    def _headers(self, key: Secret | None, asked: Asked) -> dict[str, str]:
        headers = {
            "anthropic-version": VERSION,
            **self.headers,
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if asked.betas:
            name = next((n for n in headers if n.lower() == "anthropic-beta"), "anthropic-beta")
            ours = [headers[name]] if name in headers else []
            headers[name] = ",".join([*ours, *asked.betas])
        if key is not None:
            if not fits_header(key.reveal()):
                reason = "holds characters that HTTP cannot send; set it again"
                raise ConfigError(f"caller.{self.name}.api_key", [reason])
            headers["x-api-key"] = key.reveal()
        return headers
