"""httpx as the transport: always there, and the one that speaks to SOCKS proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from llmrouter_plugin_openai.transport import NotConnected, Reach, Unreachable


class HttpxClient:
    """A client of httpx, which reads proxies from the environment by itself."""

    def __init__(self, reach: Reach) -> None:
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=reach.connections, max_keepalive_connections=reach.connections
            ),
            timeout=httpx.Timeout(None, connect=reach.connect),  # the rest is our own clock's
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # keeps none
            verify=reach.secure,
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpxResponse:
        """Return the response as soon as its headers are there."""
        request = self._client.build_request("POST", url, content=body, headers=headers)
        try:
            return HttpxResponse(await self._client.send(request, stream=True))
        except httpx.ConnectTimeout as error:
            raise NotConnected from error
        except httpx.HTTPError as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


class HttpxResponse:
    """A response of httpx that is streamed."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._pieces = response.aiter_raw()
        self.status_code = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end."""
        return await anext(self._pieces, b"")

    def left(self) -> bytes:
        """Return nothing: httpx gives what it has before it fails."""
        return b""

    async def aclose(self) -> None:
        """Close the response, so that nothing is left to the garbage collector.

        httpx nests generators, and closing the outermost leaves the inner ones suspended; a
        read that is cancelled at once ends them all.
        """
        try:
            with suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(0):
                    while await self.read():
                        pass
        finally:
            await self._response.aclose()
