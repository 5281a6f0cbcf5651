"""More clients than places, of whom some leave while they wait, and a model with faults.

The soak of tests/integration has every fault and another process, but nobody in it waits.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

from llmrouter_core import LLMRouter
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.keeping import Bounds, Keeper, Limits, new, store_at, units

from .gateways import Running

CONFIG = {
    "selector": "smallest-llm",
    "extension": ["retry"],
    "caller": {
        "default": {
            "use": "sim",
            "faults": {"rate_limit": 0.1, "unavailable": 0.1, "cut": 0.1, "malformed": 0.1},
        }
    },
}
CLIENTS, EACH = 20, 15


async def client(served: Running, token: str, number: int, found: dict[str, int]) -> None:
    """Ask again and again, streamed or not, and sometimes leave in the middle."""
    rng = random.Random(number)
    for _ in range(EACH):
        stream, leaves = rng.random() < 0.5, rng.random() < 0.2
        text = f"What is {rng.randrange(99)} * {rng.randrange(99)}?"
        messages = [{"role": "user", "content": text}]
        body = json.dumps({"messages": messages, "stream": stream, "model": "auto"}).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head.encode() + body)
        if leaves:
            await asyncio.sleep(rng.random() * 0.01)
            found["left"] += 1
            found["waited"] = max(found["waited"], served.gateway.metrics.totals()["waiting"])
        else:
            answer = await reader.read()
            whole = b"[DONE]" in answer if stream else answer.startswith(b"HTTP/1.1 200")
            told = b'"error"' in answer
            found["right" if whole and not told else "told" if told else "silent"] += 1
        writer.close()


def test_the_ledger_and_the_records_agree_to_the_last_digit(tmp_path: Path) -> None:
    """Over answers, fallbacks, faults, broken streams and clients that left."""
    record, token = new("load", limits=Limits(key=Bounds(dollars=100.0)))
    keeper = Keeper(store=store_at(str(tmp_path / "keys.db")))
    router = LLMRouter(CONFIG)
    options = ServerOptions(log=tmp_path / "log", concurrent=8)
    found = {"right": 0, "told": 0, "silent": 0, "left": 0, "waited": 0}

    async def load() -> None:
        clients = (client(served, token, number, found) for number in range(CLIENTS))
        await asyncio.gather(*clients)

    async def state() -> tuple[Any, int]:
        while keeper.under_way:
            await asyncio.sleep(0.01)
        holder = await keeper.identify(token)
        [(_, balance)] = (await keeper.store.balances(holder.charges(None))).items()
        return balance, len(asyncio.all_tasks())

    with Running(router, options, keeper=keeper) as served:
        served.run(keeper.store.add(record))
        _, before = served.run(state())
        asyncio.run(load())
        balance, after = served.run(state())
        stats = served.gateway.metrics.totals()
    lines = [
        line for path in (tmp_path / "log").glob("*") for line in path.read_text().splitlines()
    ]
    costs = [json.loads(line)["cost"] for line in lines]

    assert found["waited"] > 0
    assert found["silent"] == 0
    assert found["right"] > 0.5 * CLIENTS * EACH
    assert sum(units(cost) for cost in costs) == balance.spent
    assert (balance.reserved, balance.under_way) == (0, 0)
    assert stats["in_flight"] == stats["waiting"] == 0
    assert after <= before
