"""A clock that stands still until it is told to move, and a caller that plays what it is given."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from attrs import define, field
from llmrouter_core import Call, Chunk, LLMRouter, Model, Request, hookimpl
from llmrouter_plugin_breaker import BreakerExtension
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

Act = Exception | str | None


@define(eq=False)
class Clock:
    """Seconds that pass only by `now +=`."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@define(eq=False)
class Stage:
    """A caller that plays one act per call of a model; the last act repeats.

    An error is raised before a word, `cut` after one, `hang` never ends, None is an answer.
    """

    acts: dict[str, list[Act]] = field(factory=dict)
    asked: list[str] = field(factory=list)
    errors: Mapping[str, Exception] = field(factory=dict)

    @hookimpl
    def call(self, model: Model) -> Call | None:
        async def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked.append(model.name)
            acts = self.acts.get(model.name, [None])
            act = acts.pop(0) if len(acts) > 1 else acts[0]
            if isinstance(act, Exception):
                raise act
            if act == "mute":
                await asyncio.Event().wait()
            yield Chunk(text="hi")
            if act == "hang":
                await asyncio.Event().wait()
            if act != "cut":
                yield Chunk(finish="stop")

        return answer


def router(
    stage: Stage, *names: str, also: Sequence[Any] = (), **options: Any
) -> tuple[LLMRouter, BreakerExtension]:
    """Return a router over models of growing size, and the breaker in it.

    A name such as `a@east` is a model of the caller `east`.
    """
    breaker = BreakerExtension(**{"pause": 5.0, **options})
    models = []
    for size, name in enumerate(names, start=1):
        model, _, caller = name.partition("@")
        models.append(Model(name=model, size=size, caller=caller or None))
    parts = [*also, breaker, SmallestLlmSelector(), stage]
    return LLMRouter(models=models, parts=parts), breaker
