"""A client that leaves: whatever was done for it ends at once."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest
from llmrouter_core import Chunk, Model, Request
from llmrouter_plugin_server.app import ServerOptions

from .gateways import HELLO, Running, polite


class Endless:
    """A model that says a word now and then, or none, and never ends."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    async def __call__(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        self.begun.set()
        try:
            while True:
                if request.payload["stream"]:
                    yield Chunk(text="word ")
                await asyncio.sleep(0.01)
        finally:
            self.ended.set()


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    with Running(options=ServerOptions(insecure=True, concurrent=2)) as running:
        yield running


@pytest.fixture
def served(shared: Running) -> Running:
    shared.behave()
    return shared


def send(served: Running, path: str = "/v1/chat/completions", **fields: object) -> socket.socket:
    body = json.dumps({"messages": HELLO, **fields}).encode()
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=5)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_call(served: Running, stream: bool) -> None:
    served.caller.script = endless = Endless()
    connection = send(served, stream=stream)
    assert endless.begun.wait(5)
    connection.close()

    assert endless.ended.wait(0.25)


def test_its_place_is_free_again(served: Running) -> None:
    for _ in range(5):  # more than there are places
        served.caller.script = endless = Endless()
        connection = send(served, stream=True)
        assert endless.begun.wait(5)
        connection.close()
        assert endless.ended.wait(1)
    served.caller.script = polite

    assert served.chat().status == 200
    stats = served.ask("/v1/stats").json
    assert stats["in_flight"] == 0
    assert stats["clients_left"] >= 5


def test_a_client_that_stops_reading_holds_nothing_back(served: Running) -> None:
    """The words it does not read are not piled up: the model waits, and ends when it leaves."""
    words = 0

    class Fast(Endless):
        async def __call__(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
            nonlocal words
            try:
                while True:
                    words += 1
                    yield Chunk(text="x" * 10_000)
            finally:
                self.ended.set()

    served.caller.script = fast = Fast()
    connection = send(served, stream=True)
    last = -1
    while last != words:  # until it stands still
        last = words
        fast.ended.wait(0.1)
    assert words < 5_000
    connection.close()

    assert fast.ended.wait(1)


def test_another_server_s_watch_does_the_same() -> None:
    """Without our own protocol a second task listens for the client."""
    asked: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def receive() -> dict[str, object]:
        return await asked.get()

    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    async def talk(served: Running) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(b"host", b"localhost")],
        }
        body = json.dumps({"messages": HELLO}).encode()
        asked.put_nowait({"type": "http.request", "body": body})
        answering = asyncio.ensure_future(served.gateway(scope, receive, send))
        await asyncio.to_thread(endless.begun.wait, 5)
        asked.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(answering, 1)

    with Running() as served:
        served.caller.script = endless = Endless()
        served.run(talk(served))
        served.behave()

    assert endless.ended.is_set()
    assert sent == []
