"""A provider on loopback that speaks two protocols, and fails in the ways it is told."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import pytest

KEY = "sk-canary-0123456789"
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "paris-1"}
TOOL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
EVENTS: list[dict[str, Any]] = [
    {**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {**HEAD, "choices": [{"index": 0, "delta": {"content": "Par"}}]},
    {**HEAD, "choices": [{"index": 0, "delta": {"content": "is", "tool_calls": [TOOL]}}]},
    {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {
        **HEAD,
        "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 0.25},
    },
]
CLAUDE: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "claude-of-paris",
            "content": [],
            "usage": {"input_tokens": 5, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Paris"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
]
PLAIN = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "paris-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


class Provider(BaseHTTPRequestHandler):
    """Answers Paris to everything, unless `does` says how it fails."""

    asked: list[tuple[dict[str, str], dict[str, Any]]] = []  # noqa: RUF012 - cleared below
    does: Any = None
    let_go = threading.Event()

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(({k.lower(): v for k, v in self.headers.items()}, payload))
        does = self.does(self.headers) if callable(self.does) else self.does
        if isinstance(does, tuple):
            self.send(does[0], "application/json", json.dumps({"error": does[1]}))
        elif does == "wait":
            self.let_go.wait(10)
        elif not payload.get("stream"):
            self.send(200, "application/json", json.dumps(PLAIN))
        else:
            claude = self.path.endswith("/messages")
            events = CLAUDE if claude else EVENTS
            events = events[:3] if does in ("cut", "pause") else events
            lines = [f"data: {json.dumps(event)}\n\n" for event in events]
            self.send(200, "text/event-stream", "".join(lines))
            if does == "pause":
                self.wfile.flush()
                self.let_go.wait(10)
            elif does != "cut" and not claude:
                self.wfile.write(b"data: [DONE]\n\n")

    def send(self, status: int, kind: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def provider() -> Iterator[dict[str, Any]]:
    """Run the provider, and give the options by which a caller reaches it."""
    with warnings.catch_warnings():  # of other libraries, while litellm loads and works
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        if find_spec("litellm") is None:
            pytest.skip("litellm is not installed, which takes 200 MB")
        with _serving() as options, patch.dict(os.environ, {"OPENAI_API_KEY": KEY}):
            yield options


@contextmanager
def _serving() -> Iterator[dict[str, Any]]:
    Provider.asked.clear()
    Provider.does = None
    Provider.let_go.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield {
                "base_url": f"http://127.0.0.1:{server.server_port}/v1",
                "arguments": {"custom_llm_provider": "openai"},
            }
        finally:
            Provider.let_go.set()
            server.shutdown()
            thread.join()
