"""A provider that misbehaves on demand: an HTTP server on loopback, written down to the byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

Reply = Callable[["Exchange"], Awaitable[bool]]
"""Answers one request and returns whether the connection may serve another."""

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost": 0.000125}


class Exchange:
    """One request as it arrived, and the way to answer it byte by byte."""

    def __init__(
        self,
        provider: Provider,
        writer: asyncio.StreamWriter,
        headers: Mapping[str, str],
        payload: Mapping[str, Any],
    ) -> None:
        self.provider = provider
        self.writer = writer
        self.headers = headers
        self.payload = payload

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def bill(self, usage: Mapping[str, Any]) -> None:
        self.provider.billed += usage.get("cost", 0.0)


class Provider:
    """The server, in a thread of its own.

    Attributes:
        url: What a caller's `base_url` is set to.
        asked: The exchanges of each model, in order.
        billed: US dollars of all answers that were sent whole.
        sent: Bytes of body that `endless` managed to send.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[Exchange]] = defaultdict(list)
        self.billed = 0.0
        self.sent = 0
        self._replies: dict[str, list[Reply]] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)

    def replies(self, model: str, *replies: Reply) -> None:
        """Answer *model*'s requests with *replies* in turn, and with the last one ever after."""
        self._replies[model] = list(replies)

    @property
    def open(self) -> int:
        """How many connections the client has not closed."""
        return len(self._writers)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        payload = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        exchange = Exchange(self, writer, headers, payload)
        model = payload["model"]
        self.asked[model].append(exchange)
        replies = self._replies[model]
        answer = replies.pop(0) if len(replies) > 1 else replies[0]
        reply = asyncio.ensure_future(answer(exchange))
        try:
            while not (reply.done() or reader.at_eof() or writer.is_closing()):
                await asyncio.wait([reply], timeout=0.01)
            return reply.done() and reply.result()
        finally:
            reply.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await reply


# ---------------------------------------------------------------------------- bodies


def event(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one event of a stream."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}


def story(text: str = "Paris", usage: Mapping[str, Any] = USAGE) -> list[Any]:
    """Return the events of a good answer."""
    return [
        ROLE,
        *(event(letter) for letter in text),
        event(finish="stop"),
        {"choices": [], "usage": usage},
        "[DONE]",
    ]


def sse(events: Iterable[Any]) -> bytes:
    """Return *events* as a body; a string stands for itself."""
    texts = (item if isinstance(item, str) else json.dumps(item) for item in events)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def completion(text: str = "Paris", **more: Any) -> dict[str, Any]:
    """Return the body of a good answer in one piece."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"choices": [choice], "usage": USAGE, **more}


# ---------------------------------------------------------------------------- replies

_STREAM = (("Content-Type", "text/event-stream"),)


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def says(status: int, body: Any = b"", *, kind: str = "application/json", **headers: str) -> Reply:
    """Answer with a whole response; a completion is billed."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def reply(exchange: Exchange) -> bool:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        head = _head(
            status, [("Content-Type", kind), ("Content-Length", str(len(content))), *named]
        )
        await exchange.send(head + content)
        if status == 200 and kind == "application/json" and isinstance(body, dict):
            exchange.bill(body.get("usage", {}))
        return True

    return reply


def tells(text: str = "Paris", usage: Mapping[str, Any] = USAGE) -> Reply:
    """Stream a good answer, one event at a time, and bill it."""

    async def reply(exchange: Exchange) -> bool:
        await exchange.send(_head(200, [*_STREAM, ("Transfer-Encoding", "chunked")]))
        for item in story(text, usage):
            await exchange.send(_chunk(sse([item])))
        await exchange.send(b"0\r\n\r\n")
        exchange.bill(usage)
        return True

    return reply


def breaks(body: bytes, framing: str) -> Reply:
    """Stream *body* and end: `clean` or `cut` chunks, `eof` without a length, or `length`."""

    async def reply(exchange: Exchange) -> bool:
        if framing in ("clean", "cut"):
            await exchange.send(_head(200, [*_STREAM, ("Transfer-Encoding", "chunked")]))
            if body:
                await exchange.send(_chunk(body))
            if framing == "clean":
                await exchange.send(b"0\r\n\r\n")
        elif framing == "eof":
            await exchange.send(_head(200, [*_STREAM, ("Connection", "close")]) + body)
        else:
            length = ("Content-Length", str(len(body) + 100))
            await exchange.send(_head(200, [*_STREAM, length]) + body)
        return framing == "clean"

    return reply


def stalls(body: bytes = b"") -> Reply:
    """Stream *body*, then nothing more; without a body not even headers come."""

    async def reply(exchange: Exchange) -> bool:
        if body:
            await exchange.send(_head(200, _STREAM) + body)
        await asyncio.sleep(60)
        return False

    return reply


def drips(seconds: float, then: bytes = b"") -> Reply:
    """Send a comment every few *seconds*, for ever."""

    async def reply(exchange: Exchange) -> bool:
        await exchange.send(_head(200, _STREAM) + then)
        while True:
            await exchange.send(b": still here\n\n")
            await asyncio.sleep(seconds)

    return reply


def endless(
    kind: str = "text/event-stream", piece: bytes = b"[" * 65536, size: int = 10**8
) -> Reply:
    """Send a body of *size* bytes."""

    async def reply(exchange: Exchange) -> bool:
        head = [("Content-Type", kind), ("Content-Length", str(size))]
        await exchange.send(_head(200, head))
        for _ in range(size // len(piece)):
            await exchange.send(piece)
            exchange.provider.sent += len(piece)
        return False

    return reply


def bomb(size: int) -> Reply:
    """Send *size* bytes compressed a thousandfold."""
    body = gzip.compress(b" " * size)
    return says(200, body, Content_Encoding="gzip")


def resets() -> Reply:
    """Reset the connection instead of answering."""

    async def reply(exchange: Exchange) -> bool:
        connection = exchange.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.writer.transport.abort()
        return False

    return reply


def hangs_up() -> Reply:
    """Close the connection instead of answering."""

    async def reply(exchange: Exchange) -> bool:
        return False

    return reply


def closed_port() -> int:
    """Return a port on loopback where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
