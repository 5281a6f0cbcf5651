"""The default solver: fall back along the ranking before the first chunk, never after."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from attrs import define, field

from llmrouter_core import (
    AllModelsFailed,
    BadRequest,
    BudgetExceeded,
    CallError,
    Chunk,
    IncompleteStream,
    LLMRouter,
    Model,
    NotFitted,
    RateLimited,
    Request,
    Unavailable,
    hookimpl,
)


@define(eq=False, kw_only=True)
class Fleet:
    """Fail as told, by model, after *words* chunks; else answer with the model's name."""

    errors: dict[str, BaseException] = field(factory=dict)
    words: int = 0
    asked: list[tuple[str, int]] = field(init=False, factory=list)
    open: set[str] = field(init=False, factory=set)

    @hookimpl
    def select(self, queries: Any, models: Any) -> Any:
        return np.tile(np.arange(len(models)), (len(queries), 1))

    @hookimpl
    def call(self, model: Model) -> Any:
        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked.append((model.name, request.alternatives))
            self.open.add(model.name)
            try:
                if model.name in self.errors:
                    for _ in range(self.words):
                        yield Chunk(text="well, ")
                    raise self.errors[model.name]
                yield Chunk(text=model.name)
                yield Chunk(finish="stop")
            finally:
                self.open.remove(model.name)

        return stream


def router(fleet: Fleet, names: str = "abcdef") -> LLMRouter:
    models = [Model(name=name) for name in names]
    return LLMRouter(models=[*models, Model(name="judge", routable=False)], parts=[fleet])


def route(fleet: Fleet, names: str = "abcdef") -> Any:
    with router(fleet, names) as built:
        return built.route("?")


def down(name: str) -> Unavailable:
    return Unavailable(f"{name} is down", model=name)


def test_the_best_model_answers() -> None:
    """One call is made, and it is told how many may follow it."""
    fleet = Fleet()

    answer = route(fleet)

    assert (answer.text, answer.model) == ("a", "a")
    assert fleet.asked == [("a", 3)]
    assert answer.decision.model.name == "a"


def test_a_failure_before_the_first_chunk_goes_to_the_next() -> None:
    """The failed calls stay among the steps, and each call knows what is left."""
    fleet = Fleet(errors={"a": down("a"), "b": RateLimited("busy"), "c": BudgetExceeded("dear")})

    answer = route(fleet)

    assert answer.text == "d"
    assert fleet.asked == [("a", 3), ("b", 2), ("c", 1), ("d", 0)]
    assert [step.error for step in answer.steps] == ["a is down", "busy", "dear", None]


def test_an_empty_stream_counts_as_a_failure_before_the_first_chunk() -> None:
    """A provider that hangs up at once is fallen back from."""
    fleet = Fleet(errors={"a": IncompleteStream("cut")})

    assert route(fleet).text == "b"


def test_a_failure_after_the_first_chunk_is_raised() -> None:
    """What the user has read cannot be taken back."""
    fleet = Fleet(errors={"a": down("a")}, words=1)

    with pytest.raises(Unavailable, match="a is down"):
        route(fleet)

    assert fleet.asked == [("a", 3)]


def test_a_request_at_fault_is_not_sent_to_others() -> None:
    """No model would take it."""
    fleet = Fleet(errors={"a": down("a"), "b": BadRequest("too long")})

    with pytest.raises(BadRequest, match="too long"):
        route(fleet)

    assert [name for name, _ in fleet.asked] == ["a", "b"]


def test_what_is_no_failed_call_is_not_fallen_back_from() -> None:
    """Another model would not make up for a mistake of the composition."""
    fleet = Fleet(errors={"a": NotFitted("train it")})

    with pytest.raises(NotFitted, match="train it"):
        route(fleet)

    assert fleet.asked == [("a", 3)]


def test_fallbacks_end_and_every_reason_is_told() -> None:
    """Four models at most are asked by default, whatever the pool holds."""
    fleet = Fleet(errors={name: down(name) for name in "abcdef"})

    with pytest.raises(AllModelsFailed) as caught:
        route(fleet)

    assert [failure.model for failure in caught.value.failures] == ["a", "b", "c", "d"]
    assert str(caught.value).startswith("no model answered: a is down; b is down")
    assert isinstance(caught.value, CallError)


def test_one_model_alone_raises_its_own_error() -> None:
    """Nothing is wrapped where there is nothing to sum up, and helpers are no fallback."""
    with pytest.raises(Unavailable, match=r"^a is down$"):
        route(Fleet(errors={"a": down("a")}), "a")


def test_closing_the_answer_closes_the_call() -> None:
    """Through solver, session and caller, before `aclosing` returns."""
    fleet = Fleet()

    async def leave() -> set[str]:
        async with router(fleet) as built, aclosing(built.astream("?")) as chunks:
            async for _ in chunks:
                assert fleet.open == {"a"}
                break
        return set(fleet.open)

    assert asyncio.run(leave()) == set()
    assert [name for name, _ in fleet.asked] == ["a"]
