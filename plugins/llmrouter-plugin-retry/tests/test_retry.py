"""What is special about the retry extension: when it asks again, and how long it waits."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from llmrouter_core import (
    BadResponse,
    CallError,
    LLMRouter,
    Model,
    RateLimited,
    TimedOut,
    Unavailable,
)
from llmrouter_core.testing import ScriptedCaller
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_smallest_llm import SmallestLlmSelector


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record every wait instead of waiting."""
    seen: list[float] = []
    pause = asyncio.sleep

    async def sleep(seconds: float) -> None:
        seen.append(seconds)
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return seen


def router(caller: ScriptedCaller, *names: str, **options: Any) -> LLMRouter:
    extension = RetryExtension(seed=0, **options)
    models = [Model(name=name, size=size) for size, name in enumerate(names, start=1)]
    return LLMRouter(models=models, parts=[SmallestLlmSelector(), caller, extension])


def test_a_fault_that_passes_is_waited_out(waits: list[float]) -> None:
    """Two failures, then the answer; each failed stream was closed."""
    caller = ScriptedCaller([Unavailable("a"), TimedOut("b"), "hi"])
    with router(caller, "small") as built:
        answer = built.route("hi")

    assert answer.text == "hi"
    assert (len(caller.asked), caller.closed) == (3, 3)
    assert len(answer.steps) == 1  # one call of the ranking, paid once


def test_waits_are_drawn_up_to_a_bound_that_doubles(waits: list[float]) -> None:
    """Full jitter: seeded, spread, and never above the longest."""
    caller = ScriptedCaller([Unavailable("down")])
    with router(caller, "small", attempts=6, base=1.0, longest=4.0) as built:
        for _ in range(20):
            with pytest.raises(Unavailable):
                built.route("hi")
    first = waits[0]

    assert first == pytest.approx(0.8444218515250481)  # Random(0).uniform(0, 1)
    assert all(0 <= wait <= 4 for wait in waits)


@pytest.mark.parametrize(("after", "expected"), [(15.0, 15.0), (0.0, None), (None, None)])
def test_retry_after_is_waited_for(
    waits: list[float], after: float | None, expected: float | None
) -> None:
    """A provider that names a time gets it; otherwise chance decides."""
    caller = ScriptedCaller([RateLimited("slow", retry_after=after), "hi"])
    with router(caller, "small") as built:
        assert built.route("hi").text == "hi"

    assert waits == [expected] if expected else waits[0] <= 0.5


def test_patience_ends(waits: list[float]) -> None:
    """A longer Retry-After is an error at once."""
    caller = ScriptedCaller([RateLimited("slow", retry_after=21.0)])
    with router(caller, "small") as built, pytest.raises(RateLimited):
        built.route("hi")

    assert (len(caller.asked), waits) == (1, [])


@pytest.mark.parametrize("error", [BadResponse("html"), ValueError("a bug")])
def test_what_will_not_pass_is_not_tried_again(waits: list[float], error: Exception) -> None:
    """Only errors that say so may be tried again; core makes a caller's bug a bad response."""
    caller = ScriptedCaller([error])
    with router(caller, "small") as built, pytest.raises(BadResponse):
        built.route("hi")

    assert len(caller.asked) == 1


def test_a_word_that_is_out_cannot_be_taken_back(waits: list[float]) -> None:
    """After the first chunk the error is raised as it is."""
    caller = ScriptedCaller([("Pa", Unavailable("cut"))])
    with router(caller, "small") as built, pytest.raises(Unavailable):
        built.route("hi")

    assert len(caller.asked) == 1


@pytest.mark.parametrize(
    ("only_last", "asked"),
    [(True, ["small", "large", "large"]), (False, ["small"] * 2 + ["large"] * 2)],
)
def test_another_model_comes_before_another_attempt(
    waits: list[float], only_last: bool, asked: list[str]
) -> None:
    """By default only the last model of the ranking is asked again."""
    caller = ScriptedCaller([Unavailable("down")])
    built = router(caller, "small", "large", only_last=only_last, attempts=2)
    with built, pytest.raises(CallError):
        built.route("hi")

    assert caller.asked == asked


def test_the_budget_bounds_an_outage(waits: list[float]) -> None:
    """Retries stay under 20 % of the calls plus three."""
    caller = ScriptedCaller([Unavailable("down")])
    with router(caller, "small") as built:
        for _ in range(100):
            with pytest.raises(Unavailable):
                built.route("hi")

    assert len(waits) <= 0.2 * 100 + 3
    assert len(caller.asked) == 100 + len(waits)


def test_a_calm_saves_up_no_storm(waits: list[float]) -> None:
    """After any number of good calls, an outage is tried again ten times at most."""
    caller = ScriptedCaller([*["hi"] * 100, Unavailable("down")])
    with router(caller, "small", attempts=100) as built:
        for _ in range(100):
            built.route("hi")
        with pytest.raises(Unavailable):
            built.route("hi")

    assert len(waits) == 10


def test_cancelling_ends_the_wait_at_once() -> None:
    """A client that leaves during the wait leaves nothing running."""
    caller = ScriptedCaller([Unavailable("down")])
    built = router(caller, "small", base=1000.0, longest=1000.0)

    async def leave() -> None:
        async with built:
            task = asyncio.create_task(built.aroute("hi"))
            while not caller.closed:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, timeout=1)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(leave())
    assert len(caller.asked) == 1


def test_leaving_early_closes_the_inner_stream() -> None:
    """A reader that stops after one chunk closes the caller's stream too."""
    caller = ScriptedCaller([("a", "b", "c")])
    built = router(caller, "small")

    async def read() -> None:
        async with built, aclosing(built.astream("hi")) as chunks:
            async for _ in chunks:
                break

    asyncio.run(read())
    assert caller.closed == 1


def test_a_model_nobody_serves_stays_unserved() -> None:
    """The wrapper passes None on, so that core can name the model."""
    parts = [SmallestLlmSelector(), ScriptedCaller(name="other"), RetryExtension()]
    with pytest.raises(Exception, match="no caller serves model 'unserved'"):
        LLMRouter(models=[Model(name="unserved", caller="nobody")], parts=parts)
