"""What carries requests: aiohttp where it is installed, else httpx; callers see neither.

aiohttp takes a quarter of the time; it cannot go through a SOCKS proxy, so httpx does that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from importlib.util import find_spec
from typing import Protocol
from urllib.parse import urlsplit

from attrs import frozen

NAMES = ("aiohttp", "httpx")
"""The transports, the preferred one first."""


class NotConnected(Exception):
    """No connection stood in time."""


class Unreachable(Exception):
    """There is no response; the message says why."""


class Response(Protocol):
    """A response whose headers are there."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; case does not matter to `get`."""

    def read(self) -> Awaitable[bytes]:
        """Return the next bytes of the body, compressed if they are; `b""` at the end."""

    def left(self) -> bytes:
        """Return what had arrived before `read` failed and was not given."""

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once."""


class Client(Protocol):
    """Connections to one provider. Redirects are not followed, and nothing is sent twice."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Return the response as soon as its headers are there.

        Raises:
            NotConnected: There is no connection within the limit.
            Unreachable: There is no response for another reason.
        """

    async def aclose(self) -> None:
        """Close every connection."""


@frozen(kw_only=True)
class Reach:
    """What a client must know.

    Attributes:
        url: Where the provider is.
        connect: Seconds until a connection stands.
        connections: Connections that may be open at once; further requests wait for one.
        proxy: The proxy that the environment names for *url*, if any.
    """

    url: str
    connect: float
    connections: int
    proxy: str | None

    @property
    def secure(self) -> bool:
        """Whether certificates must be checked; loading them costs 130 ms."""
        return urlsplit(self.url).scheme == "https"


def installed() -> list[str]:
    """Return the transports that can be used here, the preferred one first."""
    return [name for name in NAMES if find_spec(name) is not None]


def opened(name: str | None, url: str, *, connect: float, connections: int) -> Client:
    """Return a client on the transport called *name*, None for the best one."""
    proxy = proxy_for(url)
    if name is None:
        plain = proxy is None or urlsplit(proxy).scheme == "http"
        name = next(one for one in installed() if plain or one == "httpx")
    reach = Reach(url=url, connect=connect, connections=connections, proxy=proxy)
    if name == "aiohttp":
        from llmrouter_plugin_openai.by_aiohttp import AiohttpClient

        return AiohttpClient(reach)
    from llmrouter_plugin_openai.by_httpx import HttpxClient

    return HttpxClient(reach)


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY`…) names for *url*."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(parts.netloc):
        return None
    return found if "://" in found else f"http://{found}"
