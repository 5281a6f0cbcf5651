"""Both transports keep the same promises, against a provider that is written down to the byte."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from llmrouter_core import (
    BadResponse,
    Chunk,
    ConfigError,
    IncompleteStream,
    Model,
    Payload,
    Request,
)
from llmrouter_plugin_openai import OpenaiCaller
from llmrouter_plugin_openai import transport as transports
from llmrouter_plugin_openai.by_httpx import HttpxClient

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = [
    b'{"choices" : [ {"index":0,"delta":{"role":"assistant"}} ] , "created":1.70e9}',
    b'{"choices":[{"delta":{"content":"\\u00e9\\ud83d\\ude00"},"logprobs":[-0.10,1E-2]}]}',
    '{"choices":[{"delta":{"content":"é"}}],"new": {"n":12345678901234567890123}}'.encode(),
    b'{"choices":[{"delta":{"content":"\\ud83d"}}],"half":"a pair"}',
    b'{"choices":[{"delta":{},"finish_reason":"stop"}]}',
]


class Provider:
    """Keeps what it was sent, and how many connections are open."""

    def __init__(self, reply: Callable[["Provider", asyncio.StreamWriter], Awaitable[None]]):
        self.reply = reply
        self.asked: list[tuple[bytes, bytes]] = []
        self.open = self.most = 0
        self.told = asyncio.Event()
        self.go = asyncio.Event()
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.asked.append((head, await reader.readexactly(size)))
                await self.reply(self, writer)
                self.told.set()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.closed.set()
            writer.close()


def run(
    reply: Callable[[Provider, asyncio.StreamWriter], Awaitable[None]],
    test: Callable[[Provider, OpenaiCaller], Coroutine[Any, Any, None]],
    **options: Any,
) -> None:
    async def started() -> None:
        provider = Provider(reply)
        server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        caller = OpenaiCaller(base_url=f"http://127.0.0.1:{port}/v1", **options)
        async with asyncio.timeout(20):
            async with server, caller.lifespan():
                await test(provider, caller)
            await until(lambda: not provider.open)

    asyncio.run(started())


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.001)


def stream(caller: OpenaiCaller, request: Request | None = None) -> Any:
    call = caller.call(Model(name="a"))
    assert call is not None
    return aclosing(call(request or Request.of("hi")))


async def read(caller: OpenaiCaller, request: Request | None = None) -> list[Chunk]:
    async with stream(caller, request) as chunks:
        return [chunk async for chunk in chunks]


def sse(events: list[bytes], end: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + event + end for event in events)


def sends(body: bytes, head: bytes = CHUNKED, *, size: int = 1 << 20, end: bytes = b"0\r\n\r\n"):
    async def reply(_: Provider, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if head is CHUNKED else piece)
            await writer.drain()
        writer.write(end)

    return reply


# ---------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n: ping\n\n"])
def test_each_event_is_handed_on_byte_for_byte(size: int, end: bytes) -> None:
    """Spelling of numbers, escapes, blanks and half surrogates, however the bytes are cut."""

    async def test(_: Provider, caller: OpenaiCaller) -> None:
        chunks = await read(caller)
        assert [chunk.data for chunk in chunks] == EVENTS
        assert [chunk.event for chunk in chunks] == [json.loads(event) for event in EVENTS]
        assert chunks[1].text == "é😀"

    run(sends(sse([*EVENTS, b"[DONE]"], end), size=size), test)


def test_an_event_of_several_lines_becomes_one_line() -> None:
    """Whoever hands it on writes `data: ` before it once."""
    event = b'{"choices":\n[{"delta":{"content":"a\\nb"},\n"finish_reason":"stop"}]}'
    body = b"".join(b"data: " + line + b"\n" for line in event.split(b"\n")) + b"\n"

    async def test(_: Provider, caller: OpenaiCaller) -> None:
        [chunk] = await read(caller)
        assert chunk.data == event.replace(b"\n", b" ")
        assert chunk.text == "a\nb"

    run(sends(body), test)


def test_an_answer_in_one_piece_is_handed_on_byte_for_byte() -> None:
    """Line feeds and all."""
    body = b'{\n "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "x": 1.0}\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body)

    async def test(_: Provider, caller: OpenaiCaller) -> None:
        [chunk] = await read(caller)
        assert chunk.data == body

    run(sends(body, head, end=b""), test)


def test_a_payload_is_sent_as_it_came() -> None:
    """But for the fields that are ours."""
    source = b'{"messages":[ {"role":"user","content":"\\u00e9"} ],"seed":1.0,"model":"auto"}'

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        await read(caller, Request(payload=Payload(json.loads(source), source)))
        assert provider.asked[0][1] == (
            source[:-7] + b'"a","stream":true,"stream_options":{"include_usage":true}}'
        )

    run(sends(sse([*EVENTS, b"[DONE]"])), test)


def test_a_long_prompt_is_sent_with_its_length() -> None:
    """Without the warning that a library has for what is longer than a megabyte."""

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        await read(caller, Request.of("x" * (3 << 20)))
        assert b"x" * (3 << 20) in provider.asked[0][1]

    run(sends(sse([*EVENTS, b"[DONE]"])), test)


def test_no_cookie_is_kept() -> None:
    """What one user was given is not sent for another."""
    head = HEAD + b"Set-Cookie: user=ada\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = sse([*EVENTS, b"[DONE]"])
    whole = b"%x\r\n%b\r\n" % (len(body), body)

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        # Cookies of a bare address are kept by nobody.
        named = OpenaiCaller(base_url=caller.base_url.replace("127.0.0.1", "localhost"))
        async with named.lifespan():
            await read(named)
            await read(named)
        assert len(provider.asked) == 2
        assert b"cookie" not in provider.asked[1][0].lower()

    run(sends(whole, head), test)


# ---------------------------------------------------------------------------- connections


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_what_arrived_before_the_connection_broke_is_given(end: str) -> None:
    """A slow reader gets the finish reason, and with it a whole answer."""
    begin, rest = sse(EVENTS[:2]), sse(EVENTS[2:])

    async def reply(provider: Provider, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"%x\r\n%b\r\n" % (len(begin), begin))
        await provider.go.wait()
        writer.write(b"%x\r\n%b\r\n" % (len(rest), rest))
        await asyncio.sleep(0.01)
        if end == "cut":
            writer.close()
        else:
            writer.transport.abort()

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        async with stream(caller) as chunks:
            found = [await anext(chunks), await anext(chunks)]
            provider.go.set()
            await provider.told.wait()
            await asyncio.sleep(0.02)  # it has come, broken end included, and nobody looked
            found += [chunk async for chunk in chunks]
        assert [chunk.data for chunk in found] == EVENTS

    run(reply, test)


def test_a_cut_before_the_finish_reason_is_told_after_what_arrived() -> None:
    """Words first, the error then."""
    body = sse(EVENTS[:3])

    async def reply(_: Provider, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"%x\r\n%b\r\n" % (len(body), body))
        writer.close()

    async def test(_: Provider, caller: OpenaiCaller) -> None:
        found: list[Chunk] = []

        async def collect() -> None:
            async with stream(caller) as chunks:
                async for chunk in chunks:
                    found.append(chunk)

        with pytest.raises(IncompleteStream):
            await collect()
        assert [chunk.data for chunk in found] == EVENTS[:3]

    run(reply, test)


def test_a_broken_event_is_told_after_those_before_it() -> None:
    """Though all came at once."""

    async def test(_: Provider, caller: OpenaiCaller) -> None:
        async with stream(caller) as chunks:
            found = [await anext(chunks), await anext(chunks)]
            with pytest.raises(BadResponse):
                await anext(chunks)
        assert [chunk.data for chunk in found] == EVENTS[:2]

    run(sends(sse([*EVENTS[:2], b"{nonsense", EVENTS[-1]])), test)


@pytest.mark.parametrize("stage", ["before the headers", "after a word"])
def test_leaving_closes_the_connection_at_once(stage: str) -> None:
    """Whether nothing has come yet, or something."""

    async def reply(_: Provider, writer: asyncio.StreamWriter) -> None:
        if stage == "after a word":
            writer.write(HEAD + b"\r\n" + sse(EVENTS[:2]))

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        task = asyncio.ensure_future(read(caller))
        await provider.told.wait()
        await asyncio.sleep(0.02)
        assert provider.open == 1
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.wait_for(provider.closed.wait(), 0.5)

    run(reply, test)


def test_further_calls_wait_for_a_connection() -> None:
    """Waiting is not connecting, and whoever stops waiting or fails takes no place along."""

    async def reply(provider: Provider, writer: asyncio.StreamWriter) -> None:
        await provider.go.wait()
        await sends(sse([*EVENTS, b"[DONE]"]))(provider, writer)

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        calls = [asyncio.ensure_future(read(caller)) for _ in range(8)]
        await until(lambda: len(provider.asked) == 2)
        await asyncio.sleep(0.05)
        for call in (calls[0], calls[5]):  # one that is answered, one that waits
            call.cancel()
        await until(lambda: len(provider.asked) == 3)
        provider.go.set()
        await asyncio.wait(calls)
        assert [call.cancelled() for call in calls].count(True) == 2
        assert all(len(call.result()) == len(EVENTS) for call in calls if not call.cancelled())
        assert provider.most <= 3  # one of them was closed, which takes the server a moment

    run(reply, test, connections=2, connect=0.04)


# ---------------------------------------------------------------------------- choosing


@asynccontextmanager
async def _opened(caller: OpenaiCaller) -> AsyncIterator[Any]:
    async with caller.lifespan():
        yield caller._client(asyncio.get_running_loop())


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    """As every other program does, with its exceptions."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    async def test(provider: Provider, caller: OpenaiCaller) -> None:
        monkeypatch.setenv("http_proxy", caller.base_url.removesuffix("/v1"))
        far = OpenaiCaller(base_url="http://provider.invalid/v1")
        async with far.lifespan():
            await read(far)
        assert provider.asked[0][0].startswith(b"POST http://provider.invalid/v1/chat/completions")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        near = OpenaiCaller(base_url=caller.base_url)
        async with near.lifespan():
            await read(near)
        assert provider.asked[1][0].startswith(b"POST /v1/chat/completions")

    run(sends(sse([*EVENTS, b"[DONE]"])), test)


def test_what_aiohttp_cannot_reach_httpx_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not a plain one."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(transports, "installed", lambda: ["aiohttp", "httpx"])
    names: list[str] = []

    async def test() -> None:
        for proxy in (None, "http://a:1", "https://a:1"):
            monkeypatch.setattr(transports, "proxy_for", lambda url, found=proxy: found)
            async with _opened(OpenaiCaller(base_url="http://b/v1")) as client:
                names.append(type(client).__name__)

    asyncio.run(test())

    assert names == ["AiohttpClient", "AiohttpClient", "HttpxClient"]


def test_a_transport_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And if it is not there, it says what to install."""

    async def test() -> None:
        async with _opened(OpenaiCaller(transport="httpx")) as client:
            assert isinstance(client, HttpxClient)
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        monkeypatch.delitem(sys.modules, "llmrouter_plugin_openai.by_aiohttp", raising=False)
        with pytest.raises(ConfigError, match=r"aiohttp is not installed; .*openai\[aiohttp\]"):
            async with _opened(OpenaiCaller(transport="aiohttp")):
                pass

    asyncio.run(test())
