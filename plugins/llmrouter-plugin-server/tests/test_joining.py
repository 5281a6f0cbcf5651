"""Writes of one turn are one write, in order, and none waits for long or without bound."""

from __future__ import annotations

import asyncio

from llmrouter_plugin_server.joining import Joined


class Wire:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


def test_writes_of_one_turn_are_one() -> None:
    async def talk(wire: Wire) -> None:
        joined = Joined(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
        joined.write(b"head ")
        joined.write(b"body")
        assert wire.sent == []
        await asyncio.sleep(0)
        assert wire.sent == [b"head body"]
        joined.write(b"later")
        await asyncio.sleep(0)
        assert joined.get_extra_info("peer") == "the peer"

    asyncio.run(talk(wire := Wire()))
    assert wire.sent == [b"head body", b"later"]


def test_much_does_not_wait() -> None:
    """Whoever writes without a pause must feel that the reader is slow."""

    async def talk(wire: Wire) -> None:
        joined = Joined(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
        for _ in range(5):
            joined.write(b"x" * 20_000)
        assert [len(data) for data in wire.sent] == [80_000]

    asyncio.run(talk(Wire()))


def test_nothing_is_lost_on_closing_and_nothing_written_after_it() -> None:
    async def talk(wire: Wire) -> None:
        joined = Joined(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
        joined.write(b"goodbye")
        joined.close()
        assert wire.sent == [b"goodbye"]
        joined.write(b"more")
        await asyncio.sleep(0)
        assert wire.sent == [b"goodbye"]

    asyncio.run(talk(Wire()))
