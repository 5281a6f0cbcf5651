"""What is special about the openai caller: what it sends, what it reads, what it keeps quiet."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from ssl import CERT_REQUIRED, SSLContext
from typing import Any

import httpx
import pytest
from llmrouter_core import (
    BadRequest,
    Chunk,
    ConfigError,
    LLMRouter,
    Model,
    Price,
    Request,
    Secret,
)
from llmrouter_plugin_openai import OpenaiCaller

from .echo import EVENTS, PLAIN, Echo, provider

KEY = "sk-canary-0123456789"


@pytest.fixture
def url() -> Iterator[str]:
    with provider() as options:
        yield options["base_url"]


def chunks(caller: OpenaiCaller, candidate: Model, **payload: Any) -> list[Chunk]:
    call = caller.call(candidate)
    assert call is not None

    async def read() -> list[Chunk]:
        async with caller.lifespan():
            return [chunk async for chunk in call(Request(payload=payload))]

    return asyncio.run(read())


# ---------------------------------------------------------------------------- sending


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
def test_certificates_are_checked_however_the_scheme_is_spelled(
    scheme: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only plain http goes without."""
    given: list[bool] = []

    class Client(httpx.AsyncClient):
        def __init__(self, *, verify: bool, **options: Any) -> None:
            given.append(verify)
            super().__init__(verify=False, **options)

    if transport == "httpx":
        monkeypatch.setattr(httpx, "AsyncClient", Client)
    else:
        import aiohttp

        connector = aiohttp.TCPConnector

        def connect(*, ssl: Any, **options: Any) -> aiohttp.TCPConnector:
            checked = isinstance(ssl, SSLContext) and ssl.check_hostname
            given.append(checked and ssl.verify_mode == CERT_REQUIRED)
            return connector(ssl=ssl, **options)

        monkeypatch.setattr(aiohttp, "TCPConnector", connect)

    async def open_both() -> None:
        for address in (f"{scheme}://127.0.0.1/v1", "http://127.0.0.1/v1"):
            async with OpenaiCaller(base_url=address).lifespan():
                pass

    asyncio.run(open_both())

    assert given == [True, False]


def test_stream_options_of_another_shape_are_a_bad_request(url: str) -> None:
    """The payload is the caller's fault, not the plugin's."""
    with pytest.raises(BadRequest, match="'stream_options' in the payload is not an object"):
        chunks(OpenaiCaller(base_url=url), Model(name="a"), stream_options="all")

    assert Echo.asked == []


def test_the_whole_payload_is_sent_and_completed(url: str) -> None:
    """Nothing is dropped, unknown fields included; model and streaming are set."""
    payload = {
        "messages": [{"role": "user", "content": "hi"}],
        "model": "auto",
        "tools": [{"a": 1}],
        "not_invented_yet": {"x": [None]},
        "stream_options": {"also": 1},
    }
    chunks(OpenaiCaller(base_url=url), Model(name="a", id="lab/a-1"), **payload)
    path, _, sent = Echo.asked[0]

    assert path == "/api/v1/chat/completions"
    assert sent == {
        **payload,
        "model": "lab/a-1",
        "stream": True,
        "stream_options": {"also": 1, "include_usage": True},
    }


def test_the_key_is_sent_and_never_shown(url: str) -> None:
    """The key travels in one header; further headers travel too."""
    caller = OpenaiCaller(base_url=url, api_key=Secret(KEY), headers={"HTTP-Referer": "https://a"})
    chunks(caller, Model(name="a"), messages=[])
    _, headers, _ = Echo.asked[0]

    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["HTTP-Referer"] == "https://a"
    assert KEY not in repr(caller)


def test_a_local_server_is_asked_without_a_key(url: str) -> None:
    """Without a key there is no Authorization header."""
    chunks(OpenaiCaller(base_url=url), Model(name="a"), messages=[])

    assert "Authorization" not in Echo.asked[0][1]


def test_a_key_that_cannot_be_sent_is_not_quoted(url: str) -> None:
    """A line break inside a key is an error without the key in it."""
    caller = OpenaiCaller(base_url=url, api_key=Secret(f"{KEY}\r\nHost: evil"))
    with pytest.raises(ConfigError) as raised:
        chunks(caller, Model(name="a"), messages=[])

    assert "sk-" not in str(raised.value)
    assert not Echo.asked


@pytest.mark.parametrize(("option", "payload"), [(False, {}), (True, {"stream": False})])
def test_an_answer_in_one_piece_becomes_a_chunk(
    url: str, option: bool, payload: dict[str, Any]
) -> None:
    """By option or by payload; `stream_options` is left out, as providers demand."""
    caller = OpenaiCaller(base_url=url, stream=option)
    found = chunks(caller, Model(name="a"), messages=[], stream_options={}, **payload)

    assert [(chunk.text, chunk.finish) for chunk in found] == [("Paris", "stop")]
    assert found[0].event == PLAIN
    assert found[0].data == json.dumps(PLAIN).encode()
    assert "stream_options" not in Echo.asked[0][2]


# ---------------------------------------------------------------------------- reading


def test_each_event_becomes_a_chunk_that_carries_it_whole(url: str) -> None:
    """Text, finish reason and usage are read; the rest is in the event."""
    found = chunks(OpenaiCaller(base_url=url), Model(name="a"), messages=[])

    assert [chunk.event for chunk in found] == EVENTS
    assert [chunk.data for chunk in found] == [json.dumps(event).encode() for event in EVENTS]
    assert "".join(chunk.text for chunk in found) == "Paris"
    assert found[3].finish == "stop"
    assert found[4].usage is not None
    assert (found[4].usage.input_tokens, found[4].usage.cost) == (5, 0.25)


def test_other_callers_models_are_left_to_them() -> None:
    """A model that names its caller is served by that one only."""
    caller = OpenaiCaller(name="mine")

    assert caller.call(Model(name="a", caller="other")) is None
    assert caller.call(Model(name="a", caller="mine")) is not None


def test_a_call_outside_the_lifespan_says_where_it_belongs() -> None:
    """There is no client to use, and none is opened behind the user's back."""
    call = OpenaiCaller(name="mine").call(Model(name="a"))
    assert call is not None

    async def read() -> None:
        async for _ in call(Request.of("hi")):
            pass

    with pytest.raises(ConfigError, match=r"caller\.mine: is not open here; ask within"):
        asyncio.run(read())


def test_two_lifespans_on_one_loop_share_a_client(url: str) -> None:
    """The client stays open until the last of them closes."""
    caller = OpenaiCaller(base_url=url)
    call = caller.call(Model(name="a"))
    assert call is not None

    async def read() -> str:
        async with caller.lifespan():
            async with caller.lifespan():
                pass
            return "".join([chunk.text async for chunk in call(Request.of("hi"))])

    assert asyncio.run(read()) == "Paris"


# ---------------------------------------------------------------------------- composing


def test_the_shortest_config_is_a_working_composition() -> None:
    """A router and a key: the pool is the default one, the smallest model comes first."""
    router = LLMRouter({"router": "smallest_llm", "api_key": KEY})
    ranking = router.decide("What is the capital of France?").ranking

    assert ranking[0].name == "gpt-oss-20b"
    assert ranking[-1].size is None
    assert KEY not in repr(router.config)


def test_the_shortest_config_answers_through_its_url(url: str) -> None:
    """The same composition against a server of one's own."""
    caller = {"use": "openai", "base_url": url}
    config = {
        "router": "smallest_llm",
        "api_key": KEY,
        "caller": {"default": caller},
        "model": {"small": {"size": 1.0}},
    }
    with LLMRouter(config) as router:
        answer = router.route("What is the capital of France?")

    assert (str(answer), answer.cost) == ("Paris", 0.25)
    assert Echo.asked[0][1]["Authorization"] == f"Bearer {KEY}"


def test_the_pool_is_stated_in_full() -> None:
    """Each model has an id, a price and a context window; another URL has no pool."""
    pool = OpenaiCaller(name="mine").pool()

    assert len({model.id for model in pool}) == len(pool) == 10
    assert all("/" in model.id and model.context and model.caller == "mine" for model in pool)
    assert all(isinstance(model.price, Price) and model.price.output > 0 for model in pool)
    assert OpenaiCaller(base_url="http://localhost:8000/v1").pool() == ()


def test_importing_and_composing_load_no_http_library() -> None:
    """The client's library is imported when a router is opened."""
    code = (
        "import sys; from llmrouter_core import LLMRouter;"
        "LLMRouter({'router': 'smallest_llm', 'api_key': 'sk-x'}).decide('hi');"
        "sys.exit(not {'httpx', 'aiohttp', 'asyncio'}.isdisjoint(sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "ftp://a"}, "'base_url' is a URL that starts with http"),
        ({"base_url": "localhost:8000"}, "'base_url' is a URL that starts with http"),
        ({"base_url": "http://"}, "'base_url' is a URL that starts with http"),
        ({"base_url": "http://me:secret@a"}, "a key belongs into api_key"),
        ({"base_url": "http://a?key=secret"}, "a key belongs into api_key"),
        ({"headers": {"authorization": "secret"}}, "set api_key instead"),
        ({"headers": {"A": "secret\n"}}, "HTTP cannot send"),
        ({"deadline": 0.0}, "'deadline' must be > 0"),
        ({"transport": "carrier pigeon"}, "'transport' must be in"),
        ({"api_key": "secret"}, "never as a literal"),
    ],
)
def test_a_wrong_option_is_a_sentence(options: dict[str, Any], message: str) -> None:
    """The message names the option and its table, and quotes nothing that may be secret."""
    config = {"router": "smallest-llm", "caller": {"mine": {"use": "openai", **options}}}
    with pytest.raises(ConfigError, match=message) as raised:
        LLMRouter(config)

    assert "@ caller.mine" in str(raised.value)
    assert "secret" not in str(raised.value).replace("a secret is written", "")
