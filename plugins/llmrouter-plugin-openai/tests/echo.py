"""A healthy provider on loopback that keeps what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EVENTS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    {"choices": [{"index": 0, "delta": {"content": "Par"}, "logprobs": {"content": [1]}}]},
    {"choices": [{"index": 0, "delta": {"content": "is"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "cost": 0.25}},
]
PLAIN = {
    "choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
}


class Echo(BaseHTTPRequestHandler):
    """Answers Paris to everything."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []  # noqa: RUF012 - cleared below

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, dict(self.headers.items()), payload))
        if payload["stream"]:
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS)
            body, kind = body + "data: [DONE]\n\n", "text/event-stream"
        else:
            body, kind = json.dumps(PLAIN), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def provider() -> Iterator[dict[str, Any]]:
    """Run the provider, and give the options by which a caller reaches it."""
    Echo.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield {"base_url": f"http://127.0.0.1:{server.server_port}/api/v1/"}
        finally:
            server.shutdown()
            thread.join()
