"""HTTP/1.1 by uvicorn and httptools, with the limits on a head that those two lack."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llmrouter_plugin_server.joining import Joined
from llmrouter_plugin_server.leaving import CONNECTION, Connection


class Limits:
    """What a head may be.

    Attributes:
        size: Bytes of the request line and the headers together.
        seconds: From the first moment of a connection, or of a request, to the end of its head.
    """

    def __init__(self, size: int, seconds: float) -> None:
        self.size = size
        self.seconds = seconds


class Http(HttpToolsProtocol):
    """One connection. A head that is too long or too slow closes it."""

    limits = Limits(32 << 10, 10.0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connection = Connection()
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._size = 0  # bytes of the head that is arriving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: whoever connects has something to ask."""
        super().connection_made(transport)
        self.transport = Joined(transport, self.loop)  # type: ignore[assignment]
        self._timer = self.loop.call_later(self.limits.seconds, self._slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what was asked on this connection."""
        self._stop()
        super().connection_lost(exc)
        self._connection.lost()

    def data_received(self, data: bytes) -> None:
        """Parse *data*; of a head that is not complete then, the length and the age count."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("This is not an HTTP request.")
            return
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
            return
        if self._in_head:
            self._size += len(data)
            if self._size > self.limits.size:
                self._refuse(b"431 Request Header Fields Too Large")
            elif self._timer is None:
                self._timer = self.loop.call_later(self.limits.seconds, self._slow)

    def _decline(self, rest: bytes) -> None:
        """Read a request again without its offer to speak another protocol.

        The parser takes what follows such a head for that protocol, so the body would be lost;
        Java's client, for one, offers HTTP/2 with every first request.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":  # that is nothing but such an offer
            self._refuse(b"405 Method Not Allowed")
            return
        line = b"%b %b HTTP/1.1\r\n" % (method, self.url)
        kept = [
            b"%b: %b\r\n" % (name, value)
            for name, value in self.headers
            if name not in (b"upgrade", b"http2-settings", b"connection")
        ]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join([line, *kept, b"\r\n", rest]))

    def on_message_begin(self) -> None:
        """Count the bytes of a new head."""
        self._in_head, self._size = True, 0
        self._connection.whole = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start answering; the connection goes along, so that its loss is noticed."""
        self._stop()
        if self.parser.should_upgrade():
            return  # it will be read again
        self._in_head = False
        length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if length > self.limits.size:
            self._refuse(b"431 Request Header Fields Too Large")
            return
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, unless the request was refused."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the body is whole, unless the request was refused."""
        if not self.transport.is_closing() and not self._in_head:
            self._connection.whole = True
            super().on_message_complete()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
        )
        self.transport.close()
