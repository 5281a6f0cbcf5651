"""Deployments that play what they are given, and a clock that stands still."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from attrs import define, field
from llmrouter_core import Call, Chunk, LLMRouter, Model, Request, hookimpl
from llmrouter_plugin_balance import BalanceCaller
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

Act = Exception | str | None


@define(eq=False)
class Clock:
    """Seconds that pass only by `now +=`."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@define(eq=False)
class Deployment:
    """A caller that plays one act per call; the last act repeats.

    An error is raised before a word, `cut` after one, `hang` never ends, None is an answer. It
    answers only while it is open, for the models it serves, and by its own name.
    """

    name: str
    acts: list[Act] = field(factory=lambda: [None])
    serves: tuple[str, ...] | None = None
    asked: list[str] = field(factory=list)
    opened: int = 0

    @hookimpl
    def call(self, model: Model) -> Call | None:
        if model.caller is not None or (self.serves and model.name not in self.serves):
            return None

        async def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            assert self.opened == 1
            self.asked.append(model.id)
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            if isinstance(act, Exception):
                raise act
            yield Chunk(text=self.name)
            if act == "hang":
                await asyncio.Event().wait()
            if act != "cut":
                yield Chunk(finish="stop")

        return answer

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        self.opened += 1
        yield
        self.opened -= 1


def router(
    *deployments: Deployment,
    models: tuple[Model, ...] = (),
    also: tuple[Any, ...] = (),
    **options: Any,
) -> tuple[LLMRouter, BalanceCaller]:
    """Return a router over one model, or *models*, that *deployments* serve."""
    members = {one.name: one for one in deployments}
    balance = BalanceCaller(members=members, **{"pause": 5.0, **options})
    built = LLMRouter(
        models=models or (Model(name="small", id="lab/small", caller="balance"),),
        parts=[*also, SmallestLlmSelector(), balance],
    )
    return built, balance
