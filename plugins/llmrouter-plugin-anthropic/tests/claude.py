"""A provider on loopback that speaks Anthropic's protocol and keeps what it was asked."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 1,
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "A city.", "signature": "S"},
    {"type": "redacted_thinking", "data": "R"},
    {"type": "text", "text": "Paris"},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-small-1",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {**USAGE, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}},
}


def sent(events: Sequence[dict[str, Any]]) -> bytes:
    """Return events as they are sent."""
    found = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return "".join(found).encode()


def events() -> list[dict[str, Any]]:
    """Return the events of the message."""
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": USAGE}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(BLOCKS):
        place = {"index": index}
        opened, deltas = pieces(block)
        found.append({"type": "content_block_start", **place, "content_block": opened})
        found += [{"type": "content_block_delta", **place, "delta": delta} for delta in deltas]
        found.append({"type": "content_block_stop", **place})
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    usage = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}
    found.append({"type": "message_delta", "delta": delta, "usage": usage})
    return [*found, {"type": "message_stop"}]


def pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it starts, and the deltas that fill it."""
    if block["type"] == "text":
        half = len(block["text"]) // 2
        parts = (block["text"][:half], block["text"][half:])
        return {**block, "text": ""}, [{"type": "text_delta", "text": part} for part in parts]
    if block["type"] == "thinking":
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if block["type"] == "tool_use":
        text = json.dumps(block["input"])
        parts = ("", text[:5], text[5:])
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        return {**block, "input": {}}, deltas
    return block, []


class Claude(BaseHTTPRequestHandler):
    """Answers Paris to everything, or what it is told to."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []  # noqa: RUF012 - cleared below
    answers: list[tuple[int, str, bytes]] = []  # noqa: RUF012 - cleared below

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, dict(self.headers.items()), payload))
        if self.answers:
            status, kind, body = self.answers.pop(0)
        elif payload["stream"]:
            status, kind, body = 200, "text/event-stream", sent(events())
        else:
            status, kind, body = 200, "application/json", json.dumps(MESSAGE).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def provider() -> Iterator[dict[str, Any]]:
    """Run the provider, and give the options by which a caller reaches it."""
    Claude.asked.clear()
    Claude.answers.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Claude) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield {"base_url": f"http://127.0.0.1:{server.server_port}/v1/"}
        finally:
            server.shutdown()
            thread.join()
