"""What a call costs beside a bare aiohttp call: CPU on one thread, in one run.

    python tests/benchmarks/calling.py

A provider in a process of its own answers at once: in one piece, with a stream of events written
together, or with a stream whose events come one by one. Asked are aiohttp alone (which parses the
answer and nothing more), the `openai` caller on each transport that is installed, and a whole
router around it. Every subject is timed in every round, so that noise hits all alike; a figure is
the median over rounds of `time.process_time`, which leaves out waiting and the provider.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

from llmrouter_plugin_openai import OpenaiCaller
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

from llmrouter_core import LLMRouter, Model, Query, Request

EVENTS = 200
PAUSE = 0.001  # seconds between events that come one by one
MESSAGES = [{"role": "user", "content": "What is the capital of France? " * 12}]
ASK = {"messages": MESSAGES, "model": "a", "temperature": 0.5}

Ask = Callable[[str], Awaitable[int]]
"""Asks in one of the three ways and returns how many pieces of text came."""


# ---------------------------------------------------------------------------- the provider


def _completion() -> bytes:
    message = {"role": "assistant", "content": "The capital of France is Paris. " * 8}
    body = {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "a",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 92, "completion_tokens": 64, "total_tokens": 156},
    }
    return json.dumps(body).encode()


def _events() -> list[bytes]:
    def event(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        body = {
            "id": "chatcmpl-0123456789",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "a",
            "system_fingerprint": "fp_0123456789",
            "choices": [choice],
        }
        return b"data: %b\n\n" % json.dumps(body, separators=(",", ":")).encode()

    words = [event({"content": f" word{n}"}) for n in range(EVENTS - 2)]
    return [event({"role": "assistant", "content": ""}), *words, event({}, "stop")]


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


_PLAIN = _completion()
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "
_WHOLE = b"%bapplication/json\r\nContent-Length: %d\r\n\r\n%b" % (_HEAD, len(_PLAIN), _PLAIN)
_STREAM = _HEAD + b"text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_DONE = _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_TOGETHER = _STREAM + b"".join(map(_chunked, _events())) + _DONE


class _Provider(asyncio.Protocol):
    """Answers by the model's name in the payload: `plain`, `together` or `one by one`."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, found, body = self.seen.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < size:
            return
        self.seen = b""
        if b'"one by one"' in body:
            self.task = asyncio.get_running_loop().create_task(self.tell())
        else:
            self.transport.write(_TOGETHER if b'"together"' in body else _WHOLE)

    async def tell(self) -> None:
        self.transport.write(_STREAM)
        for event in _events():
            self.transport.write(_chunked(event))
            await asyncio.sleep(PAUSE)
        self.transport.write(_DONE)


async def serve() -> None:
    """Print the port, and answer until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Provider, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


# ---------------------------------------------------------------------------- the subjects


async def bare(stack: AsyncExitStack, url: str) -> Ask:
    """Return how aiohttp asks by itself: the events are cut apart, none is looked into."""
    import aiohttp

    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def ask(way: str) -> int:
        payload = json.dumps({**ASK, "model": way, "stream": way != "plain"}).encode()
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{url}/chat/completions", data=payload, headers=headers) as got:
            if way == "plain":
                return len(json.loads(await got.read())["choices"])
            pieces, rest = 0, b""
            async for piece in got.content.iter_any():
                *events, rest = (rest + piece).split(b"\n\n")
                pieces += len(events)
            return pieces - 1

    return ask


async def caller(stack: AsyncExitStack, url: str, transport: str) -> Ask:
    """Return how the caller asks, without a router."""
    part = OpenaiCaller(base_url=url, transport=transport)
    await stack.enter_async_context(part.lifespan())
    calls = {way: part.call(Model(name=way)) for way in WAYS}

    async def ask(way: str) -> int:
        call = calls[way]
        assert call is not None
        pieces = 0
        async with aclosing(call(Request(payload={**ASK, "stream": way != "plain"}))) as chunks:
            async for _ in chunks:
                pieces += 1
        return pieces

    return ask


async def routed(stack: AsyncExitStack, url: str, transport: str) -> Ask:
    """Return how a router asks: decision, single shot, session, caller."""
    routers = {}
    for way in WAYS:
        parts = [SmallestLlmSelector(), OpenaiCaller(base_url=url, transport=transport)]
        routers[way] = LLMRouter(models=[Model(name=way, size=1.0)], parts=parts)
        await stack.enter_async_context(routers[way])
        for _ in range(60):  # until decisions are known to be quick, and are taken on the loop
            await routers[way].session().decide(Query.of(ASK))

    async def ask(way: str) -> int:
        router, pieces = routers[way], 0
        session = router.session()
        stream = router.astream({**ASK, "stream": way != "plain"}, session=session)
        async with aclosing(stream) as chunks:
            async for _ in chunks:
                pieces += 1
        return pieces

    return ask


WAYS = {"plain": 1, "together": EVENTS, "one by one": EVENTS}


async def measure(url: str, rounds: int, times: int) -> dict[str, dict[str, float]]:
    """Return the microseconds a call takes, by subject and way."""
    found = importlib.util.find_spec("aiohttp") is not None
    transports = ["aiohttp", "httpx"] if found else ["httpx"]
    async with AsyncExitStack() as stack:
        subjects = {"bare aiohttp": await bare(stack, url)} if found else {}
        for transport in transports:
            subjects[f"caller, {transport}"] = await caller(stack, url, transport)
            subjects[f"router, {transport}"] = await routed(stack, url, transport)
        spent: dict[tuple[str, str], list[float]] = {(s, w): [] for s in subjects for w in WAYS}
        for _ in range(rounds):
            for way, pieces in WAYS.items():
                count = times if way == "plain" else max(1, times // 40)
                for name, ask in subjects.items():
                    await ask(way)  # so that every subject starts warm
                    started = time.process_time()
                    for _ in range(count):
                        assert await ask(way) == pieces
                    spent[name, way].append((time.process_time() - started) / count * 1e6)
    return {s: {way: statistics.median(spent[s, way]) for way in WAYS} for s in subjects}


def main() -> None:
    """Print a row for each subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop, as a server does")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=200, help="plain calls in a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    program = [sys.executable, str(Path(__file__)), "--serve"]
    with subprocess.Popen(program, stdin=-1, stdout=-1, text=True) as provider:  # -1: a pipe
        assert provider.stdout is not None
        url = f"http://127.0.0.1:{provider.stdout.readline().strip()}/v1"
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                figures = runner.run(measure(url, options.rounds, options.times))
        finally:
            provider.communicate()
    if options.json:
        print(json.dumps(figures))
        return
    base = next(iter(figures.values()))
    print(f"{'CPU':16} {'a plain call':>24} {'an event of ' + str(EVENTS):>24} {'one by one':>24}")
    for name, each in figures.items():
        cells = []
        for way, pieces in WAYS.items():
            ratio = each[way] / base[way]
            cells.append(f"{each[way] / pieces:9.1f} us {ratio:8.2f} x")
        print(f"{name:16} {' '.join(f'{cell:>24}' for cell in cells)}")


if __name__ == "__main__":
    main()
