"""OpenAI's responses: requests, answers and events, read by OpenAI's own client."""

import asyncio
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from hypothesis import given
from llmrouter_core import BadRequest, BadResponse, Chunk
from llmrouter_plugin_server.protocols import responses
from openai import AsyncOpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from .desk import Desk, anything, called, counted, events, piece, told

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
LOGPROB = {"token": "day.", "logprob": -0.5, "bytes": [100], "top_logprobs": []}
TALK = [
    piece({"role": "assistant"}),
    piece({"reasoning": "A greeting."}),
    piece({"content": "Good "}),
    piece({"content": "day."}, logprobs={"content": [LOGPROB]}),
    piece({}, "stop"),
    counted(**USAGE),
]
CALLS = [
    piece({"content": "I look."}),
    called(0, "", id="call_1", name="weather"),
    called(0, '{"city": '),
    called(0, '"Rome"}'),
    called(1, "{}", id="call_2", name="weather"),
    piece({}, "tool_calls"),
    counted(**USAGE),
]


def ask(chunks: Sequence[Chunk], **options: Any) -> tuple[Any, Any, Any]:
    """Return the response read whole, the one read streamed, and what was asked."""

    async def both() -> tuple[Any, Any, Any]:
        async with Desk(responses, chunks).open() as desk:
            client = AsyncOpenAI(base_url=desk.url, api_key="k", max_retries=0)
            given = {"model": "auto", "input": "Hello?", **options}
            whole = await client.responses.create(**given)
            last = None
            async with client.responses.stream(**given) as stream:
                async for event in stream:
                    last = event
            assert last is not None
            return whole, last.response, desk.asked[0]

    return asyncio.run(both())


# ---------------------------------------------------------------------------- answers


def test_the_client_reads_the_same_whole_and_streamed() -> None:
    """Thoughts, text, log probabilities and usage."""
    whole, streamed, payload = ask(TALK, instructions="Be brief.", metadata={"a": "b"})

    for response in (whole, streamed):
        thought, message = response.output
        assert response.output_text == "Good day."
        assert thought.content[0].text == "A greeting."
        assert (message.status, message.role) == ("completed", "assistant")
        assert message.content[0].logprobs[0].token == "day."
        assert (response.status, response.model, response.error) == ("completed", "small", None)
        assert response.usage.input_tokens == 100
        assert response.usage.input_tokens_details.cached_tokens == 60
        assert response.usage.output_tokens_details.reasoning_tokens == 3
        assert response.usage.total_tokens == 107
        assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
        assert response.llmrouter["model"] == "small"
    assert whole.output[1].id == streamed.output[1].id
    assert payload["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
    ]


def test_the_client_reads_tool_calls() -> None:
    """Each call is an item of its own."""
    whole, streamed, payload = ask(CALLS, tools=[TOOL])

    for response in (whole, streamed):
        said, rome, nowhere = response.output
        assert said.content[0].text == "I look."
        assert (rome.call_id, rome.name, rome.arguments) == (
            "call_1",
            "weather",
            '{"city": "Rome"}',
        )
        assert (nowhere.call_id, nowhere.arguments, nowhere.status) == (
            "call_2",
            "{}",
            "completed",
        )
    function = {"name": "weather", "parameters": {"type": "object"}, "strict": True}
    assert payload["tools"] == [{"type": "function", "function": function}]


def test_structured_output_is_parsed_by_the_client() -> None:
    """The schema goes out with its name, and what comes back is an instance."""

    class City(BaseModel):
        name: str

    async def parsed() -> tuple[Any, Any]:
        chunks = [piece({"content": '{"name":"Rome"}'}), piece({}, "stop")]
        async with Desk(responses, chunks).open() as desk:
            client = AsyncOpenAI(base_url=desk.url, api_key="k", max_retries=0)
            answer = await client.responses.parse(model="auto", input="?", text_format=City)
            async with client.responses.stream(
                model="auto", input="?", text_format=City
            ) as stream:
                streamed = await stream.get_final_response()
            assert streamed.output_parsed == City(name="Rome")
            return answer.output_parsed, desk.asked[0]["response_format"]

    city, form = asyncio.run(parsed())

    assert city == City(name="Rome")
    assert (form["type"], form["json_schema"]["name"]) == ("json_schema", "City")
    assert form["json_schema"]["strict"] is True
    assert "name" in form["json_schema"]["schema"]["properties"]


def test_events_come_in_the_order_of_the_protocol() -> None:
    """Numbered from 0; an item and its parts end before the next begin."""
    found = events(told(responses, [*TALK[:4], *CALLS[1:]]))

    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"].removeprefix("response.") for event in found] == [
        *("created", "in_progress"),
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    places = [event["output_index"] for event in found if "output_index" in event]
    assert places == sorted(places)
    assert [item["type"] for item in found[-1]["response"]["output"]] == [
        *("reasoning", "message", "function_call", "function_call")
    ]


def test_a_custom_tool_is_called_with_free_text() -> None:
    """It has its own kinds of items and events."""
    call = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
    more = {"index": 0, "custom": {"input": " 1"}}
    chunks = [
        piece({"tool_calls": [call]}),
        piece({"tool_calls": [more]}),
        piece({}, "tool_calls"),
    ]
    form = {"type": "grammar", "syntax": "lark", "definition": "start: X"}
    tool = {"type": "custom", "name": "sql", "format": form}
    whole, streamed, payload = ask(chunks, tools=[tool])

    for response in (whole, streamed):
        [item] = response.output
        assert (item.type, item.call_id, item.input) == ("custom_tool_call", "c", "SELECT 1")
    grammar = {"syntax": "lark", "definition": "start: X"}
    custom = {"name": "sql", "format": {"type": "grammar", "grammar": grammar}}
    assert payload["tools"] == [{"type": "custom", "custom": custom}]
    kinds = [event["type"] for event in events(told(responses, chunks))]
    assert "response.custom_tool_call_input.delta" in kinds
    assert "response.custom_tool_call_input.done" in kinds


def test_a_refusal_is_a_part_of_the_message() -> None:
    """Whole and streamed."""
    whole, streamed, _ = ask(
        [piece({"refusal": "No"}), piece({"refusal": "."}), piece({}, "stop")]
    )

    for response in (whole, streamed):
        [part] = response.output[0].content
        assert (part.type, part.refusal) == ("refusal", "No.")


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_a_cut_answer_is_incomplete(finish: str, reason: str) -> None:
    """Its status says so, and why."""
    whole, streamed, _ = ask([piece({"content": "Go"}), piece({}, finish)])

    for response in (whole, streamed):
        assert (response.status, response.incomplete_details.reason) == ("incomplete", reason)
        assert response.output[0].status == "incomplete"
        assert response.output_text == "Go"


def test_bare_text_is_an_answer_too() -> None:
    """Solvers and guards speak without an event; what was used is then the session's count."""
    whole, streamed, _ = ask([Chunk(text="Hi", finish="stop"), Chunk(text="seen", kind="note")])

    for response in (whole, streamed):
        assert response.output_text == "Hi"
        assert response.usage.total_tokens == 2


def test_a_call_that_is_named_again_is_not_made_again() -> None:
    """Some providers end with a piece without arguments for each of the calls."""
    calls = [called(0, "{}", id="a", name="f"), called(1, "{}", id="b", name="g")]
    whole, streamed, _ = ask([*calls, called(0, ""), called(1, ""), piece({}, "tool_calls")])

    for response in (whole, streamed):
        assert [item.call_id for item in response.output] == ["a", "b"]


def test_a_call_may_be_named_late() -> None:
    """What came of its arguments before is not lost."""
    chunks = [called(0, '{"a":', id="a"), called(0, "1}", name="f"), piece({}, "tool_calls")]
    whole, streamed, _ = ask(chunks)

    for response in (whole, streamed):
        assert [(item.call_id, item.name, item.arguments) for item in response.output] == [
            ("a", "f", '{"a":1}')
        ]
    stream = responses.Stream({}, model="small", identifier="abc")
    found = events(b"".join(stream.feed(chunk) for chunk in chunks))
    assert [one["delta"] for one in found if one["type"].endswith("delta")] == ['{"a":1}']


@pytest.mark.parametrize("between", [called(1, "", id="b", name="g"), piece({"content": "Hm."})])
def test_interleaved_calls_are_refused_and_not_mixed(between: Chunk) -> None:
    """An event cannot go back to an item that is done."""
    stream = responses.Stream({}, model="small", identifier="abc")
    stream.feed(called(0, '{"a":', id="a", name="f"))
    stream.feed(between)
    with pytest.raises(BadResponse, match=r"interleaved|after other text"):
        stream.feed(called(0, "1}"))


# ---------------------------------------------------------------------------- errors


def test_the_client_raises_its_own_error() -> None:
    """A refusal has OpenAI's shape."""

    async def refused() -> openai.APIStatusError:
        async with Desk(responses, status=429).open() as desk:
            client = AsyncOpenAI(base_url=desk.url, api_key="k", max_retries=0)
            with pytest.raises(openai.RateLimitError) as raised:
                await client.responses.create(model="auto", input="Hello?")
            return raised.value

    error = asyncio.run(refused())

    assert error.body["message"] == "no model answered"
    assert error.type == "server_error"


def test_an_answer_that_breaks_off_raises_in_the_client() -> None:
    """What was said arrives; then the client raises, and nothing is completed."""
    texts: list[str] = []

    async def broken() -> None:
        async with Desk(responses, TALK[:3], fails=True).open() as desk:
            client = AsyncOpenAI(base_url=desk.url, api_key="k", max_retries=0)
            stream = await client.responses.create(model="auto", input="Hello?", stream=True)
            async for event in stream:
                if event.type == "response.output_text.delta":
                    texts.append(event.delta)

    with pytest.raises(openai.APIError, match="no model answered"):
        asyncio.run(broken())
    *_, error, failed = events(told(responses, TALK[:3], fails=True))

    assert texts == ["Good "]
    assert (error["type"], error["message"]) == ("error", "no model answered")
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "no model answered"}
    assert failed["response"]["status"] == "failed"


# ---------------------------------------------------------------------------- requests


def test_a_conversation_with_tools_and_images_becomes_a_chat() -> None:
    """Calls belong to the turn that made them; images of a result are shown by the user."""
    image = {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"}
    answer = {"type": "output_text", "text": "I look.", "annotations": []}
    call = {"type": "function_call", "name": "see", "arguments": "{}"}
    payload = responses.payload_of(
        {
            "model": "auto",
            "max_output_tokens": 9,
            "temperature": 0.5,
            "invented": 1,
            "store": True,
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "input_text", "text": "See:"}, image]},
                {"type": "reasoning", "id": "rs", "summary": []},
                {"type": "message", "role": "assistant", "content": [answer], "id": "m"},
                {**call, "call_id": "1"},
                {**call, "call_id": "2"},
                {"type": "function_call_output", "call_id": "1", "output": [image]},
                {"type": "function_call_output", "call_id": "2", "output": "A cat."},
                {"type": "custom_tool_call", "call_id": "3", "name": "sql", "input": "x"},
                {"type": "custom_tool_call_output", "call_id": "3", "output": "y"},
            ],
        }
    )

    shown = {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}}
    function = {"name": "see", "arguments": "{}"}
    custom = {"id": "3", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    assert payload == {
        "model": "auto",
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "invented": 1,
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "See:"}, shown]},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": function},
                    {"id": "2", "type": "function", "function": function},
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "It follows in the next message."},
            {"role": "tool", "tool_call_id": "2", "content": "A cat."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "What tool call 1 returned:"}, shown],
            },
            {"role": "assistant", "content": None, "tool_calls": [custom]},
            {"role": "tool", "tool_call_id": "3", "content": "y"},
        ],
    }


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        (
            {"tool_choice": {"type": "function", "name": "f"}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                }
            },
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                }
            },
        ),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"parallel_tool_calls": False, "seed": 1}, {"parallel_tool_calls": False, "seed": 1}),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, {"stream": True}),
    ],
)
def test_each_option_has_its_counterpart(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Fields that mean the same pass through under the same name."""
    payload = responses.payload_of({"input": "Hi", **given})

    hello = [{"role": "user", "content": "Hi"}]
    assert payload == {"messages": hello, "stream": False, **wanted}


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x"}},
        ),
        (
            {"type": "input_file", "file_url": "https://a"},
            {"type": "file", "file": {"file_data": "https://a"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
        ),
    ],
)
def test_each_part_has_its_counterpart(part: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Files and sounds."""
    payload = responses.payload_of({"input": [{"role": "user", "content": [part]}]})

    assert payload["messages"] == [{"role": "user", "content": [wanted]}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "'input' is empty"),
        ({"input": 3}, "'input' is a number, not a list"),
        ({"input": "x", "previous_response_id": "resp_1"}, "'previous_response_id': responses"),
        ({"input": "x", "conversation": "c"}, "'conversation': conversations are not kept"),
        ({"input": "x", "background": True}, "'background': answers are not kept"),
        ({"input": "x", "prompt": {"id": "p"}}, "'prompt': prompts are not kept"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, r"'tools\[0\]': a tool of type 'web_"),
        ({"input": "x", "tool_choice": {"type": "mcp"}}, "'tool_choice': a tool of type 'mcp'"),
        (
            {"input": [{"type": "item_reference", "id": "i"}]},
            r"'input\[0\].type': an item of type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            r"'input\[0\].content\[0\]': content of type 'input_image'",
        ),
    ],
)
def test_what_is_not_kept_here_is_refused_by_a_sentence(body: dict[str, Any], reason: str) -> None:
    """It names the field and says what to do."""
    with pytest.raises(BadRequest, match=reason):
        responses.payload_of(body)


# ---------------------------------------------------------------------------- any input


@given(anything)
def test_any_request_is_a_payload_or_a_sentence(body: Any) -> None:
    """No shape of a request breaks the reader."""
    for request in (body if isinstance(body, dict) else {}, {"input": body}):
        try:
            payload = responses.payload_of(request)
        except BadRequest:
            continue
        assert payload["messages"]


@given(anything)
def test_any_completion_is_a_response(said: Any) -> None:
    """No shape of what a model said breaks the translation."""
    choice = {"message": said, "finish_reason": "stop", "logprobs": said}
    completion = {"choices": [choice], "usage": said, "created": said}
    response = responses.answer_of(completion, {}, model="small", identifier="abc")

    assert Response.model_construct(**response).id == "resp_abc"


@given(anything)
def test_any_event_is_told_or_a_broken_answer(said: Any) -> None:
    """What is added is done, in the same order, and the response has it all."""
    chunks = [Chunk(event={"choices": [{"delta": said}]}) for _ in range(2)]
    try:
        found = events(told(responses, [*chunks, piece({"content": "x"})]))
    except BadResponse:
        return
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    added = [event for event in found if event["type"] == "response.output_item.added"]

    assert len(added) == len(done)
    assert found[-1]["response"]["output"] == done
