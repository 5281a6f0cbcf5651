"""OpenAI's oldest protocol, and the putting together of chunks, read by OpenAI's own client."""

import asyncio
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from hypothesis import given
from llmrouter_core import BadRequest, Chunk, Usage
from llmrouter_plugin_server.protocols import completions
from llmrouter_plugin_server.protocols.gathering import Gathering
from openai import AsyncOpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletion

from .desk import Desk, anything, called, counted, events, piece, told

USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
TOKENS = [
    {"token": "Good ", "logprob": -0.5, "top_logprobs": [{"token": "Bad ", "logprob": -2.0}]},
    {"token": "day.", "logprob": -0.25, "top_logprobs": []},
]
TALK = [
    piece({"role": "assistant"}),
    piece({"content": "Good "}, logprobs={"content": TOKENS[:1]}),
    piece({"content": "day."}, logprobs={"content": TOKENS[1:]}),
    piece({}, "stop"),
    counted(**USAGE),
]


def ask(chunks: Sequence[Chunk], **options: Any) -> tuple[Any, list[Any], Any]:
    """Return the completion read whole, the events read streamed, and what was asked."""

    async def both() -> tuple[Any, list[Any], Any]:
        async with Desk(completions, chunks).open() as desk:
            client = AsyncOpenAI(base_url=desk.url, api_key="k", max_retries=0)
            given = {"model": "auto", "prompt": "Hello?", **options}
            whole = await client.completions.create(**given)
            stream = await client.completions.create(
                **given, stream=True, stream_options={"include_usage": True}
            )
            return whole, [event async for event in stream], desk.asked[0]

    return asyncio.run(both())


def test_the_client_reads_the_same_whole_and_streamed() -> None:
    """Text, its finish reason and its usage."""
    whole, streamed, payload = ask(TALK, max_tokens=9, seed=1)
    texts = [choice.text for event in streamed for choice in event.choices]

    assert whole.choices[0].text == "".join(texts) == "Good day."
    assert (whole.choices[0].finish_reason, whole.object) == ("stop", "text_completion")
    assert [c.finish_reason for event in streamed for c in event.choices] == [None, None, "stop"]
    assert whole.usage.total_tokens == streamed[-1].usage.total_tokens == 107
    assert whole.llmrouter == streamed[-1].llmrouter
    assert {event.id for event in streamed} == {"cmpl-abc"}
    assert payload == {
        "model": "auto",
        "max_tokens": 9,
        "seed": 1,
        "stream": False,
        "messages": [{"role": "user", "content": "Hello?"}],
    }


def test_log_probabilities_are_listed_as_they_were_then() -> None:
    """By token, with where each begins in the text, a repeated prompt included."""
    whole, streamed, payload = ask(TALK, logprobs=1, echo=True)
    found = whole.choices[0].logprobs

    assert whole.choices[0].text == "Hello?Good day."
    assert (found.tokens, found.token_logprobs) == (["Good ", "day."], [-0.5, -0.25])
    assert found.top_logprobs == [{"Bad ": -2.0}, {}]
    assert found.text_offset == [6, 11]
    offsets = [c.logprobs.text_offset for e in streamed for c in e.choices if c.logprobs]
    assert offsets == [[6], [11]]
    assert [c.text for e in streamed for c in e.choices][:2] == ["Hello?Good ", "day."]
    assert (payload["logprobs"], payload["top_logprobs"]) == (True, 1)


def test_every_choice_is_told() -> None:
    """`n` answers come side by side."""
    event = {
        "choices": [
            {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"},
            {"index": 1, "delta": {"content": "b"}, "finish_reason": "length"},
        ]
    }
    whole, streamed, payload = ask([Chunk(text="a", finish="stop", event=event)], n=2, best_of=2)

    assert payload["n"] == 2
    for choices in (whole.choices, streamed[0].choices):
        found = [(choice.index, choice.text, choice.finish_reason) for choice in choices]
        assert found == [(0, "a", "stop"), (1, "b", "length")]


def test_bare_text_is_an_answer_too() -> None:
    """Solvers and guards speak without an event; who asks for no usage gets none."""
    whole, streamed, _ = ask([Chunk(text="Hi"), Chunk(text="!", finish="stop")])
    stream = completions.Stream({"prompt": "x"}, model="small", identifier="abc")

    assert whole.choices[0].text == "Hi!"
    assert [choice.text for event in streamed for choice in event.choices] == ["Hi", "!"]
    assert streamed[-1].usage.total_tokens == 2
    assert stream.end() == b"data: [DONE]\n\n"


def test_an_answer_that_breaks_off_raises_in_the_client() -> None:
    """What was said arrives; then the client raises, and nothing says that it is done."""
    texts: list[str] = []

    async def broken() -> None:
        async with Desk(completions, TALK[:2], fails=True).open() as desk:
            client = AsyncOpenAI(base_url=desk.url, api_key="k", max_retries=0)
            stream = await client.completions.create(model="auto", prompt="?", stream=True)
            async for event in stream:
                texts.append(event.choices[0].text)

    with pytest.raises(openai.APIError, match="no model answered"):
        asyncio.run(broken())

    assert texts == ["Good "]
    assert b"[DONE]" not in told(completions, TALK[:2], {"prompt": "?"}, fails=True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "'prompt' is not one text"),
        ({"prompt": ["a", "b"]}, "'prompt' is not one text"),
        ({"prompt": [1, 2]}, "'prompt' is not one text"),
        ({"prompt": "a", "suffix": "b"}, "'suffix'"),
        ({"prompt": "a", "best_of": 3, "n": 2}, "'best_of'"),
    ],
)
def test_what_chat_completions_cannot_do_is_refused(body: dict[str, Any], reason: str) -> None:
    """It names the field and says what to do."""
    with pytest.raises(BadRequest, match=reason):
        completions.payload_of(body)


def test_a_list_of_one_prompt_is_a_prompt() -> None:
    """Some clients always send lists."""
    assert completions.payload_of({"prompt": ["a"]})["messages"][0]["content"] == "a"


@given(anything)
def test_any_completion_is_told(said: Any) -> None:
    """No shape of what a model said breaks the translation, whole or streamed."""
    choice = {"message": said, "finish_reason": "stop", "logprobs": said}
    completion = {"choices": [choice, said], "usage": said, "created": said}
    answer = completions.answer_of(completion, {}, model="small", identifier="abc")
    found = events(told(completions, [Chunk(event=completion)], {"prompt": "x"}))

    assert Completion.model_construct(**answer).id == "cmpl-abc"
    assert found[-1]["llmrouter"]


# ---------------------------------------------------------------------------- putting together


def gathered(chunks: Sequence[Chunk], usage: Usage | None = None) -> dict[str, Any]:
    gathering = Gathering("small", "abc")
    for chunk in chunks:
        gathering.feed(chunk)
    return gathering.completion(usage)


def test_pieces_become_one_completion() -> None:
    """Text, thoughts, calls, log probabilities and fields nobody knows; each choice apart."""
    chunks = [
        Chunk(event={"id": "x", "created": 5, "model": "m", "choices": [{"delta": {}}]}),
        piece({"reasoning_content": "A"}),
        piece({"reasoning_content": "B", "thinking_blocks": [{"thinking": "A"}]}),
        piece({"thinking_blocks": [{"thinking": "B", "signature": "S"}]}),
        *TALK[1:3],
        piece({"invented": 1, "content": None}, native=2),
        called(0, '{"a"', id="c", name="f"),
        called(0, ":1}"),
        piece({"content": "other"}, index=1),
        piece({}, "tool_calls"),
        piece({}, "length", index=1),
        counted(**USAGE),
    ]
    for number in (-2, -4):
        chunks[number] = Chunk(event=chunks[number].event)  # a chunk's text is of its first choice
    completion = gathered(chunks)
    first, second = completion["choices"]

    assert ChatCompletion.model_validate(completion).choices[0].finish_reason == "tool_calls"
    assert (completion["id"], completion["created"], completion["model"]) == ("x", 5, "m")
    assert completion["usage"] == USAGE
    assert first["message"] == {
        "role": "assistant",
        "content": "Good day.",
        "reasoning_content": "AB",
        "thinking_blocks": [{"type": "thinking", "thinking": "AB", "signature": "S"}],
        "invented": 1,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        ],
    }
    assert first["logprobs"] == {"content": TOKENS}
    assert first["native"] == 2
    assert second["message"]["content"] == "other"
    assert second["finish_reason"] == "length"


def test_a_whole_answer_stays_what_it_is() -> None:
    """Its message is what the pieces of a stream add up to."""
    message = {"role": "assistant", "content": "Hi", "annotations": [{"a": 1}]}
    event = {
        "id": "x",
        "created": 5,
        "model": "m",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }

    assert gathered([Chunk(text="Hi", finish="stop", event=event)]) == event


def test_bare_text_becomes_a_completion() -> None:
    """Without an event, the session's usage counts."""
    completion = gathered([Chunk(text="Hi"), Chunk(text="x", kind="note")], Usage(input_tokens=3))

    assert completion["choices"][0]["message"]["content"] == "Hi"
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert completion["usage"]["prompt_tokens"] == completion["usage"]["total_tokens"] == 3
    assert completion["model"] == "small"


@given(anything)
def test_any_event_can_be_put_together(said: Any) -> None:
    """No shape of an event breaks it."""
    choices = [{"delta": said, "logprobs": said}, {"message": said, "index": 1}, said]
    completion = gathered([Chunk(event={"choices": choices, "usage": said})] * 2)

    assert completion["object"] == "chat.completion"
