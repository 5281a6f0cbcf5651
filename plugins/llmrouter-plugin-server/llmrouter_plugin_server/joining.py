"""Writes of one moment go out as one: each costs a system call, and most come in company."""

from __future__ import annotations

import asyncio
from typing import Any

_MOST = 64 << 10  # bytes that wait for company at most


class Joined:
    """A transport that sends what is written within one turn of the event loop in one piece.

    A head and its body, or the events that one packet of a provider brought, are one write. What
    is not written here (limits, pausing, addresses) is the transport's own.
    """

    __slots__ = ("_loop", "_pieces", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send *data* with whatever else is written in this turn, or at once if that is much."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _MOST:
            self._flush()

    def close(self) -> None:
        """Send what waits, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces, self._size = [], 0
            if not self._transport.is_closing():  # whom nobody reads, nobody writes to
                self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
