"""A provider of embeddings on loopback: healthy, or with one fault after the other."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from llmrouter_plugin_openai_embeddings import OpenaiEmbeddingsEmbedder

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


def numbers(text: str, length: int = 8) -> list[float]:
    """Return an embedding that depends on the text alone."""
    digest = blake2b(text.encode(), digest_size=2 * length).digest()
    return (np.frombuffer(digest, "<u2").astype(float) / 65535 - 0.5).tolist()


def send(
    handler: BaseHTTPRequestHandler,
    body: Any,
    status: int = 200,
    kind: str = "application/json",
    **headers: str,
) -> None:
    """Send *body*, as JSON if it is none yet."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": kind, **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def healthy(handler: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
    """Answer as it should be, last text first: the index tells."""
    rows = []
    for index, text in enumerate(asked["input"]):
        row: Any = numbers(text, asked.get("dimensions") or 8)
        if asked["encoding_format"] == "base64":
            row = base64.b64encode(np.array(row, "<f4").tobytes()).decode()
        rows.append({"object": "embedding", "index": index, "embedding": row})
    send(handler, {"object": "list", "data": rows[::-1], "usage": {"total_tokens": 1}})


class Server(ThreadingHTTPServer):
    """Gives *answers* in turn, then healthy ones; keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.gone = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(asked)
        self.server.headers.append({"path": self.path, **dict(self.headers.items())})
        answer = self.server.answers.pop(0) if self.server.answers else healthy
        answer(self, asked)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running(*answers: Answer) -> Iterator[Server]:
    """Run the server."""
    with Server(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.gone.set()
            server.shutdown()
            thread.join()


@contextmanager
def embedding(server: Server, **options: Any) -> Iterator[OpenaiEmbeddingsEmbedder]:
    """Give an embedder that asks *server*, and close its connections."""
    part = OpenaiEmbeddingsEmbedder(base_url=server.url, **options)

    async def close() -> None:
        async with part.lifespan():
            pass

    try:
        yield part
    finally:
        asyncio.run(close())


@contextmanager
def provider() -> Iterator[dict[str, Any]]:
    """Give the options by which an embedder reaches a healthy server."""
    with running() as server:
        yield {"base_url": server.url}
