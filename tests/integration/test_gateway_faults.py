"""The rows of docs/reliability.md once more, seen by who asks the gateway over HTTP.

What a router of `openai`, `retry` and `breaker` does is tested in test_faults.py; here it is what
reaches a client: a right answer, an error with its status, or an error event, and never half an
answer that looks whole. Limits on time are generous, because the machine may be busy.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Self

import httpx
import numpy as np
import pytest
from attrs import define, frozen
from llmrouter_plugin_breaker import BreakerExtension
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_knn import KnnScorer
from llmrouter_plugin_openai import OpenaiCaller
from llmrouter_plugin_price import PriceScorer
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_server.app import Gateway, ServerOptions, build
from llmrouter_plugin_server.serving import address, bind, server_of
from llmrouter_plugin_smallest_llm import SmallestLlmSelector
from llmrouter_plugin_utility import UtilitySelector

from llmrouter_core import Dataset, LLMRouter, Model, Price, Query, Secret

from .faults import (
    Exchange,
    Provider,
    breaks,
    closed_port,
    completion,
    says,
    sse,
    stalls,
    story,
    tells,
)
from .test_faults import AFTER_A_WORD, BEFORE_A_WORD, LIMIT, NEVER, SHORT, several

KEY = "canary-of-the-provider"


# ---------------------------------------------------------------------------- the gateway


class Served:
    """A gateway that listens on loopback, in a thread of its own."""

    def __init__(self, router: LLMRouter, **options: Any) -> None:
        settings: dict[str, Any] = {"insecure": True, "warm_up": 0, **options}
        self.gateway: Gateway = build(router, ServerOptions(**settings))
        self._socket = bind("127.0.0.1", 0)
        self.url = address(self._socket)
        self.port: int = self._socket.getsockname()[1]
        self._server = server_of(self.gateway)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway")

    def _run(self) -> None:
        async def live() -> None:
            async with self.gateway:
                self.loop = asyncio.get_running_loop()
                self.loop.call_soon(self._ready.set)
                await self._server.serve([self._socket])

        asyncio.run(live())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what *work* returns on the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    @property
    def busy(self) -> float:
        """How many requests are being answered or wait."""
        totals = self.gateway.metrics.totals()
        return float(totals["in_flight"] + totals["waiting"])


@define(eq=False)
class Desk:
    """A bad upstream, a good one, and gateways that ask the bad one first."""

    bad: Provider
    good: Provider
    _stack: ExitStack

    def serve(
        self,
        *,
        url: str | None = None,
        limit: float = LIMIT,
        breaker: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Served:
        hasty = {"first_byte": limit, "idle": limit, "deadline": 3 * limit}
        common: dict[str, Any] = {"largest_response": 1 << 20, "api_key": Secret(KEY)}
        price = Price(input=1.0, output=2.0)
        router = LLMRouter(
            models=[
                Model(name=name, size=size, price=price, caller=name)
                for size, name in enumerate(("bad", "good"), start=1)
            ],
            parts=[
                SmallestLlmSelector(),
                OpenaiCaller(name="bad", base_url=url or self.bad.url, **common, **hasty),
                OpenaiCaller(name="good", base_url=self.good.url, **common),
                RetryExtension(base=0.001, longest=0.002, seed=0),
                BreakerExtension(**{"pause": 5.0, **(breaker or {})}),
            ],
        )
        return self._stack.enter_context(Served(router, **options))

    @property
    def calls(self) -> tuple[int, int]:
        """How often the bad one and the good one were asked."""
        return len(self.bad.asked["bad"]), len(self.good.asked["good"])


def behaves(text: str = "Paris") -> Callable[[Exchange], Awaitable[bool]]:
    """Answer as it was asked to, in pieces or whole."""

    async def reply(exchange: Exchange) -> bool:
        streamed = exchange.payload.get("stream")
        return await (tells(text) if streamed else says(200, completion(text)))(exchange)

    return reply


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Provider() as bad, Provider() as good:
        good.replies("good", behaves())
        with ExitStack() as stack:
            yield Desk(bad, good, stack)
        assert eventually(lambda: not (bad.open or good.open)), "a connection is still open"


def eventually(holds: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Return whether it holds within some seconds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


# ---------------------------------------------------------------------------- the client


@frozen
class Answer:
    """What a client got.

    Attributes:
        status: Of the response.
        text: What was said.
        ended: Whether it says that it is whole: a body of 200, or a stream up to `[DONE]`.
        error: The error, of the body or of the last event.
        headers: Of the response.
        seconds: Until its end.
    """

    status: int
    text: str
    ended: bool
    error: Mapping[str, Any] | None
    headers: Mapping[str, str]
    seconds: float

    @property
    def right(self) -> bool:
        return (self.status, self.text, self.ended, self.error) == (200, "Paris", True, None)


async def ask(
    client: httpx.AsyncClient, served: Served, content: str = "hi", *, stream: bool
) -> Answer:
    """Ask once, and read the answer to its end, which HTTP must mark."""
    messages = [{"role": "user", "content": content}]
    body = {"model": "auto", "messages": messages, "stream": stream}
    began = time.perf_counter()
    found = await client.post(f"{served.url}/v1/chat/completions", json=body)
    seconds = time.perf_counter() - began
    if "text/event-stream" not in found.headers["content-type"]:
        whole = found.json()
        said = whole["choices"][0]["message"]["content"] if found.status_code == 200 else ""
        error = whole.get("error")
        return Answer(found.status_code, said, error is None, error, found.headers, seconds)
    text, error, ended = "", None, False
    for block in found.text.split("\n\n")[:-1]:
        assert not ended, "something follows the end"
        assert error is None, "something follows an error"
        data = block.removeprefix("data: ")
        if data == "[DONE]":
            ended = True
            continue
        event = json.loads(data)
        error = event.get("error")
        for choice in event.get("choices") or ():
            text += choice.get("delta", {}).get("content") or ""
    return Answer(found.status_code, text, ended, error, found.headers, seconds)


@contextmanager
def _no_proxy() -> Iterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    yield httpx.AsyncClient(trust_env=False, timeout=30, limits=limits)


def run(work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """Return what *work* returns, given a client."""

    async def within() -> Any:
        with _no_proxy() as client:
            async with client, asyncio.timeout(60):
                return await work(client)

    return asyncio.run(within())


def one_by_one(served: Served, count: int) -> list[Answer]:
    """Return so many answers, streamed and whole in turn."""

    async def work(client: httpx.AsyncClient) -> list[Answer]:
        return [await ask(client, served, stream=bool(turn % 2)) for turn in range(count)]

    found: list[Answer] = run(work)
    return found


# ---------------------------------------------------------------------------- one of two fails


@pytest.mark.parametrize("fault", BEFORE_A_WORD)
def test_every_answer_is_right(desk: Desk, fault: str) -> None:
    """Rows 1 to 13, before a word: thirty requests, thirty answers, at most 1.2 calls each."""
    reply, asked = BEFORE_A_WORD[fault]
    desk.bad.replies("bad", reply)
    found = one_by_one(desk.serve(), 30)

    assert [answer for answer in found if not answer.right] == []
    assert desk.calls == (asked, 30)
    assert sum(desk.calls) <= 1.2 * 30
    assert {answer.headers["x-llmrouter-model"] for answer in found} == {"good"}
    assert max(answer.seconds for answer in found) < 3 * LIMIT + 1.0


@pytest.mark.parametrize("after", ["86400", "Wed, 21 Oct 2099 07:28:00 GMT", "-5", "soon"])
def test_no_retry_after_holds_anybody(desk: Desk, after: str) -> None:
    """Row 2: whatever a rate limit says, the other upstream answers now."""
    desk.bad.replies("bad", says(429, {}, Retry_After=after))
    found = one_by_one(desk.serve(), 10)

    assert all(answer.right for answer in found)
    assert desk.calls[0] <= 5
    assert max(answer.seconds for answer in found) < 1.0


def test_all_down_is_told_at_once(desk: Desk) -> None:
    """Row 4: 503 with the reasons and the time to come back, and no call is sent."""
    for provider, name in ((desk.bad, "bad"), (desk.good, "good")):
        provider.replies(name, says(503, {}))
    served = desk.serve()
    one_by_one(served, 5)
    before = desk.calls
    found = one_by_one(served, 20)

    assert desk.calls == before
    assert {answer.status for answer in found} == {503}
    assert all(1 <= int(answer.headers["retry-after"]) <= 5 for answer in found)
    assert all(
        name in answer.error["message"]
        for answer in found
        if answer.error
        for name in ("bad", "good")
    )
    assert statistics.median(answer.seconds for answer in found) < 0.05


def test_a_closed_port_costs_nothing(desk: Desk) -> None:
    """Row 5."""
    found = one_by_one(desk.serve(url=f"http://127.0.0.1:{closed_port()}/v1"), 20)

    assert all(answer.right for answer in found)


def test_no_key_is_sent_where_tls_fails(desk: Desk) -> None:
    """Row 6: what stands there speaks no TLS; nobody falls back to plain text."""
    heard = []

    async def listen(exchange: Exchange) -> bool:
        heard.append(exchange)
        return False

    desk.bad.replies("bad", listen)
    found = one_by_one(desk.serve(url=desk.bad.url.replace("http:", "https:")), 10)

    assert all(answer.right for answer in found)
    assert heard == []


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        *((fault, True) for fault in AFTER_A_WORD),
        *((fault, False) for fault in ("9: stall", "11: cut", "12: error event")),
    ],
)
def test_an_answer_that_breaks_off_says_so(desk: Desk, fault: str, stream: bool) -> None:
    """Rows 8 to 12, after a word: an error five times, as event or as status; then the other."""
    reply, _ = AFTER_A_WORD[fault]
    desk.bad.replies("bad", reply)
    served = desk.serve()

    async def work(client: httpx.AsyncClient) -> list[Answer]:
        return [await ask(client, served, stream=stream) for _ in range(12)]

    found = run(work)
    for answer in found[:5]:
        assert answer.error is not None
        assert not answer.ended
        assert answer.text == ("Pa" if stream else "")
        assert answer.status == 200 if stream else answer.status in (502, 503, 504)
    assert all(answer.right for answer in found[5:])
    assert desk.calls == (5, 7)


# ---------------------------------------------------------------------------- cuts

SPOKEN = SHORT.index(b"\n\n") + 1  # the first event counts with the line that ends it
FINISH = SHORT.index(b"\n\n", SHORT.index(b'"stop"')) + 1


def sampled(size: int, count: int) -> list[int]:
    """Return offsets where a body may be cut: where it matters, and some others."""
    edges = {0, 1, SPOKEN - 1, SPOKEN + 1, FINISH - 1, FINISH + 1, size - 1, size}
    return sorted(edges | set(Random(0).sample(range(size), count)))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_no_cut_is_ever_silent(desk: Desk, stream: bool) -> None:
    """Row 11: cut in three framings, each ends whole, from whoever, or as an error."""
    cuts = [
        (framing, cut) for framing in ("clean", "cut", "eof") for cut in sampled(len(SHORT), 40)
    ]

    async def cut_as_told(exchange: Exchange) -> bool:
        framing, cut = json.loads(exchange.payload["messages"][0]["content"])
        return await breaks(SHORT[:cut], framing)(exchange)

    desk.bad.replies("bad", cut_as_told)
    desk.good.replies("good", behaves("Lyon"))
    served = desk.serve(limit=10.0, breaker=NEVER)

    async def work(client: httpx.AsyncClient) -> list[Answer]:
        jobs = [
            lambda cut=cut: ask(client, served, json.dumps(cut), stream=stream) for cut in cuts
        ]
        return await several(jobs)

    for (framing, cut), answer in zip(cuts, run(work), strict=True):
        silent = answer.ended and answer.text not in ("Paris", "Lyon")
        assert not silent, f"{framing} {cut}: {answer}"
        assert answer.ended != (answer.error is not None)
        if cut < SPOKEN:
            assert (answer.text, answer.ended) == ("Lyon", True)
        elif SPOKEN < cut < FINISH:
            assert answer.error is not None
        elif cut > FINISH:
            assert (answer.text, answer.ended) == ("Paris", True)


def test_no_cut_of_a_whole_body_passes(desk: Desk) -> None:
    """Row 10: the body is shorter than its length says, or is as long as that and no JSON."""
    whole = json.dumps(completion("Paris")).encode()
    cuts = [(honest, cut) for honest in (0, 1) for cut in (0, 1, 20, len(whole) // 2, -1)]

    async def cut_as_told(exchange: Exchange) -> bool:
        honest, cut = json.loads(exchange.payload["messages"][0]["content"])
        body = whole[:cut]
        head = f"Content-Length: {len(body if honest else whole)}\r\n\r\n"
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head.encode() + body
        )
        return bool(honest)

    desk.bad.replies("bad", cut_as_told)
    desk.good.replies("good", behaves("Lyon"))
    served = desk.serve(limit=10.0, breaker=NEVER)

    async def work(client: httpx.AsyncClient) -> list[Answer]:
        jobs = [lambda cut=cut: ask(client, served, json.dumps(cut), stream=False) for cut in cuts]
        return await several(jobs)

    found = run(work)
    assert {(answer.status, answer.text) for answer in found} == {(200, "Lyon")}


# ---------------------------------------------------------------------------- time


def failover_seconds(desk: Desk, count: int) -> tuple[list[float], list[float]]:
    """Return what requests take where the first upstream fails at once, and where none does."""

    async def as_told(exchange: Exchange) -> bool:
        fails = exchange.payload["messages"][0]["content"] == "fail"
        return await (says(500, {}) if fails else behaves())(exchange)

    desk.bad.replies("bad", as_told)
    served = desk.serve(limit=10.0, breaker=NEVER)

    async def work(client: httpx.AsyncClient) -> list[Answer]:
        return [
            await ask(client, served, word, stream=True)
            for _ in range(count)
            for word in ("fail", "well")
        ]

    found = run(work)
    assert all(answer.right for answer in found)
    seconds = [answer.seconds for answer in found]
    return seconds[::2], seconds[1::2]


def test_a_failover_takes_no_time(desk: Desk) -> None:
    """Row 1: 20 ms over what a healthy answer takes, and much less on an idle machine."""
    failed, healthy = failover_seconds(desk, 40)

    assert statistics.median(failed) - statistics.median(healthy) < 0.1


# ---------------------------------------------------------------------------- leaving


@pytest.mark.parametrize("case", ["whole", "streamed", "during a fallback"])
def test_whoever_leaves_is_not_answered(desk: Desk, case: str) -> None:
    """Row 14: the upstream's connection is closed within 250 ms, and nothing is left."""
    begun = sse(story()[:3])
    desk.bad.replies("bad", says(500, {}) if case == "during a fallback" else stalls(begun))
    desk.good.replies("good", stalls(begun))
    served = desk.serve(limit=30.0, breaker=NEVER)
    provider, name = (desk.good, "good") if case == "during a fallback" else (desk.bad, "bad")
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": case != "whole"}
    data = json.dumps(body).encode()
    took = []

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    async def leave() -> None:
        asked = len(provider.asked[name])
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
        )
        if body["stream"]:
            while b'"a"' not in await reader.readline():
                pass
        assert await asyncio.to_thread(eventually, lambda: len(provider.asked[name]) > asked)
        began = time.perf_counter()
        writer.close()
        while provider.open:
            assert time.perf_counter() - began < 2
            await asyncio.sleep(0.002)
        took.append(time.perf_counter() - began)

    before = served.run(tasks())
    for _ in range(10):
        asyncio.run(leave())
    assert statistics.median(took) < 0.25
    assert eventually(lambda: not served.busy)
    assert eventually(lambda: served.run(tasks()) <= before)
    assert served.gateway.metrics.totals()["clients_left"] == 10


# ---------------------------------------------------------------------------- size and number


def learned(desk: Desk) -> LLMRouter:
    """Return a router that decides by what it learned, and asks the good upstream."""
    rng = np.random.default_rng(0)
    names = ("good", "good as well")
    price = Price(input=1.0, output=2.0)
    router = LLMRouter(
        models=[Model(name=name, id="good", price=price) for name in names],
        parts=[
            HashingEmbedder(),
            KnnScorer(),
            PriceScorer(),
            UtilitySelector(),
            OpenaiCaller(base_url=desk.good.url),
        ],
    )
    texts = [" ".join(rng.choice([f"word{n}" for n in range(99)], 9)) for _ in range(60)]
    return router.fit(
        Dataset(
            queries=tuple(Query(text=text) for text in texts),
            models=names,
            quality=rng.random((60, 2)),
        )
    )


def test_a_huge_prompt_holds_nobody_up(desk: Desk) -> None:
    """Row 26b: a megabyte is routed and sent on while others are answered as ever."""
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - began)

    with Served(learned(desk)) as served:
        task = asyncio.run_coroutine_threadsafe(watch(), served.loop)
        huge = "longer words " * 80_000

        async def work(client: httpx.AsyncClient) -> list[Answer]:
            for _ in range(60):  # until decisions are taken on the loop
                assert (await ask(client, served, stream=False)).right
            gaps.clear()
            return [await ask(client, served, huge, stream=True) for _ in range(6)]

        found = run(work)
        task.cancel()
    assert all(answer.right for answer in found)
    assert found[0].headers["x-llmrouter-reason"] == "routed"
    assert sorted(gaps)[int(0.99 * len(gaps))] < 0.1
    assert max(gaps) < 0.5


def test_a_crowd_is_queued_and_then_told(desk: Desk) -> None:
    """Row 31: eight at once, sixteen in line, and 429 for the rest; nobody is dropped."""
    busy = most = 0

    async def slowly(exchange: Exchange) -> bool:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.05)
        busy -= 1
        return await behaves()(exchange)

    desk.bad.replies("bad", slowly)
    served = desk.serve(limit=30.0, concurrent=8, queue=16, queue_seconds=20.0)

    async def work(client: httpx.AsyncClient) -> tuple[list[Answer], Answer]:
        crowd = [ask(client, served, stream=bool(turn % 2)) for turn in range(200)]
        return await asyncio.gather(*crowd), await ask(client, served, stream=True)

    found, later = run(work)
    right = [answer for answer in found if answer.right]
    shed = [answer for answer in found if answer.status == 429]
    assert len(right) + len(shed) == 200
    assert len(right) >= 24
    assert most <= 8
    assert all(answer.headers["retry-after"] == "1" for answer in shed)
    assert {answer.error["code"] for answer in shed if answer.error} == {"overloaded"}
    assert later.right
    assert not served.busy
