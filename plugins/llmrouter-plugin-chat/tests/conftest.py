"""A server that speaks the gateway's API and does as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from llmrouter_plugin_chat.pages import answer

MODELS = ("auto", "auto:cheap", "auto:best", "small", "large")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Fake
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/v1/"):
            self.api({})
            return
        asked = {key.lower().encode(): value.encode() for key, value in self.headers.items()}
        status, body, headers = answer("GET", self.path, asked)
        self.reply(status, body, headers)

    def do_POST(self) -> None:
        self.api(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def api(self, body: Any) -> None:
        if self.headers["Authorization"] != f"Bearer {self.server.key}":
            self.reply_json({"error": {"message": "there is no such key"}}, 401)
            return
        self.server.asked.append((self.path, body, dict(self.headers)))
        if self.path == "/v1/models":
            self.reply_json({"data": [{"id": name} for name in MODELS]})
        elif self.path == "/v1/stats":
            self.reply_json(self.server.stats)
        elif self.path == "/v1/embeddings":
            rows = [self.server.embed(text) for text in body["input"]]
            self.reply_json({"data": [{"index": n, "embedding": r} for n, r in enumerate(rows)]})
        elif self.path == "/v1/feedback":
            self.reply_json({})
        else:
            self.stream(body)

    def stream(self, body: Any) -> None:
        if self.server.refuses is not None:
            status, message = self.server.refuses
            self.reply_json({"error": {"message": message}}, status, [("retry-after", "7")])
            return
        about = {"id": f"id-{len(self.server.asked)}", "model": "small"}
        headers = [(f"x-llmrouter-{key}", value) for key, value in about.items()]
        self.send_response(200)
        for name, value in [*headers, ("content-type", "text/event-stream")]:
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for piece in self.server.pieces:
                if callable(piece):
                    piece()
                    continue
                self.event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
            self.event(self.server.last | {"llmrouter": about | self.server.about})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.left.set()
        self.close_connection = True

    def event(self, value: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def reply(self, status: int, body: bytes, headers: Any) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reply_json(self, value: Any, status: int = 200, headers: Any = ()) -> None:
        body = json.dumps(value).encode()
        kind = ("content-type", "application/json")
        self.reply(status, body, [kind, ("content-length", str(len(body))), *headers])

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Fake(ThreadingHTTPServer):
    """A gateway that says what a test tells it to.

    Attributes:
        asked: Every request with a key: path, body, headers.
        pieces: What an answer says, piece by piece; a function is called instead of said.
        last: The last event of an answer.
        about: What its field `llmrouter` adds.
        refuses: Status and message, where questions are refused.
        key: The only key there is.
        left: Set once a browser has left in the middle of an answer.
    """

    daemon_threads = True
    key = "key-of-the-test"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.pieces: Iterable[str | Callable[[], Any]] = ["Paris ", "it is."]
        stop = {"delta": {}, "finish_reason": "stop"}
        self.last: dict[str, Any] = {"choices": [stop], "usage": {"completion_tokens": 12}}
        scores = {
            "quality": {"small": 0.81, "large": 0.84, "new": None},
            "cost": {"small": 0.00012, "large": 0.0041, "new": 0.002},
        }
        self.about: dict[str, Any] = {
            "cost": 0.00012,
            "reason": "routed",
            "scores": scores,
        }
        self.refuses: tuple[int, str] | None = None
        self.left = threading.Event()
        self.embed: Callable[[str], list[float]] = lambda text: [1.0, 0.0]
        self.stats: dict[str, Any] = STATS

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def questions(self) -> list[Any]:
        """Return the bodies of the questions asked so far."""
        return [body for path, body, _ in self.asked if path == "/v1/chat/completions"]


STATS = {
    "since": int(time.time()) - 3600,
    "requests": 1234,
    "errors": {"429": 3, "502": 1},
    "in_flight": 2,
    "cost": 1.25,
    "cost_largest": 5.0,
    "models": {
        "large": {
            "answers": 400, "cost": 1.1, "input_tokens": 52000, "output_tokens": 81000,
            "failures": 4,
        },
        "small": {
            "answers": 800, "cost": 0.15, "input_tokens": 110000, "output_tokens": 120000,
            "failures": 0,
        },
    },
    "fallbacks": 4,
    "router_failures": 0,
}  # fmt: skip


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A fake gateway that listens."""
    server = Fake()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
