"""The caller: one request, one answer, one client per event loop."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field, validators
from llmrouter_core import (
    BadRequest,
    BadResponse,
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

from llmrouter_plugin_openai.events import answer_of
from llmrouter_plugin_openai.faults import Place, refusal
from llmrouter_plugin_openai.keys import Keys, soonest
from llmrouter_plugin_openai.options import (
    bare,
    fits_header,
    instead_of_one,
    positive,
    sendable,
    web_address,
)
from llmrouter_plugin_openai.pool import read_pool
from llmrouter_plugin_openai.reading import Body, Clock
from llmrouter_plugin_openai.streaming import chunks_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    import httpx

BASE_URL = "https://openrouter.ai/api/v1"

_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 2.0


@define
class _Opened:
    """A client and how many lifespans share it."""

    client: httpx.AsyncClient
    users: int = 0


@define(eq=False, kw_only=True)
class OpenaiCaller:
    """Ask models through `POST {base_url}/chat/completions`.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        base_url: Where the provider is, up to `/v1`; the key is sent nowhere else.
        api_key: The provider's key; None where a local server needs none.
        api_keys: Several keys of the provider instead, which take turns.
        headers: Further headers, such as `HTTP-Referer`.
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
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=sendable)
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

    def pool(self) -> tuple[Model, ...]:
        """Return well-known models of the default provider, for configs that list none.

        Behind another `base_url` the pool is empty: nobody knows what is served there.
        """
        return read_pool(self.name) if self.base_url == BASE_URL else ()

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

        import httpx

        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:  # routers that share this part on one loop share its client
            limits = httpx.Limits(
                max_connections=self.connections, max_keepalive_connections=self.connections
            )
            timeout = httpx.Timeout(None, connect=self.connect)  # the rest is our own clock's
            client = httpx.AsyncClient(
                limits=limits,
                timeout=timeout,
                follow_redirects=False,
                verify=urlsplit(self.base_url).scheme == "https",  # loading them costs 130 ms
            )
            opened = self._opened[loop] = _Opened(client)
        opened.users += 1
        try:
            yield
        finally:
            opened.users -= 1
            if not opened.users:
                del self._opened[loop]
                await opened.client.aclose()

    def _client(self, loop: AbstractEventLoop) -> httpx.AsyncClient:
        if loop not in self._opened:
            reason = "is not open here; ask within `async with router:`"
            raise ConfigError(f"caller.{self.name}", [reason])
        return self._opened[loop].client

    # ------------------------------------------------------------------ asking

    async def _ask(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        import asyncio

        loop = asyncio.get_running_loop()
        client = self._client(loop)
        ends = loop.time() + self.deadline
        failures: list[CallError] = []
        for key in self._keys.turns():
            place = Place(model.name, urlsplit(self.base_url).netloc, key)
            clock = Clock(place, self.deadline, ends)
            started = False
            try:
                async with aclosing(self._once(client, model, request, clock)) as chunks:
                    async for chunk in chunks:
                        started = True
                        yield chunk
                return
            except CallError as error:
                if started or not self._keys.rest(key, error):
                    raise
                failures.append(error)
        raise soonest(failures)

    async def _once(
        self, client: httpx.AsyncClient, model: Model, request: Request, clock: Clock
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the answer to one request, made with the key of the clock's place."""
        place = clock.place
        async with aclosing(await self._send(client, model, request, clock)) as response:
            body = Body(response, clock, idle=self.idle, largest=self.largest_response)
            async with aclosing(body), aclosing(self._answer(place, response, body)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _answer(
        self, place: Place, response: httpx.Response, body: Body
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the chunks of *response*, whichever way it answers."""
        if response.status_code != 200:
            start = await body.start(_ERROR_BYTES, _ERROR_SECONDS)
            raise refusal(place, response.status_code, response.headers, start)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            async with aclosing(chunks_of(place, body)) as chunks:
                async for chunk in chunks:
                    yield chunk
        elif kind == "application/json":
            yield answer_of(place, await body.whole())
        else:
            what = place.quote(kind) or "no content type"
            raise place.error(BadResponse, f"answered with {what}; check its base_url")

    async def _send(
        self, client: httpx.AsyncClient, model: Model, request: Request, clock: Clock
    ) -> httpx.Response:
        """Return the response as soon as its headers are there."""
        import httpx

        place = clock.place
        message = client.build_request(
            "POST",
            f"{self.base_url}/chat/completions",
            content=self._payload(place, model, request),
            headers=self._headers(place.key),
        )
        try:
            sent = client.send(message, stream=True)
            return await clock.within(self.first_byte, "first_byte", sent)
        except httpx.ConnectTimeout as error:
            reason = f"not connected within {self.connect:g} s (limit 'connect')"
            raise place.error(TimedOut, reason) from error
        except httpx.HTTPError as error:
            reason = f"cannot be reached: {place.quote(str(error)) or type(error).__name__}"
            raise place.error(Unavailable, reason) from error

    def _headers(self, key: Secret | None) -> dict[str, str]:
        headers = {
            **self.headers,
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if key is not None:
            if not fits_header(key.reveal()):
                reason = "holds characters that HTTP cannot send; set it again"
                raise ConfigError(f"caller.{self.name}.api_key", [reason])
            headers["Authorization"] = f"Bearer {key.reveal()}"
        return headers

    def _payload(self, place: Place, model: Model, request: Request) -> bytes:
        payload = {**request.payload, "model": model.id, "stream": self.stream}
        if request.payload.get("stream") is False:
            payload["stream"] = False
        if payload["stream"]:
            options = request.payload.get("stream_options") or {}
            if not isinstance(options, Mapping):
                raise place.error(BadRequest, "'stream_options' in the payload is not an object")
            payload["stream_options"] = {**options, "include_usage": True}
        else:
            payload.pop("stream_options", None)  # providers refuse it without a stream
        try:
            return json.dumps(
                payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dict
            ).encode()
        except (TypeError, ValueError, RecursionError) as error:
            reason = f"the payload is not JSON ({error})"
            raise place.error(BadRequest, reason) from error
