"""A loop whose clock jumps instead of waiting, and models that take their time on it."""

import asyncio
import selectors
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

from attrs import define, field
from llmrouter_core import Call, Chunk, LLMRouter, Model, Request, hookimpl
from llmrouter_plugin_hedge import HedgeSolver
from llmrouter_plugin_smallest_llm import SmallestLlmSelector


class _Jumping(selectors.DefaultSelector):
    """Waits for no timer: the clock moves on instead."""

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.loop.now += timeout
            timeout = 0.0
        return super().select(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour takes no time."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


Act = tuple[float, str | Exception]
"""Seconds to the first word, and then the word or what is raised instead."""


@define(eq=False)
class Stage:
    """A caller that plays one act per call of a model, or what a function gives; the last repeats.

    A word is followed by another a second later, and by the finish another second later. A word
    that ends with an exclamation mark is followed by an error instead.
    """

    acts: dict[str, list[Act] | Callable[[], Act]]
    asked: list[tuple[float, str, int]] = field(factory=list)
    closed: list[tuple[float, str]] = field(factory=list)

    @hookimpl
    def call(self, model: Model) -> Call | None:
        async def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            loop = asyncio.get_running_loop()
            self.asked.append((loop.time(), model.name, request.alternatives))
            acts = self.acts[model.name]
            if callable(acts):
                seconds, word = acts()
            else:
                seconds, word = acts.pop(0) if len(acts) > 1 else acts[0]
            try:
                await asyncio.sleep(seconds)
                if isinstance(word, Exception):
                    raise word
                yield Chunk(text=word)
                await asyncio.sleep(1)
                if word.endswith("!"):
                    raise ConnectionError("cut")
                yield Chunk(text=" more")
                await asyncio.sleep(1)
                yield Chunk(finish="stop")
            finally:
                self.closed.append((loop.time(), model.name))

        return answer


def router(
    stage: Stage, also: Sequence[Any] = (), **options: Any
) -> tuple[LLMRouter, HedgeSolver]:
    """Return a router over the models of *stage*, from small to large, and its solver."""
    hedge = HedgeSolver(**options)
    models = [Model(name=name, size=size) for size, name in enumerate(stage.acts, start=1)]
    parts = [*also, SmallestLlmSelector(), stage, hedge]
    return LLMRouter(models=models, parts=parts), hedge
