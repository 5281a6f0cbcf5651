"""What leaves the gateway whole: JSON, and errors in the shape each protocol has for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

import msgspec

from llmrouter_plugin_server.faults import Fault

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
NOT_STORED = (b"cache-control", b"no-store")

encode: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=lambda value: dict(value)).encode
"""Return a value as JSON; what is no number is null."""


async def reply(
    send: Send, status: int, body: bytes, headers: Headers = (), kind: tuple[bytes, bytes] = JSON
) -> None:
    """Send a whole response."""
    head = [kind, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def reply_json(send: Send, value: Any, headers: Headers = (), status: int = 200) -> None:
    """Send *value* as JSON."""
    await reply(send, status, encode(value), headers)


def openai_error(fault: Fault) -> dict[str, Any]:
    """Return *fault* as OpenAI's protocol tells it."""
    return {
        "error": {
            "message": fault.message,
            "type": fault.type,
            "param": fault.param,
            "code": fault.code,
        }
    }


async def reply_fault(
    send: Send,
    fault: Fault,
    headers: Headers = (),
    shape: Callable[[Fault], dict[str, Any]] = openai_error,
) -> None:
    """Send *fault*; a connection whose request was not read to its end is closed."""
    more = list(headers)
    if fault.wait is not None:
        more.append((b"retry-after", fault.wait))
    if fault.status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    if fault.status in (408, 413):
        more.append((b"connection", b"close"))
    await reply(send, fault.status, encode(shape(fault)), more)
