"""The clients people have, and a provider that keeps every byte it was sent."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from llmrouter_core import LLMRouter
from llmrouter_plugin_server.app import ServerOptions
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from .gateways import HELLO, Running

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
WHOLE = (
    b'{ "id":"x1", "object":"chat.completion","created":1,"model":"m-1",'
    b' "novel" : [1.50,"\\u00e9"],'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"{\\"a\\": 1}"},'
    b'"logprobs":{"content":[{"token":"a","logprob":-0.10,"top_logprobs":[]}]},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)
EVENTS = [
    b'{"id":"x1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":""},"finish_reason":null}],  "novel":1.50}',
    b'{"id":"x1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,'
    b'"delta":{"content":"H\\u0069 "},"finish_reason":null}]}',
    b'{"id":"x1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,'
    b'"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"weather",'
    b'"arguments":"{\\"a\\":1}"}}]},"finish_reason":null}]}',
    b'{"id":"x1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,'
    b'"delta":{},"finish_reason":"tool_calls"}]}',
    b'{"id":"x1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}',
]


class Recorder(BaseHTTPRequestHandler):
    """A provider of `m-1` that keeps what it was sent."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes] = []  # noqa: RUF012 - cleared by the fixture

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(body)
        if json.loads(body)["stream"]:
            answer = b"".join(b"data: %b\n\n" % event for event in EVENTS) + b"data: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            answer, kind = WHOLE, "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{provider.server_port}/v1"
        router = LLMRouter(
            {
                "model": {"m": {"id": "m-1", "price": {"input": 1.0, "output": 2.0}}},
                "selector": "smallest-llm",
                "caller": {"default": {"use": "openai", "base_url": url}},
            }
        )
        with Running(router, ServerOptions(insecure=True)) as running:
            yield running
        provider.shutdown()
        thread.join()


@pytest.fixture
def client(gateway: Running) -> Iterator[OpenAI]:
    Recorder.bodies.clear()
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as found:
        yield found


# ---------------------------------------------------------------------------- byte for byte


def test_what_a_client_sends_reaches_the_provider_as_it_is(
    client: OpenAI, gateway: Running
) -> None:
    """Only the fields that routing decides are exchanged; numbers keep their spelling."""
    body = (
        b'{"model":"auto","temperature":0.10,"seed":12345678901234567890,'
        b'"messages":[{"role":"user","content":"H\\u00e9llo \\ud83d\\ude00","novel":1e2}],'
        b'"llmrouter":{"tradeoff":0.5},"from_next_year":{"x":[1.0,2.50]}}'
    )
    gateway.ask("/v1/chat/completions", body)
    [sent] = Recorder.bodies

    for piece in (
        b'"temperature":0.10',
        b'"seed":12345678901234567890',
        b'[{"role":"user","content":"H\\u00e9llo \\ud83d\\ude00","novel":1e2}]',
        b'"from_next_year":{"x":[1.0,2.50]}',
    ):
        assert piece in sent
    fields = json.loads(sent)
    assert (fields["model"], fields["stream"]) == ("m-1", False)
    assert "llmrouter" not in fields


def test_what_a_provider_answers_reaches_the_client_as_it_is(
    client: OpenAI, gateway: Running
) -> None:
    found = gateway.chat()

    assert found.body.startswith(WHOLE[:-1] + b',"llmrouter":{')
    assert found.json["llmrouter"]["cost"] == pytest.approx(9e-6)


def test_events_of_a_provider_reach_the_client_as_they_are(
    client: OpenAI, gateway: Running
) -> None:
    asked = gateway.chat(stream=True, stream_options={"include_usage": True}).body
    plain = gateway.chat(stream=True).body

    assert asked.split(b"\n\n")[:4] == [b"data: " + event for event in EVENTS[:4]]
    assert asked.split(b"\n\n")[4].startswith(b"data: " + EVENTS[4][:-1] + b',"llmrouter":{')
    assert plain.split(b"\n\n")[:3] == [b"data: " + event for event in EVENTS[:3]]
    assert plain.split(b"\n\n")[3].startswith(b"data: " + EVENTS[3][:-1] + b',"llmrouter":{')
    assert plain.split(b"\n\n")[4] == asked.split(b"\n\n")[5] == b"data: [DONE]"


# ---------------------------------------------------------------------------- OpenAI's SDK


def test_the_openai_sdk_asks_and_reads(client: OpenAI) -> None:
    found = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, PICTURE]}],
        tools=[TOOL],
        logprobs=True,
        seed=7,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        extra_body={"llmrouter": {"tradeoff": 0.2}},
    )

    assert found.choices[0].message.content == '{"a": 1}'
    assert found.choices[0].logprobs.content[0].token == "a"
    assert found.usage.total_tokens == 7
    assert found.model_extra["llmrouter"]["model"] == "m"
    sent = json.loads(Recorder.bodies[-1])
    assert sent["messages"][0]["content"][1] == PICTURE
    assert sent["tools"] == [TOOL]
    assert (sent["seed"], sent["logprobs"]) == (7, True)


def test_the_openai_sdk_streams_tools(client: OpenAI) -> None:
    with client.chat.completions.stream(model="auto", messages=HELLO, tools=[TOOL]) as stream:
        final = stream.get_final_completion()

    assert final.choices[0].message.content == "Hi "
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"a":1}'
    assert final.choices[0].finish_reason == "tool_calls"


def test_the_openai_sdk_reads_raw_headers_and_the_usage(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    assert raw.headers["x-llmrouter-reason"] == "pinned"
    chunks = list(
        client.chat.completions.create(
            model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].usage.total_tokens == 7
    assert chunks[-1].model_extra["llmrouter"]["reason"] == "pinned"


def test_the_async_openai_sdk_asks_and_streams(client: OpenAI, gateway: Running) -> None:
    async def talk() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none") as own:
            whole = await own.chat.completions.create(model="auto", messages=HELLO)
            stream = await own.chat.completions.create(model="auto", messages=HELLO, stream=True)
            texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content or "", "".join(texts)

    assert asyncio.run(talk()) == ('{"a": 1}', "Hi ")


def test_the_openai_sdk_knows_our_errors(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="there is no model 'gpt'"):
        client.chat.completions.create(model="gpt", messages=HELLO)
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="auto", messages=[])
    assert caught.value.code == "bad_request"


def test_the_openai_sdk_lists_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["auto", "auto:cheap", "auto:best", "m"]
    assert client.models.retrieve("auto:best").id == "auto:best"


def test_the_openai_sdk_sees_a_stream_break(client: OpenAI, monkeypatch: Any) -> None:
    monkeypatch.setitem(globals(), "EVENTS", EVENTS[:2])
    stream = client.chat.completions.create(model="auto", messages=HELLO, stream=True)
    found = [next(stream).choices[0].delta.content, next(stream).choices[0].delta.content]
    with pytest.raises(APIError, match="finish_reason"):
        next(stream)

    assert "".join(found) == "Hi "


def test_the_openai_sdk_speaks_the_other_protocols(client: OpenAI) -> None:
    completion = client.completions.create(model="auto", prompt="Hello?")
    response = client.responses.create(model="auto", input="Hello?")
    texts = [
        event.delta
        for event in client.responses.create(model="auto", input="Hello?", stream=True)
        if event.type == "response.output_text.delta"
    ]

    assert completion.choices[0].text == response.output_text == '{"a": 1}'
    assert "".join(texts) == "Hi "


def test_the_anthropic_sdk_asks_and_streams(client: OpenAI, gateway: Running) -> None:
    with Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as own:
        whole = own.messages.create(model="auto", max_tokens=9, messages=HELLO)
        with own.messages.stream(model="auto", max_tokens=9, messages=HELLO) as stream:
            final = stream.get_final_message()
        counted = own.messages.count_tokens(model="auto", messages=HELLO)

    assert whole.content[0].text == '{"a": 1}'
    assert final.content[0].text == "Hi "
    assert final.content[1].input == {"a": 1}
    assert final.stop_reason == "tool_use"
    assert counted.input_tokens > 0
    assert json.loads(Recorder.bodies[0])["max_tokens"] == 9


def test_the_async_anthropic_sdk_asks_and_streams(client: OpenAI, gateway: Running) -> None:
    tool = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    seen = [{"type": "image", "source": source}, {"type": "text", "text": "What?"}]

    async def talk() -> tuple[Any, Any]:
        async with AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0) as own:
            asked: Any = {"model": "auto", "max_tokens": 9, "tools": [tool]}
            whole = await own.messages.create(
                **asked, messages=[{"role": "user", "content": seen}]
            )
            async with own.messages.stream(**asked, messages=HELLO) as stream:
                texts = [text async for text in stream.text_stream]
                return whole, (texts, await stream.get_final_message())

    whole, (texts, final) = asyncio.run(talk())
    sent = json.loads(Recorder.bodies[0])

    assert whole.content[0].text == '{"a": 1}'
    assert whole.usage.output_tokens == 2
    assert texts == ["Hi "]
    assert (final.content[1].name, final.content[1].input) == ("weather", {"a": 1})
    assert sent["tools"][0]["function"]["name"] == "weather"
    assert sent["messages"][0]["content"][0] == PICTURE


# ---------------------------------------------------------------------------- LiteLLM


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network
    return pytest.importorskip("litellm", reason="LiteLLM is not installed: pip install litellm")


def through(gateway: Running, model: str = "auto") -> dict[str, Any]:
    """How LiteLLM is told of a server that speaks OpenAI's protocol."""
    return {"model": f"openai/{model}", "api_base": f"{gateway.url}/v1", "api_key": "none"}


@pytest.mark.filterwarnings("ignore")  # its own
def test_litellm_asks_and_streams(client: OpenAI, gateway: Running, litellm: Any) -> None:
    found = litellm.completion(
        **through(gateway),
        messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, PICTURE]}],
        tools=[TOOL],
        response_format={"type": "json_object"},
        seed=7,
    )
    stream = list(litellm.completion(**through(gateway), messages=HELLO, stream=True))
    sent = json.loads(Recorder.bodies[0])

    assert found.choices[0].message.content == '{"a": 1}'
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (5, 2)
    assert sent["messages"][0]["content"][1] == PICTURE
    assert (sent["tools"], sent["seed"]) == ([TOOL], 7)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hi "
    assert stream[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.filterwarnings("ignore")
def test_async_litellm_asks_and_streams(client: OpenAI, gateway: Running, litellm: Any) -> None:
    async def talk() -> tuple[Any, list[Any]]:
        whole = await litellm.acompletion(**through(gateway, "m"), messages=HELLO)
        stream = await litellm.acompletion(**through(gateway), messages=HELLO, stream=True)
        return whole, [chunk async for chunk in stream]

    whole, chunks = asyncio.run(talk())
    calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or ()]

    assert whole.choices[0].message.content == '{"a": 1}'
    assert [call.function.arguments for call in calls] == ['{"a":1}']


@pytest.mark.filterwarnings("ignore")
def test_litellm_knows_our_errors(client: OpenAI, gateway: Running, litellm: Any) -> None:
    with pytest.raises(litellm.NotFoundError, match="there is no model 'gpt'"):
        litellm.completion(**through(gateway, "gpt"), messages=HELLO, max_retries=0)
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(**through(gateway), messages=[], max_retries=0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_asks_and_streams(client: OpenAI, gateway: Running) -> None:
    body = json.dumps({"model": "auto", "messages": HELLO, "stream": True})
    url = f"{gateway.url}/v1/chat/completions"
    command = ["curl", "-sN", url, "-H", "content-type: application/json", "-d", body]
    found = subprocess.run(command, capture_output=True, check=True).stdout

    assert found.endswith(b"data: [DONE]\n\n")
