"""What the gateway costs: requests a second, waiting, CPU and memory, beside others.

    python tests/benchmarks/gateway.py --json gateway.json
    python tests/benchmarks/gateway.py --litellm venv/bin/python   # one with litellm[proxy]

All subjects answer from the same mock provider in one run: `llmrouter serve` with routing
(hashing and kNN), a key, metrics, decision records, and the retries, circuits and filter that it
adds by itself; relays of Starlette with aiohttp and with httpx that only pass on; LiteLLM's proxy
with a key, where it is asked for; and the mock itself. Requests that name their model show what is
left when nothing is decided. Each subject is a process on core 0, the mock and the load are on
core 1. A closed loop holds c connections busy; each cell is the median of rounds in which the
subjects take turns. CPU is that of the subject with all its threads and children, from /proc.
What is printed last of a cell is how often ours goes into the others: their CPU by ours, and our
requests a second by theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

MODELS = 6
ANSWER = "A sentence of an answer that is neither short nor long. " * 6
EVENTS = 20  # content events of a stream that comes at once
PACED = 50  # content events of a stream that comes one by one
PACE = 0.005  # seconds between them
OURS = "llmrouter serve"
LITELLM = "LiteLLM proxy"
DIRECT = "direct"


# ---------------------------------------------------------------------------- the mock provider


def sse(count: int) -> list[bytes]:
    """Return the events of a stream of *count* words, the finish and the usage."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    found = [
        {**head, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
        for _ in range(count)
    ]
    found.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count}
    found.append({**head, "choices": [], "usage": usage})
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in found]


def chunk(data: bytes) -> bytes:
    """Return *data* as one piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_END = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_AT_ONCE = _STREAM_HEAD + b"".join(map(chunk, sse(EVENTS))) + _END
_ONE_BY_ONE = [chunk(event) for event in sse(PACED)]
_WHOLE = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 80, "total_tokens": 180},
    }
).encode()
_PLAIN = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    % len(_WHOLE)
) + _WHOLE


class Mock(asyncio.Protocol):
    """Answers every request, by what its body says: whole, streamed at once, or one by one."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            start = head.find(b"content-length:")
            size = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self.buffer) < end + 4 + size:
                return
            start, end = end + 4, end + 4 + size
            body, self.buffer = self.buffer[start:end], self.buffer[end:]
            if b'"stream":true' not in body and b'"stream": true' not in body:
                self.transport.write(_PLAIN)
            elif b"one by one" not in body:
                self.transport.write(_AT_ONCE)
            else:
                self.transport.write(_STREAM_HEAD)
                self._next(0)

    def _next(self, place: int) -> None:
        if self.transport.is_closing():
            return
        if place == len(_ONE_BY_ONE):
            self.transport.write(_END)
            return
        self.transport.write(_ONE_BY_ONE[place])
        asyncio.get_running_loop().call_later(PACE, self._next, place + 1)


def mock(port: int) -> None:
    """Serve the mock provider until killed."""
    import uvloop

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(
            Mock, "127.0.0.1", port, backlog=2048
        )
        await server.serve_forever()

    uvloop.run(serve())


# ---------------------------------------------------------------------------- the bare relays


def relay(port: int, upstream: str, client: str) -> None:
    """Serve a relay of Starlette and a client, `aiohttp` or `httpx`, until killed."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Route

    url = f"{upstream}/v1/chat/completions"
    lifespan, pass_on = (by_httpx if client == "httpx" else by_aiohttp)(url)
    routes = [Route("/v1/chat/completions", pass_on, methods=["POST"])]
    app = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_config=None)


_SENT = {"content-type": "application/json"}


def by_aiohttp(url: str) -> tuple[Any, Any]:
    """Return a lifespan and an endpoint that pass on by aiohttp."""
    import aiohttp
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            app.state.session = session
            yield

    async def pass_on(request: Request) -> Response:
        body = await request.body()
        found = await request.app.state.session.post(url, data=body, headers=_SENT)
        kind = found.headers["content-type"]
        if kind != "text/event-stream":
            return Response(await found.read(), found.status, media_type=kind)

        async def pieces() -> Any:
            async with found:
                async for piece in found.content.iter_any():
                    yield piece

        return StreamingResponse(pieces(), found.status, media_type=kind)

    return lifespan, pass_on


def by_httpx(url: str) -> tuple[Any, Any]:
    """Return a lifespan and an endpoint that pass on by httpx."""
    import httpx
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60.0) as session:
            app.state.session = session
            yield

    async def pass_on(request: Request) -> Response:
        session, body = request.app.state.session, await request.body()
        asked = session.build_request("POST", url, content=body, headers=_SENT)
        found = await session.send(asked, stream=True)
        kind = found.headers["content-type"]
        if kind != "text/event-stream":
            whole = await found.aread()
            await found.aclose()
            return Response(whole, found.status_code, media_type=kind)

        async def pieces() -> Any:
            try:
                async for piece in found.aiter_raw():
                    yield piece
            finally:
                await found.aclose()

        return StreamingResponse(pieces(), found.status_code, media_type=kind)

    return lifespan, pass_on


# ---------------------------------------------------------------------------- LiteLLM's proxy


def litellm(python: Path, folder: Path, upstream: str, token: str, port: int) -> list[str]:
    """Return the command of a proxy of one worker, which asks for *token* and knows our models."""
    listed = [
        {
            "model_name": name,
            "litellm_params": {
                "model": "openai/model-0",
                "api_base": f"{upstream}/v1",
                "api_key": "none",
            },
        }
        for name in ("auto", "model-0")
    ]
    config = folder / "litellm.json"  # which is YAML as well
    settings = {"telemetry": False, "num_retries": 2}
    general = {"master_key": token}
    config.write_text(
        json.dumps(
            {"model_list": listed, "litellm_settings": settings, "general_settings": general}
        )
    )
    run = "from litellm.proxy.proxy_cli import run_server; run_server()"
    command = [str(python), "-c", run, "--config", str(config), "--host", "127.0.0.1"]
    return [*command, "--port", str(port), "--num_workers", "1"]


# ---------------------------------------------------------------------------- our own server


def prepare(folder: Path, upstream: str, learned: int) -> str:
    """Write a config, what it learned and a key into *folder*, and return the key."""
    import numpy as np
    from llmrouter_plugin_server.keeping import new, store_at

    from llmrouter_core import Dataset, LLMRouter, Query

    tables = [
        '[router]\nartefacts = "artefacts"\n[embedder]\nuse = "hashing"\n',
        '[scorer.quality]\nuse = "knn"\n[scorer.cost]\nuse = "price"\n',
        '[selector]\nuse = "utility"\n',
        f'[caller.default]\nuse = "openai"\nbase_url = "{upstream}/v1"\nconnections = 1000\n',
    ]
    for place in range(MODELS):
        price = f"{{ input = {place + 1}.0, output = {2 * place + 2}.0 }}"
        tables.append(f"[model.model-{place}]\nprice = {price}\ncontext = 128000\n")
    config = folder / "router.toml"
    config.write_text("".join(tables))
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(500)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(learned)]
    shape = (learned, MODELS)
    dataset = Dataset(
        queries=tuple(Query(text=text) for text in texts),
        models=tuple(f"model-{place}" for place in range(MODELS)),
        quality=(rng.random(shape) < 0.6).astype(float),
        output_tokens=rng.integers(20, 400, shape).astype(float),
    )
    router = LLMRouter(config)
    router.fit(dataset).save(folder / "artefacts")
    record, token = new("bench")

    async def add() -> None:
        store = store_at(str(folder / "keys.db"))
        await store.open()
        await store.add(record)
        await store.aclose()

    asyncio.run(add())
    return token


# ---------------------------------------------------------------------------- the load


class Connection(asyncio.Protocol):
    """Sends requests one after the other, and notes how long each took."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        if time.perf_counter() >= self.load.ends:
            self.transport.close()
            return
        self.buffer, self.first = b"", 0.0
        self.began = time.perf_counter()
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        if not self.first and len(self.buffer) > head + 4:
            self.first = time.perf_counter() - self.began
        if self.load.streamed:
            done = self.buffer.endswith(b"0\r\n\r\n")
        else:
            start = self.buffer.lower().find(b"content-length:")
            size = int(self.buffer[start + 15 : start + 40].split(b"\r\n", 1)[0])
            done = len(self.buffer) >= head + 4 + size
        if not done:
            return
        if not self.buffer.startswith(b"HTTP/1.1 200") or b"error" in self.buffer:
            raise SystemExit(f"a wrong answer: {self.buffer[:300]!r}")
        self.load.took.append(time.perf_counter() - self.began)
        self.load.firsts.append(self.first)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.open -= 1
        if not self.load.open:
            self.load.over.set_result(None)


class Load:
    """A closed loop of connections for some seconds."""

    def __init__(self, requests: Sequence[bytes], streamed: bool, seconds: float) -> None:
        self.requests, self.streamed, self.seconds = requests, streamed, seconds
        self.took: list[float] = []
        self.firsts: list[float] = []
        self.place = self.open = 0

    def next(self) -> bytes:
        self.place += 1
        return self.requests[self.place % len(self.requests)]

    async def run(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        self.over, self.open = loop.create_future(), connections
        self.ends = time.perf_counter() + self.seconds
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        await self.over


def requests_of(token: str, *, streamed: bool, content: str, model: str) -> list[bytes]:
    """Return some requests, each about something else."""
    found = []
    for number in range(64):
        text = f"word{7 * number} word{3 * number} word{number} {content}"
        body = json.dumps(
            {
                "model": model,
                "messages": [{"role": "user", "content": text}],
                "temperature": 0.2,
                "stream": streamed,
            }
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


# ---------------------------------------------------------------------------- measuring


class Subject:
    """A process that answers.

    Attributes:
        boot: Seconds from its start to its first answer.
    """

    def __init__(self, name: str, command: Sequence[str], port: int, core: int) -> None:
        self.name, self.port = name, port
        quiet = name == LITELLM
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        while time.perf_counter() - began < 120:
            if self.process.poll() is not None:
                raise SystemExit(f"{name} ended with {self.process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", port), 0.1) as trial:
                    trial.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    trial.settimeout(5)
                    trial.recv(1)
                    break
            except OSError:
                time.sleep(0.005)
        self.boot = time.perf_counter() - began

    def cpu(self) -> float:
        """Return the seconds of CPU that all threads of it and its children have used."""
        total = 0
        for pid in family(self.process.pid):
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:  # a thread that has just ended
                    continue
        return total / 1e9

    def memory(self) -> float:
        """Return the megabytes it and its children hold."""
        total = 0
        for pid in family(self.process.pid):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
        return total / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def family(pid: int) -> list[int]:
    """Return *pid* and its children, and theirs."""
    found = [pid]
    for one in found:
        children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        found += map(int, children)
    return found


@contextmanager
def subjects(
    folder: Path, learned: int, proxy: Path | None
) -> Iterator[tuple[str, list[Subject]]]:
    """Start everybody, and yield the key and those that are measured; ours are the first."""
    ports = iter(free(5))
    own = [sys.executable, __file__]
    with ExitStack() as stack:

        def start(name: str, command: Sequence[str], port: int, core: int) -> Subject:
            found = Subject(name, command, port, core)
            stack.callback(found.stop)
            return found

        port = next(ports)
        upstream = f"http://127.0.0.1:{port}"
        others = [start(DIRECT, [*own, "mock", str(port)], port, 1)]
        token = prepare(folder, upstream, learned)
        for client in ("aiohttp", "httpx"):
            port = next(ports)
            command = [*own, "relay", str(port), upstream, client]
            others.append(start(f"Starlette + {client}", command, port, 0))
        if proxy is not None:
            port = next(ports)
            command = litellm(proxy, folder, upstream, token, port)
            others.append(start(LITELLM, command, port, 0))
        port = next(ports)
        command = [
            sys.executable,
            "-m",
            "llmrouter_core",
            "-q",
            "serve",
            str(folder / "router.toml"),
        ]
        command += ["--keys", str(folder / "keys.db"), "--log", str(folder / "log")]
        ours = start(OURS, [*command, "--port", str(port)], port, 0)
        yield token, [ours, *others]


def free(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def measure(
    subject: Subject, requests: Sequence[bytes], streamed: bool, connections: int, seconds: float
) -> dict[str, float]:
    """Return what one round of load found."""
    import uvloop

    load = Load(requests, streamed, seconds)
    before, began = subject.cpu(), time.perf_counter()
    uvloop.run(load.run(subject.port, connections))
    spent, lasted = subject.cpu() - before, time.perf_counter() - began
    took = sorted(load.took)
    return {
        "requests_per_second": len(took) / lasted,
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[int(0.99 * (len(took) - 1))],
        "first_ms": 1000 * statistics.median(load.firsts),
        "cpu_us": 1e6 * spent / len(took),
    }


def cells(levels: Sequence[int]) -> Iterator[tuple[str, bool, str, int]]:
    """Yield what is measured: a label, whether it is streamed, the prompt, the connections."""
    short = "What is the best way to word this question? " * 9  # 400 bytes
    for streamed in (False, True):
        for connections in levels:
            yield (
                f"{'stream' if streamed else 'plain'}, c={connections}",
                streamed,
                short,
                connections,
            )
    yield "plain, 200 kB prompt, c=4", False, "long words " * 18_200, 4
    yield "stream one by one, c=8", True, "one by one", 8


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", default="1,16,64,256")
    parser.add_argument("--only", default="", help="only cells whose label has this text")
    parser.add_argument("--learned", type=int, default=500, help="queries the router learned from")
    parser.add_argument("--litellm", type=Path, metavar="PYTHON", help="one with litellm[proxy]")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {1})
    levels = [int(level) for level in arguments.connections.split(",")]
    found: dict[str, Any] = {"learned": arguments.learned, "cells": {}, "ratios": {}}
    with (
        tempfile.TemporaryDirectory() as folder,
        subjects(Path(folder), arguments.learned, arguments.litellm) as (token, everybody),
    ):
        for label, streamed, content, connections in cells(levels):
            if arguments.only not in label:
                continue
            turns = {subject.name: (subject, "auto") for subject in everybody}
            turns[f"{OURS}, pinned"] = (everybody[0], "model-0")  # the same without deciding
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in turns}
            for number in range(arguments.rounds + 1):
                for name, (subject, model) in turns.items():
                    requests = requests_of(token, streamed=streamed, content=content, model=model)
                    row = measure(subject, requests, streamed, connections, arguments.seconds)
                    if number:  # the first round warms up
                        rounds[name].append(row)
            medians = {name: median(rows) for name, rows in rounds.items()}
            found["cells"][label] = medians
            show(label, medians)
            found["ratios"][label] = compare(medians)
        for subject in everybody:
            found[subject.name] = {"boot_s": subject.boot, "rss_mb": subject.memory()}
            print(f"{subject.name}: boot {subject.boot:.2f} s, RSS {subject.memory():.0f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


def median(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def show(label: str, medians: Mapping[str, Mapping[str, float]]) -> None:
    """Print one cell."""
    print(label)
    events = EVENTS + 2 if "one by one" not in label else PACED + 2
    for name, row in medians.items():
        event = f", {row['cpu_us'] / events:.0f} us an event" if "stream" in label else ""
        print(
            f"  {name:24} {row['requests_per_second']:8.0f} /s  p50 {row['p50_ms']:7.2f} ms  "
            f"p99 {row['p99_ms']:8.2f} ms  first {row['first_ms']:7.2f} ms  "
            f"CPU {row['cpu_us']:7.0f} us{event}",
            flush=True,
        )


def compare(medians: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Print and return how often ours goes into each of the others."""
    ours, found = medians[OURS], {}
    for name, row in medians.items():
        if name.startswith((OURS, DIRECT)):
            continue
        ratios = {
            "cpu": row["cpu_us"] / ours["cpu_us"],
            "requests_per_second": ours["requests_per_second"] / row["requests_per_second"],
        }
        found[name] = ratios
        print(
            f"  {name} takes {ratios['cpu']:.2f} x our CPU, and we answer "
            f"{ratios['requests_per_second']:.2f} x its requests a second",
            flush=True,
        )
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["mock"]:
        mock(int(sys.argv[2]))
    elif sys.argv[1:2] == ["relay"]:
        relay(int(sys.argv[2]), *sys.argv[3:5])
    else:
        main()
