"""Messages of chat completions in the shape that OpenTelemetry gives them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import Chunk
from llmrouter_plugin_otel.texts import Answering, of_messages

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def test_every_kind_of_message_has_its_parts() -> None:
    """Text, pictures (named only), calls of tools and what the tools said."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    found = json.loads(
        of_messages(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "2"},
            ]
        )
    )

    assert found == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {
            "role": "user",
            "parts": [{"type": "text", "content": "What is it?"}, {"type": "image_url"}],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "id": "call_1", "name": "add", "arguments": '{"a": 1}'}
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call_1", "response": "2"}],
        },
    ]


def test_a_call_of_a_tool_that_comes_in_pieces_is_one_part() -> None:
    """As providers stream it: the name first, then the arguments."""
    answer = Answering()
    for piece in (
        {"index": 0, "id": "call_1", "function": {"name": "add", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    ):
        answer.take(Chunk(event={"choices": [{"delta": {"tool_calls": [piece]}}]}))

    [message] = json.loads(answer.message("tool_calls"))
    assert message["finish_reason"] == "tool_calls"
    assert message["parts"] == [
        {"type": "tool_call", "id": "call_1", "name": "add", "arguments": '{"a": 1}'}
    ]


def test_notes_are_not_part_of_an_answer() -> None:
    """Only what the user reads as text is."""
    answer = Answering()
    answer.take(Chunk(text="thinking", kind="note"))
    answer.take(Chunk(text="42"))

    assert json.loads(answer.message(None))[0]["parts"] == [{"type": "text", "content": "42"}]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "tool_calls", "function", "role", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(["role", "content", "tool_calls"]), anything)))
def test_any_messages_have_a_shape(messages: list[dict[str, Any]]) -> None:
    """One message for one, each with parts that name their type."""
    found = json.loads(of_messages(messages))

    assert len(found) == len(messages)
    assert all(isinstance(part["type"], str) for one in found for part in one["parts"])
