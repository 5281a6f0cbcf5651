"""What is special about the {{ cookiecutter.name }} caller."""

import asyncio

from llmrouter_core import Chunk, Model, Request
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}


def answer(text: str) -> list[Chunk]:
    """Return the chunks that answer *text*."""
    call = {{ cookiecutter.__class }}().call(Model(name="any"))
    assert call is not None

    async def collect() -> list[Chunk]:
        return [chunk async for chunk in call(Request.of(text))]

    return asyncio.run(collect())


def test_the_answer_is_the_question() -> None:
    """An echo: the words come back one by one, and they are counted."""
    *words, last = answer("what is  up?")

    assert [chunk.text for chunk in words] == ["what", " is", " up?"]
    assert last.finish == "stop"
    assert last.usage is not None
    assert last.usage.output_tokens == 3


def test_models_of_another_caller_are_left_to_it() -> None:
    """None lets the next caller have the model."""
    caller = {{ cookiecutter.__class }}(name="mine")

    assert caller.call(Model(name="a", caller="theirs")) is None
    assert caller.call(Model(name="b", caller="mine")) is not None
