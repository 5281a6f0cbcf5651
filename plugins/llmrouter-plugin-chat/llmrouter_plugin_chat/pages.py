"""The two pages and their files, as an ASGI application that needs no key and keeps no secret."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cache, partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from attrs import frozen

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
"""What a browser may do on the pages: nothing inline, nothing from anywhere else."""

HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_NAMED = {"chat.html": "/chat", "dashboard.html": "/dashboard"}
_SHARED = re.compile(rb" *<!-- (shared/\w+\.html) -->\r?\n")


@frozen
class Page:
    """A file as it is sent.

    Attributes:
        body: Its bytes.
        kind: Its content type.
        tag: Its entity tag: a browser asks again and is told that nothing changed.
        kept: How long a browser need not ask: only what changes with a version of its own is kept.
    """

    body: bytes
    kind: str
    tag: str
    kept: str


@cache
def pages() -> Mapping[str, Page]:
    """Return every file by the path it is served at; nothing else can be read."""
    return dict(_below(files("llmrouter_plugin_chat").joinpath("page"), "/chat/page"))


def _below(folder: Traversable, path: str) -> list[tuple[str, Page]]:
    found = []
    for file in folder.iterdir():
        if file.is_dir():
            found += _below(file, f"{path}/{file.name}") if file.name != "shared" else []
            continue
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = _SHARED.sub(partial(_piece, folder), file.read_bytes())
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            kept = "max-age=3600" if path.endswith("/vendor") else "no-cache"
            address = _NAMED.get(file.name, f"{path}/{file.name}")
            found.append((address, Page(body, kind, tag, kept)))
    return found


def _piece(folder: Traversable, named: re.Match[bytes]) -> bytes:
    """Return what stands on both pages where a comment names its file."""
    return folder.joinpath(named[1].decode()).read_bytes()


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer GET and HEAD of the pages and their files."""
    status, body, headers = answer(scope["method"], scope["path"], dict(scope["headers"]))
    sent = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def answer(
    method: str, path: str, asked: Mapping[bytes, bytes]
) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return status, body and headers for a request with the headers *asked*."""
    page = pages().get(path)
    if method not in ("GET", "HEAD"):
        return 405, b"", [*HEADERS, ("allow", "GET, HEAD"), ("content-length", "0")]
    if page is None:
        return 404, b"", [*HEADERS, ("content-length", "0")]
    headers = [*HEADERS, ("etag", page.tag), ("cache-control", page.kept)]
    if asked.get(b"if-none-match") == page.tag.encode():
        return 304, b"", headers
    headers += [("content-type", page.kind), ("content-length", str(len(page.body)))]
    return 200, b"" if method == "HEAD" else page.body, headers
