"""What arrives on the wire: everything is bounded, and nothing can be read in two ways."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from llmrouter_plugin_server.app import ServerOptions

from .gateways import HELLO, Running

BODY = json.dumps({"messages": HELLO}).encode()
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    options = ServerOptions(
        insecure=True,
        largest_body=10_000,
        largest_head=4_000,
        head_seconds=0.2,
        body_seconds=0.2,
    )
    with Running(options=options) as running:
        yield running


def raw(served: Running, *pieces: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes, and return all that comes back until the connection closes or one is whole."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=seconds) as connection:
        found, closes = b"", b"connection: close"
        try:
            for piece in pieces:
                connection.sendall(piece)
            while piece := connection.recv(65536):
                found += piece
                if found.endswith(b"}") and closes not in b"".join(pieces) + found.lower():
                    break
        except (TimeoutError, ConnectionError):
            pass
        return found


def length(size: int) -> bytes:
    return b"Content-Length: %d\r\n" % size


def test_a_request_as_it_should_be_is_answered(served: Running) -> None:
    assert raw(served, ASK + length(len(BODY)) + b"\r\n" + BODY).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        ASK + length(5) + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ASK + b"Transfer-Encoding: chunked\r\n" + length(5) + b"\r\n0\r\n\r\n",
        ASK + length(3) + length(5) + b"\r\nabc",
        ASK + b"Transfer-Encoding: xchunked\r\n\r\n",
        ASK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ASK + b"Content-Length: -5\r\n\r\n",
        ASK + b"Content-Length: 5a\r\n\r\n",
        ASK + b"X-Nul: a\x00b\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\n" + length(len(BODY)) + b"\r\n" + BODY,
        ASK + b"Host: other\r\n" + length(len(BODY)) + b"\r\n" + BODY,
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=str,
)
def test_what_could_be_read_in_two_ways_is_refused(served: Running, head: bytes) -> None:
    """And nothing behind it is served on the same connection."""
    behind = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    found = raw(served, head + behind, seconds=1.0)

    assert found.startswith(b"HTTP/1.1 400")
    assert b"200 OK" not in found.split(b"\r\n")[0]
    assert b'"status"' not in found or b"transfer" not in head.lower()


def test_a_head_that_is_too_long_is_refused(served: Running) -> None:
    whole = raw(served, ASK + b"X-Long: " + b"a" * 5000 + b"\r\n\r\n")
    endless = raw(served, ASK + b"X-Long: ", *[b"a" * 3000] * 3)
    many = raw(served, ASK + b"A: b\r\n" * 1000 + b"\r\n")

    for found in (whole, endless, many):
        assert found.startswith(b"HTTP/1.1 431")


def test_a_head_that_never_ends_is_cut_off(served: Running) -> None:
    for start in (b"", b"GET /healthz HT", ASK):
        began = time.monotonic()
        found = raw(served, start) if start else raw(served)

        assert found.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 2


def test_a_second_head_that_never_ends_is_cut_off_too(served: Running) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=2) as connection:
        for pause in (0.3, 0.0):  # to be idle is no fault
            connection.sendall(whole)
            found = b""
            while not found.endswith(b"}"):
                found += connection.recv(4096)
            assert found.startswith(b"HTTP/1.1 200")
            time.sleep(pause)
        connection.sendall(whole[:20])
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_body_that_does_not_arrive_is_cut_off(served: Running) -> None:
    found = raw(served, ASK + length(100) + b"\r\n" + b"{")

    assert found.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in found


def test_a_body_that_is_too_large_is_refused(served: Running) -> None:
    announced = raw(served, ASK + length(20_000) + b"\r\n")
    huge = raw(served, ASK + length(10**30) + b"\r\n")
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    chunked = raw(served, ASK + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 4)

    for found in (announced, chunked):
        assert found.startswith(b"HTTP/1.1 413")
    assert huge.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[]", "bad_json"),
        (b'"text"', "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b'{"messages": NaN}', "bad_json"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "too_deep"),
        (b'{"a":' + b"[" * 9000, "too_deep"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "too_deep"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(served: Running, body: bytes, code: str) -> None:
    found = served.ask("/v1/chat/completions", body)

    assert found.status == 400
    assert found.code in (code, "bad_json")


def test_many_brackets_that_are_not_deep_are_welcome(served: Running) -> None:
    content = [{"type": "text", "text": "[" * 300}, *[{"type": "text", "text": "a"}] * 100]

    assert served.chat([{"role": "user", "content": content}]).status == 200


SAID = {"role": "user", "content": "Hi"}
PART = {"type": "text", "text": "a"}
HEARD = {"type": "message", "role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def few() -> Iterator[Running]:
    with Running(options=ServerOptions(insecure=True, most_messages=20)) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "fits", "more"),
    [
        ("chat/completions", {"messages": [SAID] * 20}, {"messages": [SAID] * 21}),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": [PART] * 19}]},
            {"messages": [{"role": "user", "content": [PART] * 20}]},
        ),
        (
            "messages",
            {"messages": [SAID] * 20, "max_tokens": 9},
            {"messages": [SAID] * 21, "max_tokens": 9},
        ),
        ("messages/count_tokens", {"messages": [SAID] * 20}, {"messages": [SAID] * 21}),
        ("responses", {"input": [HEARD] * 20}, {"input": [HEARD] * 21}),
        ("completions", {"prompt": ["Hi"]}, {"prompt": ["Hi"] * 21}),
        ("route", {"query": [SAID] * 20}, {"query": [SAID] * 21}),
        ("route", {"query": {"messages": [SAID] * 20}}, {"query": {"messages": [SAID] * 21}}),
        ("route", {"messages": [SAID] * 20}, {"messages": [SAID] * 21}),
        ("embeddings", {"input": ["a"] * 20}, {"input": ["a"] * 21}),
        (
            "messages",
            {"messages": [SAID], "max_tokens": 9},
            {"messages": [{"role": "user", "content": [{"content": [PART] * 19}]}]},
        ),
    ],
)
def test_many_messages_are_refused(few: Running, path: str, fits: object, more: object) -> None:
    """In every protocol, counted with the parts of their contents, before anybody reads them."""
    few.behave()
    assert few.ask(f"/v1/{path}", fits).status == 200
    asked = len(few.caller.asked)
    found = few.ask(f"/v1/{path}", more)

    assert found.status == 400
    assert "more than 20 messages" in found.json["error"]["message"]
    assert len(few.caller.asked) == asked


def test_as_many_as_usual_are_welcome_and_a_flood_is_turned_away_at_once() -> None:
    """By default ten thousand; a long text is one message."""
    with Running() as running:
        assert running.chat([{"role": "user", "content": "{},[]" * 100_000}]).status == 200
        assert running.chat([SAID] * 10_000).status == 200
        assert running.chat([SAID] * 10_001).code == "too_many_messages"
        assert running.ask("/v1/embeddings", {"input": ["a"] * 2049}).status == 400


def test_a_flood_of_values_is_turned_away_wherever_it_is() -> None:
    """Each costs whoever looks at tools some time; a text is one, whatever is in it."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"enum": [0] * 110}}}]
    with Running(options=ServerOptions(insecure=True, most_messages=20)) as few:
        assert few.chat([{"role": "user", "content": "a,b" * 200}]).status == 200
        assert few.chat(tools=[0] * 99, padding=" " * 200).code == "too_many_values"
        assert few.chat(tools=tools).code == "too_many_values"
        assert len(few.caller.asked) == 1


def test_a_region_is_said_once(served: Running) -> None:
    twice = b"x-llmrouter-region: eu\r\nx-llmrouter-region: us\r\n"
    found = raw(served, ASK + length(len(BODY)) + twice + b"connection: close\r\n\r\n" + BODY)

    assert found.startswith(b"HTTP/1.1 400")
    assert b"is there twice" in found


def test_two_requests_in_one_go_are_answered_in_order(served: Running) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    second = ASK + length(len(BODY)) + b"connection: close\r\n\r\n" + BODY
    found = raw(served, first + second)

    assert found.index(b'{"status":"ok"}') < found.index(b"Good day.")


def test_without_keys_other_sites_and_other_names_are_refused(served: Running) -> None:
    """A page in a browser must not reach a server that asks for no key, nor by DNS rebinding."""
    for headers in (
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert served.chat(headers=headers).status == 403, headers
    for headers in (
        {"Host": "localhost:1"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:80"},
        {"Origin": "http://localhost:3000"},
    ):
        assert served.chat(headers=headers).status == 200, headers


def test_an_offer_to_upgrade_is_declined_and_the_request_answered(served: Running) -> None:
    """Java's client sends one with every first request, before the body."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = ASK + offer + length(len(BODY)) + b"\r\n"

    assert b"Good day." in raw(served, head + BODY)
    assert b"Good day." in raw(served, head, BODY)


def test_it_is_no_tunnel_and_no_other_protocol(served: Running) -> None:
    tunnel = raw(served, b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
    second = raw(served, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    assert tunnel.startswith(b"HTTP/1.1 405")
    assert second.startswith(b"HTTP/1.1 40")
