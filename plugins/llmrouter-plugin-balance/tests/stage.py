"""Deployments that play what they are given."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from llmrouter_core import Call, Chunk, LLMRouter, Model, Request, hookimpl
from llmrouter_core.testing import ScriptedCaller
from llmrouter_plugin_balance import BalanceCaller
from llmrouter_plugin_smallest_llm import SmallestLlmSelector


class Deployment(ScriptedCaller):
    """A caller that says its name or plays acts, only while it is open, for what it serves."""

    def __init__(self, name: str, acts: Sequence[Any] = (), serves: tuple[str, ...] = ()) -> None:
        super().__init__(list(acts) or [name], name)
        self.serves, self.opened = serves, 0

    @hookimpl
    def call(self, model: Model) -> Call | None:
        play = super().call(model)
        if play is None or (self.serves and model.name not in self.serves):
            return None

        def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            assert self.opened == 1
            return play(request)

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
