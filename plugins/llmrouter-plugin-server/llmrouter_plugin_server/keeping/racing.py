"""Processes that race for one budget: what no store may let through, whatever kills them.

    python -m llmrouter_plugin_server.keeping.racing ADDRESS ATTEMPTS DOLLARS

reads a key from its input and says `ready`; then it makes that many attempts at once and writes
`+` for each that passes. With `--hold` it settles none and waits to be killed.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from llmrouter_plugin_server.keeping.addresses import store_at
from llmrouter_plugin_server.keeping.errors import OverLimit
from llmrouter_plugin_server.keeping.keeper import Keeper

_TOGETHER = 64  # attempts of a process at the same time


@contextmanager
def racers(
    address: str, token: str, count: int, attempts: int, dollars: float, *, hold: bool = False
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start *count* processes, and let them go when all are ready; end what is left of them."""
    command = [sys.executable, "-P", "-m", __name__, address, str(attempts), repr(dollars)]
    command += ["--hold"] if hold else []
    started = [
        subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for _ in range(count)
    ]
    try:
        for process in started:
            _tell(process, token)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            _tell(process, "go")
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def passed(process: subprocess.Popen[str]) -> int:
    """Return how many attempts passed, once *process* is over."""
    output, _ = process.communicate(timeout=60)
    return output.count("+")


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


async def _race(address: str, attempts: int, dollars: float, hold: bool) -> None:
    token = sys.stdin.readline().strip()
    gate = asyncio.Semaphore(_TOGETHER)
    async with Keeper(store=store_at(address)) as keeper:
        holder = await keeper.identify(token)

        async def attempt() -> None:
            async with gate:
                try:
                    lease = await keeper.reserve(holder, dollars)
                except OverLimit:
                    return
                _say("+")
                await asyncio.sleep(0)
                if not hold:
                    await keeper.settle(lease, dollars)

        _say("ready")
        sys.stdin.readline()
        await asyncio.gather(*(attempt() for _ in range(attempts)))
        if hold:
            _say("holding")
            await asyncio.Event().wait()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("attempts", type=int)
    parser.add_argument("dollars", type=float)
    parser.add_argument("--hold", action="store_true")
    given = parser.parse_args()
    asyncio.run(_race(given.address, given.attempts, given.dollars, given.hold))
