"""Anthropic's messages: requests, answers and events, read by Anthropic's own client."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import BadRequest, BadResponse, Chunk, Model
from llmrouter_plugin_server.protocols import messages

from .desk import Desk, anything, called, counted, events, piece, told

HELLO = {"role": "user", "content": "Hello?"}
TOOL = {"name": "weather", "description": "Tell it", "input_schema": {"type": "object"}}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
TALK = [
    piece({"role": "assistant"}),
    piece({"reasoning_content": "A greet"}),
    piece({"reasoning_content": "ing."}),
    piece({"content": "Good "}),
    piece({"content": "day."}),
    piece({}, "stop"),
    counted(**USAGE),
]
CALLS = [
    piece({"content": "I look."}),
    called(0, "", id="call_1", name="weather"),
    called(0, '{"city": '),
    called(0, '"Rome"}'),
    called(1, '{"city": "Oslo"}', id="call_2", name="weather"),
    called(2, "", id="call_3", name="now"),
    piece({}, "tool_calls"),
    counted(**USAGE),
]


def ask(chunks: Sequence[Chunk], **options: Any) -> tuple[Any, Any, Any]:
    """Return the message the client reads whole, the one it reads streamed, and what was asked."""

    async def both() -> tuple[Any, Any, Any]:
        async with Desk(messages, chunks).open() as desk:
            client = AsyncAnthropic(base_url=desk.url, api_key="k", max_retries=0)
            given = {"model": "auto", "max_tokens": 50, "messages": [HELLO], **options}
            whole = await client.messages.create(**given)
            async with client.messages.stream(**given) as stream:
                async for _ in stream:
                    pass
                streamed = await stream.get_final_message()
            return whole, streamed, desk.asked[0]

    return asyncio.run(both())


# ---------------------------------------------------------------------------- answers


def test_the_client_reads_the_same_whole_and_streamed() -> None:
    """Text, thoughts, the reason to stop, and tokens counted as Anthropic counts them."""
    whole, streamed, payload = ask(TALK, thinking={"type": "enabled", "budget_tokens": 2048})

    for message in (whole, streamed):
        thought, said = message.content
        assert (thought.type, thought.thinking, thought.signature) == (
            "thinking",
            "A greeting.",
            "",
        )
        assert (said.type, said.text) == ("text", "Good day.")
        assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
        assert (message.id, message.model, message.role) == ("msg_abc", "small", "assistant")
        assert message.usage.input_tokens == 10
        assert message.usage.cache_read_input_tokens == 60
        assert message.usage.cache_creation_input_tokens == 30
        assert message.usage.output_tokens == 7
        assert message.usage.output_tokens_details.thinking_tokens == 3
    assert whole.llmrouter["model"] == "small"
    assert payload["reasoning_effort"] == "low"


def test_who_asks_for_no_thoughts_gets_text_first() -> None:
    """Much code reads `content[0].text`."""
    whole, streamed, payload = ask(TALK)

    assert whole.content[0].text == streamed.content[0].text == "Good day."
    assert "reasoning_effort" not in payload


def test_the_client_reads_tool_calls() -> None:
    """Each call is a block of its own, its input an object."""
    whole, streamed, payload = ask(CALLS, tools=[TOOL])

    for message in (whole, streamed):
        said, rome, oslo, now = message.content
        assert said.text == "I look."
        assert (rome.id, rome.name, rome.input) == ("call_1", "weather", {"city": "Rome"})
        assert (oslo.id, oslo.name, oslo.input) == ("call_2", "weather", {"city": "Oslo"})
        assert (now.id, now.name, now.input) == ("call_3", "now", {})
        assert message.stop_reason == "tool_use"
    function = {"name": "weather", "description": "Tell it", "parameters": {"type": "object"}}
    assert payload["tools"] == [{"type": "function", "function": function}]


def test_events_come_in_the_order_of_the_protocol() -> None:
    """A block ends before the next one begins, and the usage comes at the end."""
    found = events(told(messages, CALLS))

    assert [(event["type"], event.get("index")) for event in found] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("content_block_start", 3),
        ("content_block_stop", 3),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert found[-1]["llmrouter"]["model"] == "small"


def test_signed_thoughts_keep_their_signatures_and_their_order() -> None:
    """What Claude thought can be sent back to Claude: two blocks signed, one redacted."""
    chunks = [
        piece({"reasoning_content": "x", "thinking_blocks": [{"thinking": "One"}]}),
        piece({"thinking_blocks": [{"thinking": "", "signature": "S1"}]}),
        piece({"thinking_blocks": [{"type": "redacted_thinking", "data": "R"}]}),
        piece({"thinking_blocks": [{"thinking": "Two", "signature": "S2"}]}),
        piece({"content": "Done."}),
        piece({}, "stop"),
    ]
    whole, streamed, _ = ask(chunks, thinking={"type": "adaptive"})

    for message in (whole, streamed):
        one, redacted, two, said = message.content
        assert (one.thinking, one.signature) == ("One", "S1")
        assert redacted.data == "R"
        assert (two.thinking, two.signature) == ("Two", "S2")
        assert said.text == "Done."


def test_an_omitted_display_sends_signatures_only() -> None:
    """The next turn needs them; the text is not wanted."""
    chunks = [piece({"thinking_blocks": [{"thinking": "One", "signature": "S"}]}), *TALK]
    whole, streamed, _ = ask(chunks, thinking={"type": "adaptive", "display": "omitted"})

    for message in (whole, streamed):
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert (message.content[0].thinking, message.content[0].signature) == ("", "S")


@pytest.mark.parametrize(
    ("last", "reason", "sequence"),
    [
        (piece({}, "stop"), "end_turn", None),
        (piece({}, "length"), "max_tokens", None),
        (piece({}, "content_filter"), "refusal", None),
        (piece({}, "eos"), "end_turn", None),
        (piece({"refusal": "No."}, "stop"), "refusal", None),
        (piece({}, "stop", stop_reason="END"), "stop_sequence", "END"),
        (piece({}, "stop", stop_reason="other"), "end_turn", None),
        (piece({}, "stop", native_finish_reason="pause_turn"), "pause_turn", None),
        (Chunk(text="Bare", finish="stop"), "end_turn", None),
    ],
)
def test_each_finish_has_its_stop_reason(last: Chunk, reason: str, sequence: str | None) -> None:
    """Where the provider says which stop sequence it met, so do we."""
    whole, streamed, payload = ask([Chunk(text="A"), last], stop_sequences=["END"])

    for message in (whole, streamed):
        assert (message.stop_reason, message.stop_sequence) == (reason, sequence)
        assert message.usage.output_tokens == 1  # nobody said; the session's own count
    assert payload["stop"] == ["END"]


def test_a_guard_that_changes_the_text_has_the_last_word() -> None:
    """The text of a chunk counts, not that of its event; notes are not part of the answer."""
    event = {"choices": [{"delta": {"content": "secret"}}]}
    chunks = [Chunk(text="•••", event=event), Chunk(text="cached", kind="note"), piece({}, "stop")]
    whole, streamed, _ = ask(chunks)

    assert whole.content[0].text == streamed.content[0].text == "•••"


def test_half_a_character_is_passed_on() -> None:
    """Providers that cut between surrogates break nobody's stream."""
    found = told(messages, [piece({"content": "\ud83d"}), piece({"content": "\ude00"})])

    assert b"\\ud83d" in found
    assert b"\\ude00" in found


def test_arguments_that_are_not_json_are_a_broken_answer() -> None:
    """Unless the answer was cut while they were written."""
    call = {"id": "c", "function": {"name": "weather", "arguments": '{"ci'}}
    choice = {"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    named = {"model": "small", "identifier": "abc"}
    with pytest.raises(BadResponse, match="'weather' with arguments that are not JSON"):
        messages.answer_of({"choices": [choice]}, {}, **named)

    cut = messages.answer_of({"choices": [{**choice, "finish_reason": "length"}]}, {}, **named)
    assert cut["content"] == [{"type": "tool_use", "id": "c", "name": "weather", "input": {}}]
    assert cut["stop_reason"] == "max_tokens"


def test_calls_are_told_apart_by_their_identifiers_too() -> None:
    """Some providers give every call the index 0, some none, some repeat the identifier."""
    chunks = [
        called(0, '{"a":', id="x", name="f"),
        called(0, "1}", id="x"),
        called(0, '{"b":2}', id="y", name="g"),
        piece({"tool_calls": [{"id": "z", "function": {"name": "h", "arguments": {"c": 3}}}]}),
        piece({}, "stop"),
    ]
    whole, streamed, _ = ask(chunks)

    for message in (whole, streamed):
        found = [(block.id, block.name, block.input) for block in message.content]
        assert found == [("x", "f", {"a": 1}), ("y", "g", {"b": 2}), ("z", "h", {"c": 3})]
        assert message.stop_reason == "tool_use"


def test_a_call_that_is_named_again_is_not_made_again() -> None:
    """Some providers end with a piece without arguments for each of the calls."""
    calls = [called(0, "{}", id="a", name="f"), called(1, "{}", id="b", name="g")]
    whole, streamed, _ = ask([*calls, called(0, ""), called(1, ""), piece({}, "tool_calls")])

    for message in (whole, streamed):
        assert [block.id for block in message.content] == ["a", "b"]


def test_a_call_may_be_named_late() -> None:
    """What came of its arguments before is not lost."""
    chunks = [called(0, '{"a":', id="a"), called(0, "1}", name="f"), piece({}, "tool_calls")]
    whole, streamed, _ = ask(chunks)

    for message in (whole, streamed):
        assert [(block.id, block.name, block.input) for block in message.content] == [
            ("a", "f", {"a": 1})
        ]


@pytest.mark.parametrize("between", [called(1, "", id="b", name="g"), piece({"content": "Hm."})])
def test_interleaved_calls_are_refused_and_not_mixed(between: Chunk) -> None:
    """An event cannot go back to a block that has ended."""
    stream = messages.Stream({}, model="small", identifier="abc")
    stream.feed(called(0, '{"a":', id="a", name="f"))
    stream.feed(between)
    with pytest.raises(BadResponse, match=r"interleaved|after other text"):
        stream.feed(called(0, "1}"))


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (502, anthropic.APIStatusError, "api_error"),
        (503, anthropic.APIStatusError, "overloaded_error"),
        (504, anthropic.APIStatusError, "timeout_error"),
    ],
)
def test_the_client_raises_its_own_error(status: int, kind: type[Exception], name: str) -> None:
    """A refusal has Anthropic's shape."""

    async def refused() -> anthropic.APIStatusError:
        async with Desk(messages, status=status).open() as desk:
            client = AsyncAnthropic(base_url=desk.url, api_key="k", max_retries=0)
            with pytest.raises(anthropic.APIStatusError) as raised:
                await client.messages.create(model="auto", max_tokens=5, messages=[HELLO])
            return raised.value

    error = asyncio.run(refused())

    assert isinstance(error, kind)
    assert error.body == {
        "type": "error",
        "error": {"type": name, "message": "no model answered"},
        "request_id": "req_abc",
    }


def test_an_answer_that_breaks_off_raises_in_the_client() -> None:
    """What was said arrives; then the client raises, and there is no message_stop."""

    texts: list[str] = []

    async def broken() -> None:
        async with Desk(messages, TALK[:4], fails=True).open() as desk:
            client = AsyncAnthropic(base_url=desk.url, api_key="k", max_retries=0)
            given = {"model": "auto", "max_tokens": 5, "messages": [HELLO]}
            async with client.messages.stream(**given) as stream:
                async for text in stream.text_stream:
                    texts.append(text)

    with pytest.raises(anthropic.APIStatusError, match="no model answered") as raised:
        asyncio.run(broken())

    assert texts == ["Good "]
    assert "overloaded_error" in str(raised.value)
    assert b"message_stop" not in told(messages, TALK[:4], fails=True)


# ---------------------------------------------------------------------------- requests


def test_a_conversation_with_tools_and_images_becomes_a_chat() -> None:
    """Results follow their calls, images are shown by the user, thoughts are left out."""
    image = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    payload = messages.payload_of(
        {
            "model": "auto",
            "max_tokens": 9,
            "temperature": 0.5,
            "invented": {"tomorrow": True},
            "system": [
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
            ],
            "metadata": {"user_id": "ada"},
            "context_management": {"edits": []},
            "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image", "source": image},
                        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "S"},
                        {"type": "text", "text": "I "},
                        {"type": "text", "text": "look."},
                        {"type": "tool_use", "id": "t1", "name": "see", "input": {"x": 1}},
                        {"type": "tool_use", "id": "t2", "name": "see", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "A cat."},
                        {
                            "type": "tool_result",
                            "tool_use_id": "t2",
                            "is_error": True,
                            "content": [
                                {"type": "text", "text": "blurred"},
                                {"type": "image", "source": image},
                            ],
                        },
                        {"type": "text", "text": "Go on."},
                    ],
                },
            ],
        }
    )

    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    calls = [
        {"id": "t1", "type": "function", "function": {"name": "see", "arguments": '{"x":1}'}},
        {"id": "t2", "type": "function", "function": {"name": "see", "arguments": "{}"}},
    ]
    assert payload == {
        "model": "auto",
        "max_tokens": 9,
        "temperature": 0.5,
        "invented": {"tomorrow": True},
        "stream": False,
        "user": "ada",
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    shown,
                    {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
                ],
            },
            {"role": "assistant", "content": "I look.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "t1", "content": "A cat."},
            {"role": "tool", "tool_call_id": "t2", "content": "Error: blurred"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What tool call t2 returned:"},
                    shown,
                    {"type": "text", "text": "Go on."},
                ],
            },
        ],
    }


def test_the_request_itself_is_remembered() -> None:
    """A caller that speaks the protocol may send it as it was."""
    body = {"messages": [HELLO], "max_tokens": 1, "cache_control": {"type": "ephemeral"}}
    payload = messages.payload_of(body)

    assert payload.protocol == "messages"
    assert payload.body is body


def test_a_long_name_of_a_user_is_always_the_same_short_one() -> None:
    """OpenAI takes 64 characters."""
    bodies = [{"messages": [HELLO], "metadata": {"user_id": end * 65}} for end in "aab"]
    one, same, other = [messages.payload_of(body)["user"] for body in bodies]

    assert len(one) == 64
    assert one == same != other


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"a": 1}, "strict": True},
                }
            },
        ),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "high"}),
        ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9999}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, {"reasoning_effort": "high"}),
        ({"stream": True}, {"stream": True}),
        ({"top_k": 5}, {"top_k": 5}),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        ),
    ],
)
def test_each_option_has_its_counterpart(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """What only Anthropic has is passed through, and left to the provider to refuse."""
    payload = messages.payload_of({"messages": [HELLO], **given})

    assert payload == {"messages": [HELLO], "stream": False, **wanted}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            },
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
            },
        ),
        (
            {"type": "document", "title": "A", "source": {"type": "text", "data": "Words."}},
            {"type": "text", "text": "A\nWords."},
        ),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "https://a",
                "content": [{"type": "text", "text": "Found."}],
            },
            {"type": "text", "text": "T\nhttps://a\nFound."},
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
        ),
        (
            {"type": "container_upload", "file_id": "f"},
            {"type": "container_upload", "file_id": "f"},
        ),
    ],
)
def test_each_block_has_its_part(block: dict[str, Any], part: dict[str, Any]) -> None:
    """A block that chat completions do not have is passed through as it is."""
    content = [{"type": "text", "text": "See:"}, block]
    payload = messages.payload_of({"messages": [{"role": "user", "content": content}]})

    assert payload["messages"][0]["content"][1] == part


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "'messages' is empty"),
        ({"messages": "Hi"}, "'messages' is a text, not a list"),
        ({"messages": [1]}, r"'messages\[0\]' is a number, not an object"),
        ({"messages": [{"content": "Hi"}]}, r"'messages\[0\].role' is missing, not a text"),
        ({"messages": [{"role": "user"}]}, r"'messages\[0\].content' is missing"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            r"'messages\[0\].content\[0\].text' is missing",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            r"content\[0\].tool_use_id' is missing",
        ),
        (
            {"messages": [{"role": "user", "content": [{}]}]},
            r"'messages\[0\].content\[0\].type' is missing, not a text",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{}]}]},
            r"'messages\[0\].content\[0\].type' is missing, not a text",
        ),
        ({"messages": [HELLO], "tools": {}}, "'tools' is an object, not a list"),
        ({"messages": [HELLO], "tool_choice": {"type": "some"}}, "'tool_choice.type' is none of"),
    ],
)
def test_a_wrong_request_is_a_sentence(body: dict[str, Any], reason: str) -> None:
    """It names the field."""
    with pytest.raises(BadRequest, match=reason):
        messages.payload_of(body)


def test_tokens_are_counted_roughly() -> None:
    """Four characters a token, tools too."""
    body = {"messages": [{"role": "user", "content": "x" * 400}]}

    assert messages.count_of(body) == 104
    assert messages.count_of({**body, "tools": [TOOL]}) > 120


# ---------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("chunks", [TALK, CALLS])
def test_what_claude_says_reaches_a_client_of_claude_as_it_was(chunks: list[Chunk]) -> None:
    """Through the native caller, which makes chunks of events, and back: the same events."""
    native = pytest.importorskip("llmrouter_plugin_anthropic.events")
    from llmrouter_plugin_openai.faults import Place

    small = Model(name="small")
    body = {"thinking": {"type": "adaptive"}}
    said = events(told(messages, chunks, body))
    translator = native.Translator(Place("small", "api.example.org"), small)
    heard = [c for event in said for c in translator.feed(json.dumps(event).encode())]
    again = events(told(messages, heard, body))
    texts = [event for event in said if event["type"] != "message_start"]

    assert [event for event in again if event["type"] != "message_start"] == texts
    assert translator.over


# ---------------------------------------------------------------------------- any input


@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "thinking"]), anything))
def test_any_request_is_a_payload_or_a_sentence(body: dict[str, Any]) -> None:
    """No shape of a request breaks the reader."""
    try:
        payload = messages.payload_of(body)
    except BadRequest:
        return
    assert payload["messages"]


@given(anything, st.sampled_from(["stop", "length", "tool_calls"]))
def test_any_completion_is_a_message_or_a_broken_answer(said: Any, finish: str) -> None:
    """No shape of what a model said breaks the translation."""
    completion = {"choices": [{"message": said, "finish_reason": finish}], "usage": said}
    body = {"thinking": {"type": "adaptive"}}
    try:
        message = messages.answer_of(completion, body, model="small", identifier="abc")
    except BadResponse:
        return
    assert anthropic.types.Message.model_validate(message).id == "msg_abc"


@given(st.lists(st.dictionaries(st.just("choices"), st.lists(anything, max_size=2)), max_size=4))
def test_any_event_is_told_or_a_broken_answer(given_events: list[dict[str, Any]]) -> None:
    """Every event is JSON with its own name; blocks are opened and closed in pairs."""
    try:
        stream = told(messages, [Chunk(event=event) for event in given_events])
    except BadResponse:
        return
    kinds = [event["type"] for event in events(stream)]

    assert kinds.count("content_block_start") == kinds.count("content_block_stop")
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_what_is_said_is_not_rewritten() -> None:
    """Text arrives byte by byte as it was, whatever characters it has."""
    text = 'Grüße, "\\\n\u2028😀\x07'
    found = events(told(messages, [piece({"content": letter}) for letter in text]))

    deltas = [event["delta"]["text"] for event in found if event["type"] == "content_block_delta"]
    assert json.dumps("".join(deltas)) == json.dumps(text)
