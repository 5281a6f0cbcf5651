"""What is special about the anthropic caller: how it translates, both ways, and what it counts."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParams
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    Chunk,
    ConfigError,
    IncompleteStream,
    LLMRouter,
    Model,
    Price,
    RateLimited,
    Refused,
    Request,
    Secret,
    Unavailable,
)
from llmrouter_plugin_anthropic import AnthropicCaller
from llmrouter_plugin_anthropic.asking import asked_of
from llmrouter_plugin_anthropic.events import Translator, answer_of
from llmrouter_plugin_openai.faults import Place
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from .claude import BLOCKS, MESSAGE, Claude, events, provider, sent

KEY = "sk-ant-canary-0123456789"
SMALL = Model(name="small", id="claude-small", price=Price(input=1.0, output=5.0))
PLACE = Place("small", "api.example.org")
HELLO = [{"role": "user", "content": "Hello?"}]
PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)


@pytest.fixture
def url() -> Iterator[str]:
    with provider() as options:
        yield options["base_url"]


def chunks(caller: AnthropicCaller, request: Request, model: Model = SMALL) -> list[Chunk]:
    call = caller.call(model)
    assert call is not None

    async def read() -> list[Chunk]:
        async with caller.lifespan():
            return [chunk async for chunk in call(request)]

    return asyncio.run(read())


def body_of(**payload: Any) -> dict[str, Any]:
    """Return the request for a payload; Anthropic's own types must read it."""
    asked = asked_of(PLACE, SMALL, {"messages": HELLO, **payload}, stream=True, max_tokens=99)
    body: dict[str, Any] = json.loads(asked.body)
    PARAMS.validate_python(body)
    return body


class Native(dict[str, Any]):
    """A payload that remembers the request for messages it was translated from."""

    protocol = "messages"

    def __init__(self, body: dict[str, Any], **fields: Any) -> None:
        super().__init__({"messages": HELLO, **fields})
        self.body = body


# ---------------------------------------------------------------------------- answers


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_becomes_a_chat_completion(url: str, streamed: bool) -> None:
    """Text, thoughts, a call and the reason to stop, which OpenAI's own types can read."""
    found = chunks(AnthropicCaller(base_url=url, stream=streamed), Request.of("?"))

    assert "".join(chunk.text for chunk in found) == "Paris"
    assert [chunk.finish for chunk in found if chunk.finish] == ["tool_calls"]
    for chunk in found:
        assert json.loads(chunk.data or b"") == chunk.event
    kind: Any = ChatCompletionChunk if streamed else ChatCompletion
    read = [kind.model_validate(chunk.event) for chunk in found]
    assert {(one.id, one.model) for one in read} == {("msg_1", "claude-small-1")}
    if streamed:
        deltas = [choice.delta for one in read for choice in one.choices]
        calls = [call for delta in deltas for call in delta.tool_calls or ()]
        assert {call.index for call in calls} == {0}
        assert "".join(call.function.arguments for call in calls) == '{"city": "Paris"}'
        said = deltas
        assert [choice.finish_reason for one in read for choice in one.choices][-1] == "tool_calls"
    else:
        said = [read[0].choices[0].message]
        [call] = said[0].tool_calls
        assert json.loads(call.function.arguments) == {"city": "Paris"}
        calls = [call]
    assert (calls[0].id, calls[0].function.name) == ("toolu_1", "weather")
    thoughts = [getattr(one, "reasoning_content", None) or "" for one in said]
    blocks = [block for one in said for block in getattr(one, "thinking_blocks", None) or ()]
    assert "".join(thoughts) == "A city."
    assert "".join(block.get("signature", "") for block in blocks) == "S"
    assert blocks[-1] == BLOCKS[1]


@pytest.mark.parametrize("streamed", [True, False])
def test_cached_tokens_are_counted_and_priced(url: str, streamed: bool) -> None:
    """10 fresh, 60 read, 20 written for minutes and 10 for an hour; 7 tokens out."""
    found = chunks(AnthropicCaller(base_url=url, stream=streamed), Request.of("?"))
    usage = found[-1].usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (100, 7)
    worth = 10 + 0.1 * 60 + 1.25 * 20 + 2 * 10
    assert usage.cost == pytest.approx((worth * 1.0 + 7 * 5.0) / 1e6)
    assert found[-1].event is not None
    assert found[-1].event["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "total_tokens": 107,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


def test_without_a_cache_the_price_is_the_models() -> None:
    """A cost of our own would only repeat it."""
    body = {**MESSAGE, "usage": {"input_tokens": 3, "output_tokens": 4}}
    usage = answer_of(PLACE, SMALL, json.dumps(body).encode()).usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cost) == (3, 4, None)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
def test_each_stop_reason_has_its_finish(reason: str, finish: str) -> None:
    """Anthropic's own word and the stop sequence are kept beside it."""
    body = {**MESSAGE, "stop_reason": reason, "stop_sequence": "END"}
    chunk = answer_of(PLACE, SMALL, json.dumps(body).encode())
    assert chunk.event is not None
    choice = chunk.event["choices"][0]

    assert (chunk.finish, choice["finish_reason"]) == (finish, finish)
    assert (choice["native_finish_reason"], choice["stop_reason"]) == (reason, "END")


# ---------------------------------------------------------------------------- sending


def test_what_is_sent_where(url: str) -> None:
    """The key and the version are headers; the model is the provider's name for it."""
    caller = AnthropicCaller(
        base_url=url, api_key=Secret(KEY), headers={"Anthropic-Beta": "a"}, max_tokens=77
    )
    chunks(caller, Request(payload={"messages": HELLO, "betas": ["b", "c"], "model": "auto"}))
    [(path, headers, body)] = Claude.asked
    headers = {name.lower(): value for name, value in headers.items()}

    assert path == "/v1/messages"
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["anthropic-beta"] == "a,b,c"
    assert "authorization" not in headers
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]
    assert body == {
        "messages": messages,
        "max_tokens": 77,
        "model": "claude-small",
        "stream": True,
    }


def test_a_conversation_is_translated() -> None:
    """Turns alternate, results come first, and identifiers are made of letters it takes."""
    call = {"type": "function", "function": {"name": "see", "arguments": '{"x": 1}'}}
    png = {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,aGk="}}
    body = body_of(
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See", "cache_control": {"type": "ephemeral"}},
                    png,
                    {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
                    {
                        "type": "file",
                        "file": {
                            "filename": "a.pdf",
                            "file_data": "data:application/pdf;base64,aGk=",
                        },
                    },
                ],
            },
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "Hm.",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "S"},
                    {"type": "thinking", "thinking": "unsigned"},
                ],
                "tool_calls": [{**call, "id": "see:0"}, {**call, "id": "see:1"}],
            },
            {"role": "tool", "tool_call_id": "see:0", "content": "A cat."},
            {"role": "user", "content": "Go on."},
            {"role": "tool", "tool_call_id": "see:1", "content": [png]},
            {"role": "developer", "content": "Be kind."},
            {"role": "assistant", "content": "It is "},
        ]
    )

    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
    used = {"type": "tool_use", "name": "see", "input": {"x": 1}}
    assert body["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind."},
    ]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": source},
                {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
                {"type": "document", "source": pdf, "title": "a.pdf"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "S"},
                {"type": "text", "text": "I look."},
                {**used, "id": "see_0"},
                {**used, "id": "see_1"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "see_0", "content": "A cat."},
                {
                    "type": "tool_result",
                    "tool_use_id": "see_1",
                    "content": [{"type": "image", "source": source}],
                },
                {"type": "text", "text": "Go on."},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It is"}]},
    ]


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CLAUDES = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"user": "ada"}, {"metadata": {"user_id": "ada"}}),
        ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5}),
        ({"temperature": 1.7, "top_p": 0.5}, {"top_p": 0.5}),
        ({"seed": 1, "frequency_penalty": 1, "stream_options": {}, "llmrouter": {}}, {}),
        ({"top_k": 5, "n": 1, "logprobs": False}, {"top_k": 5}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"reasoning_effort": "none"}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}},
        ),
        (
            {"response_format": {"type": "json_object"}},
            {
                "system": [
                    {"type": "text", "text": "Answer with one JSON object and nothing else."}
                ]
            },
        ),
        ({"tools": [TOOL]}, {"tools": [CLAUDES]}),
        (
            {"tools": [TOOL], "tool_choice": "required"},
            {"tools": [CLAUDES], "tool_choice": {"type": "any"}},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tools": [CLAUDES], "tool_choice": {"type": "tool", "name": "f"}},
        ),
        (
            {"tools": [TOOL], "parallel_tool_calls": False},
            {
                "tools": [CLAUDES],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
        ),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {}),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        ),
    ],
)
def test_each_option_has_its_counterpart(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Fields that are unknown pass through."""
    body = body_of(**given)
    rest = {name: value for name, value in body.items() if name not in ("messages", "model")}

    assert rest == {"max_tokens": 99, "stream": True, **wanted}


def test_turns_in_which_nothing_was_said_are_left_out() -> None:
    """What the user said around them is one turn; an answer to go on with is not blank."""
    body = body_of(
        messages=[
            *HELLO,
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "Still there?"},
            {"role": "assistant", "content": " \n"},
        ]
    )
    texts = ("Hello?", "Still there?")

    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}
    ]


def test_arguments_that_were_never_json_are_kept_as_text() -> None:
    """A model wrote them and a tool answered them, so the conversation goes on."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
    body = body_of(messages=[*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}])

    assert body["messages"][1]["content"][0]["input"] == {"arguments": "{oops"}


@pytest.mark.parametrize(
    ("payload", "kind", "reason"),
    [
        ({"n": 2}, Refused, "answers once"),
        ({"logprobs": True}, Refused, "no log probabilities"),
        ({"tools": [{"type": "custom", "custom": {}}]}, Refused, "free text"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, Refused, "no such 'tool_choice'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            Refused,
            r"'messages\[0\]' has content of type 'input_audio'",
        ),
        ({"messages": "Hi"}, BadRequest, "not a list"),
        ({"messages": [1]}, BadRequest, "no message"),
        ({"messages": [{"role": "poet", "content": "x"}]}, BadRequest, "a role that nobody knows"),
        ({"messages": [{"role": "user", "content": 3}]}, BadRequest, "neither text nor parts"),
        ({"messages": [{"role": "tool", "content": "x"}]}, BadRequest, "tool_call_id' is missing"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
            BadRequest,
            "neither http",
        ),
        ({"x": float("nan")}, BadRequest, "not JSON"),
    ],
)
def test_what_cannot_be_asked_is_a_typed_error(
    payload: dict[str, Any], kind: type[CallError], reason: str
) -> None:
    """What another model may do is Refused, what none can is BadRequest; nothing is sent."""
    with pytest.raises(kind, match=f"model 'small' at api.example.org: .*{reason}"):
        body_of(**payload)


def test_a_request_for_messages_is_sent_as_it_was() -> None:
    """With all that only Anthropic knows, but without what other models left in it."""
    given: dict[str, Any] = {
        "model": "auto",
        "max_tokens": 5,
        "cache_control": {"type": "ephemeral"},
        "thinking": {"type": "adaptive"},
        "invented": True,
        "betas": ["b"],
        "llmrouter": {"tradeoff": 1},
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "another model's", "signature": ""},
                    {"type": "thinking", "thinking": "ours", "signature": "S"},
                    {"type": "tool_use", "id": "f:0", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "f:0"}]},
        ],
    }
    asked = asked_of(PLACE, SMALL, Native(given, stream=False), stream=True, max_tokens=99)
    body = json.loads(asked.body)

    assert asked.betas == ("b",)
    assert body["messages"][0] == given["messages"][0]
    assert [block.get("thinking") for block in body["messages"][1]["content"]] == ["ours", None]
    assert body["messages"][1]["content"][1]["id"] == "f_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "f_0"
    del body["messages"]
    assert body == {
        "model": "claude-small",
        "stream": False,
        "max_tokens": 5,
        "cache_control": {"type": "ephemeral"},
        "thinking": {"type": "adaptive"},
        "invented": True,
    }
    assert given["messages"][1]["content"][0]["thinking"] == "another model's"  # left alone


def test_a_request_of_another_protocol_is_translated() -> None:
    """Only messages are ours."""

    class Other(Native):
        protocol = "responses"

    asked = asked_of(PLACE, SMALL, Other({"input": "x"}), stream=True, max_tokens=9)
    assert "input" not in json.loads(asked.body)


# ---------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("status", "said", "message", "kind"),
    [
        (400, "invalid_request_error", "messages: at least one", BadRequest),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", Refused),
        (400, "invalid_request_error", "Your credit balance is too low", Refused),
        (400, "invalid_request_error", "This model does not support effort", Refused),
        (401, "authentication_error", "invalid x-api-key", Refused),
        (404, "not_found_error", "model: x", Refused),
        (413, "request_too_large", "too large", BadRequest),
        (429, "rate_limit_error", "slow down", RateLimited),
        (500, "api_error", "oh", Unavailable),
        (529, "overloaded_error", "Overloaded", Unavailable),
    ],
)
def test_each_refusal_has_its_error(
    url: str, status: int, said: str, message: str, kind: type[CallError]
) -> None:
    """What another model or key may answer is not the request's fault."""
    body = {"type": "error", "error": {"type": said, "message": message}}
    Claude.answers.append((status, "application/json", json.dumps(body).encode()))
    with pytest.raises(CallError) as raised:
        chunks(AnthropicCaller(base_url=url), Request.of("?"))

    assert type(raised.value) is kind
    assert message.split(":")[0] in str(raised.value)
    assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("overloaded_error", Unavailable),
        ("api_error", Unavailable),
        ("rate_limit_error", RateLimited),
        ("invalid_request_error", BadRequest),
        ("something_new", BadResponse),
        (None, BadResponse),
    ],
)
def test_an_error_within_a_stream_keeps_its_meaning(
    url: str, said: str | None, kind: type[CallError]
) -> None:
    """Before the first word another model can still answer."""
    error = {"type": "error", "error": {"type": said, "message": "Overloaded"}}
    Claude.answers.append((200, "text/event-stream", sent([*events()[:3], error])))
    with pytest.raises(CallError) as raised:
        chunks(AnthropicCaller(base_url=url), Request.of("?"))

    assert type(raised.value) is kind


@pytest.mark.parametrize("count", range(len(events()) - 1))
def test_no_stream_ends_early_in_silence(url: str, count: int) -> None:
    """Wherever it is cut, it is incomplete until the stop reason is there."""
    whole = count > [event["type"] for event in events()].index("message_delta")
    Claude.answers.append((200, "text/event-stream", sent(events()[:count])))
    call = AnthropicCaller(base_url=url)
    if whole:
        assert chunks(call, Request.of("?"))[-2].finish == "tool_calls"
        return
    with pytest.raises(IncompleteStream, match="without a stop_reason"):
        chunks(call, Request.of("?"))


def test_nothing_is_given_before_the_first_word() -> None:
    """The start of a message can still be taken back, a thought cannot."""
    translator = Translator(PLACE, SMALL)
    spoken = []
    for event in events()[:4]:
        translator.feed(json.dumps(event).encode())
        spoken.append(translator.spoken)

    assert spoken == [False, False, False, True]


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("text/html", b"<html>", "answered with text/html"),
        ("application/json", b"[]", "sent a JSON list"),
        ("application/json", b"{", "not JSON"),
        ("application/json", b"{}", "without content"),
        ("application/json", b'{"content": []}', "without a stop_reason"),
    ],
)
def test_what_is_no_message_is_a_broken_answer(
    url: str, kind: str, body: bytes, error: str
) -> None:
    """Every 200 is checked before it counts."""
    Claude.answers.append((200, kind, body))
    with pytest.raises(CallError, match=error):
        chunks(AnthropicCaller(base_url=url), Request.of("?"))


def test_a_limited_key_hands_over_to_the_next(url: str) -> None:
    """The call itself succeeds, and the key is in no message."""
    Claude.answers.append((429, "application/json", b"{}"))
    caller = AnthropicCaller(base_url=url, api_keys=(Secret(KEY), Secret("sk-ant-second")))
    found = chunks(caller, Request.of("?"))

    assert "".join(chunk.text for chunk in found) == "Paris"
    sent_keys = [{k.lower(): v for k, v in h.items()}["x-api-key"] for _, h, _ in Claude.asked]
    assert sent_keys == [KEY, "sk-ant-second"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"headers": {"X-Api-Key": "secret"}}, "set api_key instead"),
        ({"headers": {"authorization": "secret"}}, "set api_key instead"),
        ({"base_url": "ftp://a"}, "'base_url' is a URL that starts with http"),
        ({"max_tokens": 0}, "'max_tokens' must be > 0"),
    ],
)
def test_a_wrong_option_is_a_sentence(options: dict[str, Any], message: str) -> None:
    """It names the option and shows no secret."""
    config = {"router": "smallest-llm", "caller": {"mine": {"use": "anthropic", **options}}}
    with pytest.raises(ConfigError, match=message) as raised:
        LLMRouter(config)

    assert "secret" not in str(raised.value)


def test_importing_loads_no_http_library() -> None:
    """The client's library is imported when a router is opened."""
    code = (
        "import sys, llmrouter_plugin_anthropic;"
        "sys.exit(bool({'httpx', 'aiohttp', 'anthropic'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------------------- any input

NAMES = """
    type message content content_block delta index text thinking signature data id name input
    partial_json stop_reason stop_sequence usage input_tokens output_tokens error model role
    tool_calls function arguments tool_call_id image_url url file file_data thinking_blocks
"""
KINDS = """
    message_start content_block_start content_block_delta message_delta message_stop text_delta
    input_json_delta thinking_delta text tool_use user assistant tool image_url file system
"""
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES.split()), inner | st.sampled_from(KINDS.split()), max_size=5
        )
    ),
    max_leaves=15,
)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES.split()), anything), max_size=4))
def test_any_event_is_a_chunk_or_a_typed_error(given_events: list[dict[str, Any]]) -> None:
    """No shape of an event or of a message breaks the reader."""
    translator = Translator(PLACE, SMALL)
    for event in given_events:
        data = json.dumps(event).encode()
        for read in (translator.feed, lambda body: [answer_of(PLACE, SMALL, body)]):
            try:
                found = read(data)
            except CallError:
                continue
            assert all(isinstance(chunk.text, str) for chunk in found)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES.split()), anything), max_size=4))
def test_any_payload_is_a_request_or_a_typed_error(messages: list[dict[str, Any]]) -> None:
    """No shape of a message breaks the writer; turns alternate and say something."""
    for payload in ({"messages": messages}, Native({"messages": messages})):
        try:
            asked = asked_of(PLACE, SMALL, payload, stream=True, max_tokens=9)
        except CallError:
            continue
        if not isinstance(payload, Native):
            turns = json.loads(asked.body)["messages"]
            roles = [turn["role"] for turn in turns]
            assert all(one != other for one, other in pairwise(roles))
            assert all(turn["content"] for turn in turns)


def test_the_provider_of_these_tests_speaks_as_anthropic_does() -> None:
    """Its message is one that Anthropic's own client reads."""
    assert Message.model_validate(MESSAGE).content[2].type == "text"
