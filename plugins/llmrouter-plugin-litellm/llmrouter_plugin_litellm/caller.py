"""The caller: litellm asks, our clock watches, and what comes back is checked as any answer."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import Attribute, define, field, validators
from llmrouter_core import (
    BadResponse,
    Call,
    CallError,
    Chunk,
    ConfigError,
    IncompleteStream,
    Model,
    Request,
    Secret,
    hookimpl,
)
from llmrouter_plugin_openai.events import answer_of, chunk_of, speaks
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.keys import Keys, soonest
from llmrouter_plugin_openai.options import bare, instead_of_one, positive, sendable, web_address
from llmrouter_plugin_openai.reading import Clock

from llmrouter_plugin_litellm.asking import OURS, arguments_of
from llmrouter_plugin_litellm.faults import classified
from llmrouter_plugin_litellm.library import clients, close_clients, load, scrubbed

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_SECRET = re.compile(r"(?i)secret|password|credential|(?:api|access|private)_?key|token$")
_CLOSING = 1.0  # seconds that a stream may take to close
_TURNS = 3  # of the event loop


def _address(caller: object, attribute: Attribute[str], url: str) -> None:
    """Refuse what is neither empty nor a plain http or https URL."""
    if url:
        web_address(caller, attribute, url)


def _harmless(_: object, attribute: Attribute[Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that have an option of their own, and secrets where they would be shown."""
    for name in arguments:
        if _SECRET.search(name) and name not in OURS:
            reason = "is no place for a secret; set the variable that litellm reads"
            raise ValueError(f"'{attribute.name}' {reason} instead of '{name}'")
        if name in OURS:
            raise ValueError(f"'{attribute.name}' cannot set '{name}'; options of the caller do")


@define
class _Opened:
    """The library, how many lifespans share it, and whose clients were there before."""

    litellm: Any
    kept: frozenset[str]
    users: int = 0


@define(eq=False, kw_only=True)
class LitellmCaller:
    """Ask models through litellm's `acompletion`.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        api_key: The provider's key; without one, litellm reads the provider's own variable, such
            as `ANTHROPIC_API_KEY`.
        api_keys: Several keys of the provider instead, which take turns.
        base_url: Where the provider is, if not where litellm thinks.
        headers: Further headers.
        arguments: Further arguments of litellm, such as `aws_region_name`; no secrets.
        drop_params: Whether parameters that a provider does not know are left out; otherwise it
            refuses, and another model may answer.
        deadline: Seconds the whole call may take.
        first_byte: Seconds until the answer begins, connecting included.
        idle: Seconds that may pass within the answer without an event.
        largest_response: Bytes that the events of an answer may have.
        stream: Whether answers are asked for in pieces; a payload that says `stream = false`
            is never streamed.
    """

    name: str = "default"
    api_key: Secret | None = None
    api_keys: tuple[Secret, ...] = field(default=(), validator=instead_of_one)
    base_url: str = field(default="", converter=bare, validator=_address)
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=sendable)
    arguments: Mapping[str, Any] = field(factory=dict, validator=_harmless)
    drop_params: bool = False
    deadline: float = field(default=120.0, validator=positive)
    first_byte: float = field(default=30.0, validator=positive)
    idle: float = field(default=30.0, validator=positive)
    largest_response: int = field(default=16 << 20, validator=validators.gt(0))
    stream: bool = True
    _opened: dict[Any, _Opened] = field(init=False, repr=False, factory=dict)
    _keys: Keys = field(init=False, repr=False)

    @_keys.default
    def _all_keys(self) -> Keys:
        return Keys(self._secrets)

    @property
    def _secrets(self) -> tuple[Secret, ...]:
        return self.api_keys or ((self.api_key,) if self.api_key is not None else ())

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the function that asks *model*, or None for a model of another caller."""
        return partial(self._ask, model) if model.caller in (None, self.name) else None

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which calls work; it loads litellm, and closes its connections."""
        return self._open()

    # ------------------------------------------------------------------ opening

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        import asyncio

        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            litellm = await asyncio.to_thread(self._load)
            self._opened.setdefault(loop, _Opened(litellm, clients(litellm)))
        ours = self._opened[loop]
        ours.users += 1
        try:
            with scrubbed(self._secrets):
                yield
        finally:
            ours.users -= 1
            if not ours.users:
                del self._opened[loop]
                await close_clients(ours.litellm, ours.kept)

    def _load(self) -> Any:
        try:
            return load()
        except ModuleNotFoundError as error:
            reason = f"{error.name} is not installed; pip install litellm"
            raise ConfigError(f"caller.{self.name}", [reason]) from error

    def _library(self, loop: AbstractEventLoop) -> Any:
        if loop not in self._opened:
            reason = "is not open here; ask within `async with router:`"
            raise ConfigError(f"caller.{self.name}", [reason])
        return self._opened[loop].litellm

    # ------------------------------------------------------------------ asking

    async def _ask(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        import asyncio

        loop = asyncio.get_running_loop()
        litellm = self._library(loop)
        where = urlsplit(self.base_url).netloc or model.id.partition("/")[0]
        ends = loop.time() + self.deadline
        arguments = arguments_of(
            Place(model.name, where), model, request.payload, self.arguments, stream=self.stream
        )
        failures: list[CallError] = []
        for key in self._keys.turns():
            clock = Clock(Place(model.name, where, key), self.deadline, ends)
            started = False
            failure: CallError
            chunks = self._chunks(litellm, clock, arguments)
            try:
                async for chunk in chunks:
                    started = True
                    yield chunk
                return
            except CallError as error:
                failure = error
            except Exception as error:  # noqa: BLE001 - litellm raises anything
                failure = classified(clock.place, error, started=started)
            finally:
                clock.stop()
                await chunks.aclose()
            # Raised out here, no traceback leads to litellm's own error, which may quote the key.
            if started or not self._keys.rest(key, failure):
                raise failure
            failures.append(failure)
        raise soonest(failures)

    async def _chunks(
        self, litellm: Any, clock: Clock, arguments: Mapping[str, Any]
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the answer to one request, made with the key of the clock's place.

        What precedes the first word waits for it: until a chunk is out, another model can still
        answer instead.
        """
        import asyncio

        place = clock.place
        asked = litellm.acompletion(**arguments, **self._ours(place.key, clock))
        answer = await clock.within(self.first_byte, "first_byte", asked)
        if not arguments["stream"]:
            yield answer_of(place, _json(place, answer))
            return
        held: list[Chunk] = []
        spoken = False
        size = 0
        try:
            while True:
                event = await clock.within(self.idle, "idle", anext(answer, None))
                if event is None:
                    break
                data = _json(place, event)
                size += len(data)
                if size > self.largest_response:
                    reason = (
                        f"the answer is larger than {self.largest_response} bytes "
                        "(limit 'largest_response')"
                    )
                    raise place.error(BadResponse, reason)
                chunk = chunk_of(place, data)
                if chunk.finish is not None and not _finished(answer):
                    reason = "the answer ended without a finish_reason"
                    raise place.error(IncompleteStream, reason)
                spoken = spoken or speaks(chunk)
                held.append(chunk)
                while spoken and held:
                    yield held.pop(0)
        finally:
            with suppress(Exception):
                await clock.within(_CLOSING, "idle", answer.aclose())
            for _ in range(_TURNS):  # in which what litellm leaves to tasks is closed as well
                await asyncio.sleep(0)

    def _ours(self, key: Secret | None, clock: Clock) -> dict[str, Any]:
        """Return the arguments that no payload sets: whom to ask, by which key, and only once."""
        return {
            **({} if key is None else {"api_key": key.reveal()}),
            **({"api_base": self.base_url} if self.base_url else {}),
            **({"extra_headers": dict(self.headers)} if self.headers else {}),
            "drop_params": self.drop_params,
            "max_retries": 0,
            "num_retries": 0,
            "timeout": clock.deadline,
        }


def _finished(answer: object) -> bool:
    """Return whether the provider itself said that it is finished; litellm makes up a `stop`."""
    names = ("received_finish_reason", "intermittent_finish_reason")
    said = [getattr(answer, name) for name in names if hasattr(answer, name)]
    return not said or any(said)


def _json(place: Place, event: Any) -> bytes:
    """Return an event of litellm as the JSON that OpenAI would send."""
    try:
        fields = event.model_dump(exclude_none=True, warnings=False)
        for choice in fields.get("choices") or ():
            choice.setdefault("finish_reason", None)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)
    except Exception as error:  # noqa: BLE001 - its classes are pydantic's
        reason = f"litellm gave something that is no event ({type(error).__name__})"
        raise place.error(BadResponse, reason) from None
    return text.encode("utf-8", "replace")
