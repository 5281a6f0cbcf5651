"""`lifespan`: every part's resources are open while the router answers, and closed after."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

from llmrouter_core import LLMRouter, Model, hookimpl
from llmrouter_core.testing import EchoCaller, ToySelector

MODELS = [Model(name="a")]


@define(eq=False, kw_only=True)
class Resource:
    """Something that must be opened and closed on one loop."""

    log: list[str]
    name: str
    loops: list[Any] = field(init=False, factory=list)

    @hookimpl
    def lifespan(self) -> Any:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None, None]:
        self.loops.append(asyncio.get_running_loop())
        self.log.append(f"open {self.name}")
        try:
            yield
        finally:
            self.loops.append(asyncio.get_running_loop())
            self.log.append(f"close {self.name}")


@define(eq=False, kw_only=True)
class Nothing:
    """Has nothing to open after all."""

    @hookimpl
    def lifespan(self) -> None:
        return None


def test_all_open_once_before_the_first_answer_and_close_in_reverse() -> None:
    """On one loop, however often the router is asked."""
    log: list[str] = []
    one, two = Resource(log=log, name="one"), Resource(log=log, name="two")
    parts = [one, Nothing(), two, EchoCaller(), ToySelector()]

    with LLMRouter(models=MODELS, parts=parts) as router:
        assert log == []
        router.route("?")
        opened = list(log)
        router.route("?")

    assert sorted(opened) == ["open one", "open two"]
    closed = [entry.replace("open", "close") for entry in reversed(opened)]
    assert log == [*opened, *closed]
    assert len({id(loop) for loop in one.loops + two.loops}) == 1


def test_async_with_opens_at_once_on_the_running_loop() -> None:
    """And closes at the end, also when the body fails."""
    log: list[str] = []
    resource = Resource(log=log, name="one")
    router = LLMRouter(models=MODELS, parts=[resource, EchoCaller(), ToySelector()])

    async def fail() -> None:
        async with router:
            assert log == ["open one"]
            assert resource.loops == [asyncio.get_running_loop()]
            raise KeyError("the body's own")

    with pytest.raises(KeyError, match="the body's own"):
        asyncio.run(fail())

    assert log == ["open one", "close one"]
