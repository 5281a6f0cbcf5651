"""aiohttp as the transport: a quarter of the time that httpx takes."""

from __future__ import annotations

import asyncio
import io
import math
import os
import ssl
from collections.abc import Mapping

import aiohttp
import certifi

from llmrouter_plugin_openai.transport import NotConnected, Reach, Unreachable

_HEADER_BYTES = 64 * 1024  # of a single header; aiohttp's 8 KiB are less than some send
_AT_ONCE = 1 << 20  # bytes above which aiohttp warns against sending a body in one piece


class AiohttpClient:
    """A session of aiohttp without what it does on its own: cookies, redirects, unzipping.

    The connections are counted here: aiohttp would count the wait for one as connecting.
    """

    def __init__(self, reach: Reach) -> None:
        self._free = asyncio.Semaphore(reach.connections)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_trust() if reach.secure else False),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=reach.connect, ceil_threshold=math.inf
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            proxy=reach.proxy,
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> _Response:
        """Return the response as soon as its headers are there."""
        data = body if len(body) <= _AT_ONCE else io.BytesIO(body)
        await self._free.acquire()
        try:
            response = await self._session.post(
                url, data=data, headers=headers, allow_redirects=False
            )
        except BaseException as error:
            self._free.release()
            if isinstance(error, TimeoutError):  # aiohttp's are of this kind too
                raise NotConnected from error
            if isinstance(error, aiohttp.ClientError | OSError):
                raise Unreachable(str(error) or type(error).__name__) from error
            raise
        return _Response(response, self._free)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


class _Response:
    """A response of aiohttp, and its place among the connections."""

    def __init__(self, response: aiohttp.ClientResponse, free: asyncio.Semaphore) -> None:
        self._response = response
        self._free: asyncio.Semaphore | None = free
        self.status_code = response.status
        self.headers: Mapping[str, str] = response.headers
        self.read = response.content.readany  # not a method of ours, which would be one call more

    def left(self) -> bytes:
        """Return what aiohttp keeps back once a connection is broken: maybe the answer's end."""
        return self._response.content._read_nowait(-1)

    async def aclose(self) -> None:
        """Close the response; read to its end, it has given its connection back already."""
        self._response.close()
        if self._free is not None:
            self._free.release()
            self._free = None


def _trust() -> ssl.SSLContext:
    """Return whom to trust: the authorities that httpx trusts, or those of the environment."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not (file or folder):
        file = certifi.where()
    context = ssl.create_default_context(cafile=file, capath=folder)
    context.set_alpn_protocols(["http/1.1"])
    return context
