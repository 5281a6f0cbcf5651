"""`solve`: a solver makes any number of calls; core's single shot stands last."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from attrs import define

from llmrouter_core import Chunk, LLMRouter, Query, Session, hookimpl
from llmrouter_core.testing import EchoCaller, ToySelector, toy_models


@define(eq=False, kw_only=True)
class AskAll:
    """Ask every model of the ranking, and say who answered."""

    @hookimpl
    def solve(self) -> Any:
        return self._answer

    async def _answer(self, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
        decision = await session.decide(query)
        for model in decision.ranking:
            step = await session.ask(model, query.request)
            yield Chunk(text=f"{step.model} says {step.text}. ")


@define(eq=False, kw_only=True)
class Sign:
    """Sign every answer."""

    @hookimpl(wrapper=True)
    def solve(self) -> Any:
        inner = yield
        return inner and self._around(inner)

    def _around(self, inner: Any) -> Any:
        async def answer(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            async with aclosing(inner(session, query)) as chunks:
                async for chunk in chunks:
                    yield chunk
            yield Chunk(text=" (signed)")

        return answer


def route(*parts: Any) -> Any:
    caller = EchoCaller(answer="yes")
    with LLMRouter(models=toy_models(), parts=[*parts, caller, ToySelector()]) as router:
        return router.route("?")


def test_a_solver_replaces_the_single_shot_and_every_call_is_counted() -> None:
    """Three calls, three steps, one sum."""
    answer = route(AskAll())

    assert answer.text == "small says yes. maths says yes. large says yes. "
    assert [step.model for step in answer.steps] == ["small", "maths", "large"]
    assert answer.cost == sum(step.cost for step in answer.steps)


def test_a_wrapper_stands_around_the_single_shot_too() -> None:
    """Core's own solver is there when wrappers ask."""
    answer = route(Sign())

    assert answer.text == "yes (signed)"
    assert answer.model == "small"


def test_a_wrapper_stands_around_any_solver() -> None:
    """Whatever their order in the list."""
    assert route(AskAll(), Sign()).text == route(Sign(), AskAll()).text
    assert route(AskAll(), Sign()).text.endswith("large says yes.  (signed)")
