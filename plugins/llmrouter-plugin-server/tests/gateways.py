"""A gateway on loopback, and models that do what a test says."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from attrs import define, evolve, field
from llmrouter_core import (
    Call,
    Chunk,
    Floats,
    Ints,
    LLMRouter,
    Model,
    Price,
    Query,
    Request,
    Scores,
    Usage,
    hookimpl,
)
from llmrouter_plugin_server.app import Gateway, ServerOptions, build
from llmrouter_plugin_server.serving import address, bind, server_of

Script = Callable[[Model, Request], AsyncGenerator[Chunk, None]]

POOL = (
    Model(name="small", price=Price(input=1.0, output=2.0), size=1),
    Model(name="large", price=Price(input=10.0, output=20.0), size=70),
)
HELLO = [{"role": "user", "content": "Hello?"}]


async def polite(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
    """Greet in two words, and use three tokens of input and two of output."""
    yield Chunk(text="Good ")
    yield Chunk(text="day.")
    yield Chunk(finish="stop", usage=Usage(input_tokens=3, output_tokens=2))


@define(eq=False, kw_only=True)
class ScriptCaller:
    """Calls whatever *script* is at the moment, and remembers the requests."""

    script: Script = polite
    asked: list[tuple[str, Request]] = field(factory=list)

    @hookimpl
    def call(self, model: Model) -> Call:
        def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked.append((model.name, request))
            return self.script(model, request)

        return answer


@define(eq=False, kw_only=True)
class KnobScorer:
    """Predicts quality and cost: the large model is better and dearer."""

    wrong: Callable[[], object] = bool
    seen: list[Query] = field(factory=list)

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> tuple[Scores, ...]:
        self.wrong()
        self.seen.extend(queries)
        rows = len(queries)
        quality: Floats = np.tile(np.array([0.5, 0.9]), (rows, 1))
        cost: Floats = np.tile(np.array([0.001, 0.02]), (rows, 1))
        return Scores("quality", quality), Scores("cost", cost)


@define(eq=False, kw_only=True)
class KnobSelector:
    """The small model first, or the large one where `tradeoff` is below a half."""

    @hookimpl
    def select(self, queries: Sequence[Query], scores: Mapping[str, Scores]) -> Ints:
        rows = [[1, 0] if q.facts.get("tradeoff", 1) < 0.5 else [0, 1] for q in queries]
        return np.array(rows, dtype=np.intp)


@define(eq=False, kw_only=True)
class LettersEmbedder:
    """Embeds a text as the counts of two letters."""

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        return np.array([[q.text.count("a"), q.text.count("b")] for q in queries], np.float32)


class Reply:
    """A response that was read to its end."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status = found.status
        self.headers = {name.lower(): value for name, value in found.getheaders()}
        self.body = found.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def events(self) -> list[Any]:
        """The data of each event, `[DONE]` as it is."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            data = block.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
        return found


class Running:
    """A gateway in a thread of its own.

    Args:
        router: What it serves; by default `caller` and `scorer`, which do as they are told.
        options: What it is told.
        composed: Whether it adds to the router what a config leaves out. Most tests make models
            fail on purpose, and would meet retries and open circuits.
        more: Further arguments of `build`.
    """

    def __init__(
        self,
        router: LLMRouter | None = None,
        options: ServerOptions | None = None,
        *,
        composed: bool = False,
        **more: Any,
    ) -> None:
        self.caller = ScriptCaller()
        self.scorer = KnobScorer()
        parts = [self.scorer, KnobSelector(), LettersEmbedder(), self.caller]
        router = router or LLMRouter(models=POOL, parts=parts)
        settings = evolve(options or ServerOptions(insecure=True), warm_up=0, port=0)
        if not composed:
            settings = evolve(settings, retry=False, breaker=False, capabilities=False)
        self.gateway: Gateway = build(router, settings, **more)
        self._socket = bind("127.0.0.1", 0)
        self.url = address(self._socket)
        self.port = self._socket.getsockname()[1]
        self.server = server_of(self.gateway)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        async def live() -> None:
            async with self.gateway:
                self.loop = asyncio.get_running_loop()
                self.loop.call_soon(self._ready.set)
                await self.server.serve([self._socket])

        asyncio.run(live())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def behave(self) -> None:
        """Let models and router behave again, and forget what they were asked."""
        self.caller.script, self.scorer.wrong = polite, bool
        self.caller.asked.clear()
        self.scorer.seen.clear()

    def run(self, work: Any) -> Any:
        """Return what a coroutine returns on the gateway's loop."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and return its response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            verb = method or ("GET" if body is None else "POST")
            connection.request(verb, path, data, dict(headers or {}))
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def chat(self, messages: Any = HELLO, *, headers: Any = None, **fields: Any) -> Reply:
        """Ask for a chat completion."""
        body = {"messages": messages, **fields}
        return self.ask("/v1/chat/completions", body, headers=headers)
