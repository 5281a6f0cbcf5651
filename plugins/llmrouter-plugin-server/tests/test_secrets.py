"""Canaries: a run with every fault, and afterwards no secret is anywhere but where it belongs."""

from __future__ import annotations

import io
import json
import logging
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from llmrouter_core import LLMRouter
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.keeping import Bounds, Keeper, Limits, new, store_at
from llmrouter_plugin_server.logs import Json, Text

from .gateways import Reply, Running
from .processes import Process

PROVIDER_KEY = "sk-canary-of-the-provider-4711"
PROMPT = "canary-of-the-prompt-0815"
CONFIG = """
[model.first]
id = "m-1"
price = { input = 1.0, output = 2.0 }
context = 100000
[model.second]
id = "m-2"
price = { input = 2.0, output = 3.0 }
caller = "other"
[selector]
use = "smallest-llm"
[caller.default]
use = "openai"
base_url = "URL"
api_key = { env = "CANARY_KEY" }
[caller.other]
use = "openai"
base_url = "URL"
api_key = { env = "CANARY_KEY" }
[[extension]]
use = "trace"
[[extension]]
use = "retry"
base = 0.001
patience = 0.0
"""
WHOLE = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
EVENT = {**WHOLE, "object": "chat.completion.chunk", "usage": None}
EVENT["choices"] = [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]
JSON, SSE = "application/json", "text/event-stream"


class Talkative(BaseHTTPRequestHandler):
    """A provider that fails in every way, and repeats the key and the prompt whenever it does."""

    protocol_version = "HTTP/1.1"
    faults: Iterator[str] = iter(())
    seen: list[str] = []  # noqa: RUF012 - cleared by the test

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append(f"{self.headers}{body.decode()}")
        said = f"not '{PROMPT}' with {self.headers['authorization']} for {self.headers}{body}"
        error = json.dumps({"error": {"message": said, "code": said, "type": said}})
        fault = next(self.faults)
        if fault.isdigit():
            self._answer(int(fault), JSON, error)
        elif fault == "error in 200":
            self._answer(200, JSON, error)
        elif fault == "not JSON":
            self._answer(200, JSON, f"{{{said}")
        elif fault == "a page":
            self._answer(200, "text/html", f"<html>{said}</html>")
        elif fault == "elsewhere":
            self._answer(302, JSON, error)
        elif fault == "closed":
            self.close_connection = True
        elif fault == "broken stream":
            self._answer(200, SSE, f"data: {json.dumps(EVENT)}\n\ndata: {error}\n\n")
        elif fault == "cut stream":
            self._answer(200, SSE, f"data: {json.dumps(EVENT)}\n\n: {said}\n\n")
        elif fault == "bad event":
            self._answer(200, SSE, f"data: {json.dumps(EVENT)}\n\ndata: {said}\n\n")
        else:
            self._answer(200, JSON, json.dumps({**WHOLE, "system_fingerprint": "fine"}))

    def _answer(self, status: int, kind: str, text: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        if status == 302:
            self.send_header("location", f"/{PROVIDER_KEY}")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


FAULTS = (
    *("400", "401", "402", "403", "404", "408", "409", "413", "422", "429", "500", "503", "529"),
    *("error in 200", "not JSON", "a page", "elsewhere", "closed", "fine"),
    *("broken stream", "cut stream", "bad event"),
)
PATHS = (
    ("chat/completions", True),
    ("chat/completions", False),
    ("messages", True),
    ("responses", False),
)


@pytest.fixture
def url() -> Iterator[str]:
    Talkative.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Talkative) as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{provider.server_port}/v1"
        provider.shutdown()
        thread.join()


@pytest.mark.parametrize("breaker", [True, False])
def test_no_secret_is_anywhere(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    breaker: bool,
) -> None:
    """Neither the provider's key nor a client's, in a run with every fault of a provider."""
    monkeypatch.setenv("CANARY_KEY", PROVIDER_KEY)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "router.toml"
    config.write_text(CONFIG.replace("URL", url))
    record, token = new("ada", limits=Limits(key=Bounds(dollars=100.0)))
    spent, spent_token = new("bob", limits=Limits(key=Bounds(calls=1)))
    owner, owner_token = new("owner")
    keeper = Keeper(store=store_at(str(tmp_path / "keys.db")))
    options = ServerOptions(log=tmp_path / "log", breaker=breaker, reload=0.0)
    caplog.set_level(logging.DEBUG)
    lines = {form: logged(form, monkeypatch) for form in (Text, Json)}
    answers: list[Reply] = []
    with Running(LLMRouter(config), options, composed=True, keeper=keeper) as served:
        for one in (record, spent, owner):
            served.run(keeper.store.add(one))
        for fault in FAULTS:
            Talkative.faults = cycle([fault])
            answers += [ask(served, path, token, stream) for path, stream in PATHS]
        answers += [ask(served, "chat/completions", spent_token, False) for _ in range(2)]
        answers += [ask(served, "chat/completions", f"{token}x", False)]
        answers += [ask(served, "chat/completions", token, False, model=token)]
        answers += [served.ask(f"/v1/models/{name}", headers=bearer(token)) for name in "ab"]
        config.write_text(CONFIG.replace("URL", url).replace("smallest-llm", "nobody"))
        served.run(served.gateway.generations.reload())
        pages = [
            served.ask(page, headers=bearer(owner_token))
            for page in ("/metrics", "/v1/stats", "/openapi.json", "/v1/models", "/readyz")
        ]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    files = b"".join(path.read_bytes() for path in written)
    out, err = capfd.readouterr()
    told = "".join(f"{answer.headers}{answer.body.decode()}" for answer in (*answers, *pages))
    log = "".join(stream.getvalue() for stream in lines.values())
    kept = caplog.text + log + out + err + files.decode("latin-1")

    statuses = {answer.status for answer in answers}
    assert statuses >= ({400, 401, 503} if breaker else {200, 400, 401, 404, 429, 502, 504})
    assert ("rests for" in caplog.text) == breaker
    assert {page.status for page in pages} == {200}
    assert any("decisions" in path.name for path in written)
    assert any(PROVIDER_KEY in seen for seen in Talkative.seen)  # where it belongs
    for secret in (PROVIDER_KEY, PROVIDER_KEY[3:], spent_token, owner_token):
        assert secret not in told
        assert secret not in kept
    assert told.count(token) == 1  # the model that was asked for by that name
    assert token not in kept
    for secret in (token, spent_token, owner_token):
        assert not any(secret in seen for seen in Talkative.seen)
    assert PROMPT in told  # whoever sent it may read what the provider says of it
    assert PROMPT not in kept
    assert all(json.loads(line)["message"] for line in lines[Json].getvalue().splitlines())
    assert "the config was not reloaded" in lines[Text].getvalue()


def logged(form: type[logging.Formatter], monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return where everything that is logged goes in that form too."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form())
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, handler])
    return stream


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("fault", ["500", "429", "error in 200"])
def test_nothing_of_it_is_on_stderr(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, fault: str
) -> None:
    """Of a process, where circuits open, a stranger's bug is logged, and a reload fails."""
    monkeypatch.setenv("CANARY_KEY", PROVIDER_KEY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "buggy.py").write_text(BUGGY)
    house = tmp_path / "buggy-1.0.dist-info"
    house.mkdir()
    (house / "METADATA").write_text("Metadata-Version: 2.1\nName: buggy\nVersion: 1.0\n")
    (house / "entry_points.txt").write_text("[llmrouter.scorer]\nbuggy = buggy:Buggy\n")
    config = tmp_path / "router.toml"
    config.write_text(CONFIG.replace("URL", url) + '[scorer.bug]\nuse = "buggy"\n')
    served = Process(config, "--insecure", "--log-format", form)
    assert served.port, served.said
    Talkative.faults = cycle([fault])
    messages = [{"role": "user", "content": PROMPT}]
    try:
        for _ in range(8):
            served.ask("/v1/chat/completions", {"messages": messages})
        config.write_text("not a config")
        served.process.send_signal(signal.SIGHUP)
        while b'result="failed"' not in served.ask("/metrics")[1]:
            time.sleep(0.01)
    finally:
        code = served.stop()
    assert code == 0

    found = "".join(served.said)
    assert "the router failed (BadResult from ValueError at " in found
    assert "buggy.py:" in found
    assert "the config was not reloaded" in found
    assert "rests for" in found
    for secret in (PROVIDER_KEY, PROVIDER_KEY[3:], PROMPT):
        assert secret not in found
    if form == "json":
        rows = [json.loads(line) for line in served.said]
        assert {"warning", "info", "error"} == {row["level"] for row in rows}
        assert any(row["message"].startswith("serving ") for row in rows)
        [bug, *_] = [row for row in rows if row["message"].startswith("the router failed")]
        assert bug["error"] == "BadResult"
        assert len(bug["request"]) == 24


BUGGY = """
from attrs import define
from llmrouter_core import hookimpl

@define
class Buggy:
    @hookimpl
    def score(self, queries, models):
        raise ValueError(f"cannot score {queries[0].text!r}")
"""


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def ask(served: Running, path: str, token: str, stream: bool, model: str = "auto") -> Reply:
    messages = [{"role": "user", "content": PROMPT}]
    body = {"model": model, "stream": stream, "max_tokens": 9}
    body |= {"input": PROMPT} if path == "responses" else {"messages": messages}
    if path == "responses":
        body["max_output_tokens"] = body.pop("max_tokens")
    return served.ask(f"/v1/{path}", body, headers=bearer(token))
