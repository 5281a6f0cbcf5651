"""`call`: asked once for each model when the router is built; wrappers wrap the function."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from attrs import define, evolve, field

from llmrouter_core import Chunk, LLMRouter, Model, Request, hookimpl
from llmrouter_core.testing import EchoCaller, ToySelector


@define(eq=False, kw_only=True)
class Shout:
    """Answer in capitals, and count what was bound and what was called."""

    bound: list[str] = field(init=False, factory=list)
    called: list[str] = field(init=False, factory=list)

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Any:
        inner = yield
        self.bound.append(model.name)
        return inner and self._around(inner, model)

    def _around(self, inner: Any, model: Model) -> Any:
        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            self.called.append(model.name)
            async with aclosing(inner(request)) as chunks:
                async for chunk in chunks:
                    yield evolve(chunk, text=chunk.text.upper())

        return stream


MODELS = [Model(name="a", caller="first"), Model(name="b", caller="second"), Model(name="c")]


def router(*parts: Any) -> LLMRouter:
    callers = [EchoCaller(name="first", answer="one"), EchoCaller(name="second", answer="two")]
    return LLMRouter(models=MODELS, parts=[*parts, *callers, ToySelector()])


def test_each_model_is_served_by_its_caller_and_the_rest_by_the_first() -> None:
    """A caller passes on the models of others."""

    async def ask() -> dict[str, str]:
        async with router() as built:
            session = built.session()
            return {m.name: (await session.ask(m, Request.of("?"))).text for m in MODELS}

    assert asyncio.run(ask()) == {"a": "one", "b": "two", "c": "one"}


def test_a_wrapper_is_bound_once_and_stands_around_every_call() -> None:
    """Also around the calls of helper models and fallbacks."""
    shout = Shout()

    with router(shout) as built:
        assert [built.route("?").text for _ in range(3)] == ["ONE", "ONE", "ONE"]

    assert shout.bound == ["a", "b", "c"]
    assert shout.called == ["a", "a", "a"]


def test_the_whole_payload_reaches_the_caller() -> None:
    """Tools, seeds and what nobody has invented yet."""
    echo = EchoCaller()
    payload = {"messages": [{"role": "user", "content": "?"}], "tools": [{}], "invented": 1}

    with LLMRouter(models=[Model(name="a")], parts=[echo, ToySelector()]) as built:
        built.route(payload)

    assert [request.payload for request in echo.requests] == [payload]
