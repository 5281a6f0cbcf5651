"""What comes in: heads that mean one thing only, and bodies of bounded size, time and depth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice
from typing import Any

import msgspec

from llmrouter_plugin_server import names
from llmrouter_plugin_server.faults import refuse
from llmrouter_plugin_server.leaving import CONNECTION, Connection
from llmrouter_plugin_server.replies import Receive, Scope
from llmrouter_plugin_server.settings import ServerOptions

_decode = msgspec.json.Decoder().decode
_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_SHORT = 8 << 10  # bytes
_VALUES = 5  # that a message of a request may have on the average, tools and the rest included
_ONCE = (
    *(b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-api-key"),
    names.REGION,
)


class ClientLeft(Exception):
    """The client has gone before its request was complete."""


def head_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name, in lower case; the last of several counts.

    Raises:
        Refusal: The request could mean different things to different servers on its way.
    """
    headers = dict(scope["headers"])
    if b"host" not in headers:
        raise refuse(400, "the request has no Host header", "bad_head")
    if b"transfer-encoding" in headers and b"content-length" in headers:
        raise refuse(400, "a request has a content-length or a transfer-encoding", "bad_head")
    if len(headers) != len(scope["headers"]):
        told = [name for name, _ in scope["headers"]]
        twice = next((name for name in _ONCE if told.count(name) > 1), None)
        if twice is not None:
            raise refuse(400, f"the header {twice.decode()} is there twice", "bad_head")
    return headers


async def body_of(
    scope: Scope, receive: Receive, head: Mapping[bytes, bytes], options: ServerOptions
) -> bytes:
    """Return the whole body.

    Raises:
        Refusal: It is too large, or it takes too long to arrive.
        ClientLeft: The client has gone.
    """
    largest = options.largest_body
    announced = head.get(b"content-length", b"0")
    if not announced.isdigit() or len(announced) > 15 or int(announced) > largest:
        raise _too_large(largest)
    connection: Connection | None = scope.get(CONNECTION)
    if connection is not None and connection.whole:  # nobody waits, so no clock is needed
        return await _gathered(receive, largest)
    try:
        async with asyncio.timeout(options.body_seconds):
            return await _gathered(receive, largest)
    except TimeoutError:
        seconds = f"{options.body_seconds:g}"
        raise refuse(408, f"the body did not arrive within {seconds} s", "slow_body") from None


async def _gathered(receive: Receive, largest: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > largest:
            raise _too_large(largest)
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(largest: int) -> Exception:
    return refuse(413, f"the body is larger than {largest} bytes", "too_large")


def fields_of(body: bytes, options: ServerOptions) -> dict[str, Any]:
    """Return the fields of a body that is a JSON object, no deeper and longer than it may be.

    Raises:
        Refusal: It is not.
    """
    deepest = options.deepest
    try:
        fields = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refuse(400, f"the body is not JSON: {error}", "bad_json") from None
    except RecursionError:
        raise _too_deep(deepest) from None
    if type(fields) is not dict:
        raise refuse(400, f"the body is a JSON {type(fields).__name__}, not an object", "bad_json")
    if len(body) > options.most_messages:  # each takes a byte at least
        _check_messages(fields, options.most_messages)
    most = _VALUES * options.most_messages
    if len(body) > most and body.count(b",") > most and _has_more(fields, most):
        message = f"the request has more than {most} values, as messages and tools do not"
        raise refuse(400, message, "too_many_values")
    # In a short body counting brackets is quicker; a long one is mostly text.
    flat = len(body) <= _SHORT and body.count(b"[") + body.count(b"{") <= deepest
    if not flat and _deeper(fields, deepest):
        raise _too_deep(deepest)
    return fields


def _too_deep(deepest: int) -> Exception:
    return refuse(400, f"the body is nested deeper than {deepest} levels", "too_deep")


def _levels(fields: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the objects and lists of *fields* level by level, itself first."""
    level: list[Any] = [fields]
    while level:
        yield level
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]


def _deeper(fields: dict[str, Any], deepest: int) -> bool:
    """Return whether *fields* are nested deeper than *deepest* levels."""
    return next(islice(_levels(fields), deepest, None), None) is not None


def _has_more(fields: dict[str, Any], most: int) -> bool:
    """Return whether *fields* hold more than *most* values, however deep."""
    return any(count > most for count in accumulate(sum(map(len, one)) for one in _levels(fields)))


def _check_messages(fields: Mapping[str, Any], most: int) -> None:
    """Refuse more than *most* messages, counted with the parts that their contents have.

    Each costs every part of a router some time, in which nobody else is answered.

    Raises:
        Refusal: There are more.
    """
    query = fields.get("query")
    inner = query.get("messages") if type(query) is dict else query
    count, left = 0, [fields.get("messages"), fields.get("input"), fields.get("prompt"), inner]
    while left:
        found = left.pop()
        if type(found) is not list:
            continue
        count += len(found)
        if count > most:
            message = f"the request has more than {most} messages and parts of messages"
            raise refuse(400, message, "too_many_messages", param="messages")
        for item in found:
            if type(item) is dict:
                left += [item.get("content"), item.get("output")]


def without(body: bytes, name: str) -> bytes:
    """Return the JSON object *body* without one field; all other values keep their bytes."""
    parts = _split(body)
    parts.pop(name, None)
    return msgspec.json.encode(parts)
