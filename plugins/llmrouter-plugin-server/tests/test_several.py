"""Several processes, one budget: what passes is what the key may spend, to the call.

These are whole servers asked over HTTP; `test_keeping.py` races the stores alone.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import HELLO, Process

WORKERS, MAY, ASKED = 4, 100, 1000
CONFIG = """
caller = "sim"
selector = "smallest-llm"
[model.only]
id = "sim-tiny"
price = { input = 0.1, output = 0.2 }
"""
LOST = "lost"  # its worker was killed

pytestmark = pytest.mark.slow


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of its own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; install it: apt-get install redis-server")
    if importlib.util.find_spec("llmrouter_plugin_redis") is None:
        pytest.skip("llmrouter-plugin-redis is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait()


def key(store: str, folder: Path) -> str:
    """Return the token of a new key of a hundred calls, made as its owner makes it."""
    command = [sys.executable, "-m", "llmrouter_core", "keys", "add", "ada", "--json"]
    command += ["--calls", str(MAY), "--store", store]
    made = subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True)
    return str(json.loads(made.stdout)["key"])


async def ask(port: int, token: str) -> str:
    """Return the status of one request on a connection of its own."""
    body = json.dumps({"model": "auto", "messages": HELLO}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
    except ConnectionError:
        return LOST
    return answer[9:12].decode() or LOST


async def ask_all(port: int, token: str) -> Counter[str]:
    """Return how many of all requests, sent at once, had which status."""
    return Counter(await asyncio.gather(*(ask(port, token) for _ in range(ASKED))))


def serve(folder: Path, store: str) -> Process:
    """Start the server, and wait until all of its workers take part."""
    config = folder / "router.toml"
    config.write_text(CONFIG)
    served = Process(config, "--workers", str(WORKERS), "--keys", store, "--log", "log")
    ends, before = time.monotonic() + 30, None
    while (now := [spent(pid) for pid in workers(served)]) != before or len(now) < WORKERS:
        assert time.monotonic() < ends
        before = now
        time.sleep(0.4)  # whoever still starts has used some CPU by then
    assert served.ask("/readyz")[0] == 200
    return served


def spent(pid: int) -> str:
    """Return the time a process has used so far, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{fields[11]} {fields[12]}"


def busiest(served: Process) -> int:
    """Return the worker that has most connections."""
    return max(workers(served), key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))


def workers(served: Process) -> list[int]:
    pid = served.process.pid
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_four_workers_pass_a_hundred_calls_of_a_thousand(tmp_path: Path) -> None:
    """With SQLite."""
    race(tmp_path, "keys.db")


def test_four_workers_pass_a_hundred_calls_of_a_thousand_on_redis(
    tmp_path: Path, redis: str
) -> None:
    """With Redis."""
    race(tmp_path, redis)


def race(folder: Path, store: str) -> None:
    token = key(store, folder)
    served = serve(folder, store)
    try:
        before = [spent(pid) for pid in workers(served)]
        found = asyncio.run(ask_all(served.port, token))
        after = [spent(pid) for pid in workers(served)]
    finally:
        code = served.stop()
    files = list((folder / "log").glob("decisions-*"))  # each worker has its own
    answered = [json.loads(line) for file in files for line in file.read_text().splitlines()]

    assert found == {"200": MAY, "429": ASKED - MAY}
    assert len({entry["id"] for entry in answered}) == MAY
    assert sum(one != other for one, other in zip(before, after, strict=True)) > 1
    assert code == 0


def test_a_worker_that_is_killed_never_lets_more_through(tmp_path: Path) -> None:
    """What it had reserved is lost to the key, and never spent twice."""
    token = key("keys.db", tmp_path)
    served = serve(tmp_path, "keys.db")

    async def load() -> Counter[str]:
        asking = [asyncio.create_task(ask(served.port, token)) for _ in range(ASKED)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        os.kill(busiest(served), signal.SIGKILL)
        return Counter(await asyncio.gather(*asking))

    try:
        found = asyncio.run(load())
        again = asyncio.run(ask_all(served.port, token))
    finally:
        served.stop()

    assert found["200"] + again["200"] <= MAY
    assert set(found) <= {"200", "429", LOST}
    assert found[LOST] > 0
