"""Several keys of one provider take turns, and rest while they are turned away."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from llmrouter_core import (
    CallError,
    Chunk,
    ConfigError,
    LLMRouter,
    Model,
    RateLimited,
    Refused,
    Request,
    Secret,
    Unavailable,
)
from llmrouter_plugin_openai import OpenaiCaller
from llmrouter_plugin_openai.keys import Keys

from .echo import PLAIN

ONE, TWO, THREE = (Secret(f"key-number-{i}-abcdef") for i in (1, 2, 3))


class Gate(BaseHTTPRequestHandler):
    """Answers a key with the status it is told, 200 where it is told none."""

    statuses: dict[str, tuple[int, str]] = {}  # noqa: RUF012 - cleared by the fixture
    asked: list[str] = []  # noqa: RUF012 - cleared by the fixture

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append(key)
        status, wait = self.statuses.get(key, (200, ""))
        body = json.dumps(PLAIN if status == 200 else {"error": {"message": f"no, {key}"}})
        self.send_response(status)
        if wait:
            self.send_header("Retry-After", wait)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Gate.asked.clear()
    Gate.statuses.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def ask(caller: OpenaiCaller, times: int = 1) -> list[Chunk]:
    call = caller.call(Model(name="a"))
    assert call is not None

    async def read() -> list[Chunk]:
        async with caller.lifespan():
            found = []
            for _ in range(times):
                found += [chunk async for chunk in call(Request.of("hi"))]
            return found

    return asyncio.run(read())


def of(url: str) -> OpenaiCaller:
    return OpenaiCaller(base_url=url, api_keys=(ONE, TWO, THREE), stream=False)


def test_keys_take_turns(url: str) -> None:
    """Each is used as often as the others."""
    assert len(ask(of(url), times=9)) == 9
    assert Gate.asked == [one.reveal() for one in (ONE, TWO, THREE)] * 3


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_key_that_is_turned_away_rests_and_the_next_one_answers(status: int, url: str) -> None:
    """The call succeeds, and the key is not tried again by the next calls."""
    Gate.statuses[TWO.reveal()] = (status, "")

    assert len(ask(of(url), times=9)) == 9
    assert Counter(Gate.asked) == {ONE.reveal(): 5, TWO.reveal(): 1, THREE.reveal(): 4}


def test_a_key_comes_back_when_its_rest_is_over(url: str) -> None:
    """`Retry-After` says when."""
    caller = of(url)
    Gate.statuses[ONE.reveal()] = (429, "0.01")
    ask(caller)
    Gate.statuses.clear()
    asyncio.run(asyncio.sleep(0.02))
    ask(caller, times=6)

    assert Counter(Gate.asked)[ONE.reveal()] == 3


def test_a_call_fails_with_the_shortest_wait_when_no_key_is_left(url: str) -> None:
    """Each key was tried once, and none is quoted."""
    for key, answer in zip((ONE, TWO, THREE), ((429, "50"), (401, ""), (429, "20")), strict=True):
        Gate.statuses[key.reveal()] = answer
    with pytest.raises(RateLimited) as caught:
        ask(of(url))

    assert caught.value.retry_after == 20
    assert len(Gate.asked) == 3
    assert "key-number" not in str(caught.value)


def test_an_error_that_is_not_about_the_key_goes_no_further(url: str) -> None:
    """Another key would meet the same."""
    Gate.statuses[ONE.reveal()] = (500, "")
    with pytest.raises(Unavailable):
        ask(of(url))

    assert len(Gate.asked) == 1


def test_a_single_key_never_rests(url: str) -> None:
    """There is nobody to take its place, so each call says what is wrong."""
    Gate.statuses[ONE.reveal()] = (401, "")
    caller = OpenaiCaller(base_url=url, api_key=ONE, stream=False)
    for _ in range(2):
        with pytest.raises(Refused):
            ask(caller)

    assert len(Gate.asked) == 2


def test_when_all_rest_the_first_to_be_ready_is_tried() -> None:
    """It may have been mended, and it says best what is wrong."""
    keys = Keys([ONE, TWO])
    for key, wait in zip(keys.turns(), (9.0, 5.0), strict=True):
        assert keys.rest(key, RateLimited("wait; try again", status=429, retry_after=wait))

    assert [*keys.turns()] == [TWO]


@pytest.mark.parametrize("error", [Refused("no", status=403), Refused("no", status=404)])
def test_a_refusal_that_is_about_the_model_rests_no_key(error: CallError) -> None:
    """Another key of the same provider would not help."""
    assert not Keys([ONE, TWO]).rest(ONE, error)


def test_keys_stand_in_a_config_as_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A literal is refused, a key beside them too, and none is shown."""
    monkeypatch.setenv("KEY_1", ONE.reveal())
    start = 'selector = "smallest-llm"\n[caller.default]\nuse = "openai"\n'
    config = tmp_path / "router.toml"
    config.write_text(start + 'api_keys = [{ env = "KEY_1" }, { env = "KEY_2" }]\n')
    [part] = [part for part in LLMRouter(config).config.parts if part.kind == "caller"]

    assert part.plugin.api_keys == (Secret(env="KEY_1"), Secret(env="KEY_2"))
    assert ONE.reveal() not in repr(part.plugin)
    for line, sentence in (
        ('api_keys = ["sk-literal"]', "never as a literal"),
        ('api_key = { env = "A" }\napi_keys = [{ env = "B" }]', "stands instead of 'api_key'"),
        ('api_keys = [{ env = "B" }, { env = "B" }]', "lists a key twice"),
    ):
        config.write_text(start + line)
        with pytest.raises(ConfigError, match=sentence) as caught:
            LLMRouter(config)
        assert "sk-literal" not in str(caught.value)
