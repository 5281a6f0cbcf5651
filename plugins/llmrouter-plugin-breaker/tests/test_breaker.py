"""What is special about the breaker: when it opens, for how long, and whom it lets through."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing, suppress
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import (
    AllModelsFailed,
    BadRequest,
    BadResponse,
    BudgetExceeded,
    CallError,
    IncompleteStream,
    LLMRouter,
    Model,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
)
from llmrouter_core.testing import ScriptedCaller, StoppedClock
from llmrouter_plugin_breaker import BreakerExtension, Circuit, Limits, circuit
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

DOWN = Unavailable("503 down", status=503)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    """Stop the clock that every circuit reads."""
    stopped = StoppedClock()
    monkeypatch.setattr(circuit, "monotonic", stopped)
    return stopped


def router(
    caller: ScriptedCaller, *names: str, also: Sequence[Any] = (), **options: Any
) -> tuple[LLMRouter, BreakerExtension]:
    """Return a router over models of growing size, and the breaker in it.

    A name such as `a@east` is a model of the caller `east`.
    """
    breaker = BreakerExtension(**{"pause": 5.0, **options})
    models = []
    for size, name in enumerate(names, start=1):
        model, _, provider = name.partition("@")
        models.append(Model(name=model, size=size, caller=provider or None))
    parts = [*also, breaker, SmallestLlmSelector(), caller]
    return LLMRouter(models=models, parts=parts), breaker


def fail(built: LLMRouter, times: int, kind: type[Exception] = CallError) -> None:
    for _ in range(times):
        with pytest.raises(kind):
            built.route("hi")


# ---------------------------------------------------------------------------- opening


def test_five_failures_in_a_row_open_it_and_the_sixth_call_is_not_sent() -> None:
    """A lone model rests too; the error says why, for how long, and is not to be retried."""
    caller = ScriptedCaller({"a": [DOWN]})
    built, breaker = router(caller, "a")
    with built:
        fail(built, 5)
        with pytest.raises(Unavailable) as raised:
            built.route("hi")

    assert len(caller.asked) == 5
    assert str(raised.value) == (
        "model 'a' is not asked for 5.0 s: model.a rests after 5 failures in a row, the last: "
        "Unavailable (status 503)"
    )
    assert (raised.value.retry_after, raised.value.again, raised.value.model) == (5.0, False, "a")
    assert breaker.states == {"model.a": "open", "caller.any": "closed"}


def test_an_answer_in_between_starts_the_row_anew() -> None:
    """Four failures, an answer, four failures: still closed."""
    caller = ScriptedCaller({"a": [*[DOWN] * 4, "hi", *[DOWN] * 4, "hi"]})
    built, breaker = router(caller, "a")
    with built:
        fail(built, 4)
        built.route("hi")
        fail(built, 4)
        built.route("hi")

    assert breaker.states["model.a"] == "closed"


@pytest.mark.parametrize(
    ("bad", "good", "state"),
    [(11, 9, "open"), (10, 10, "closed"), (10, 9, "closed")],
    ids=["above half of twenty", "half of twenty", "above half of too few"],
)
def test_more_than_half_of_twenty_failing_opens_it(bad: int, good: int, state: str) -> None:
    """The rule for a target that fails now and then, never five times in a row."""
    acts = [act for pair in zip([None] * good, [DOWN] * bad, strict=False) for act in pair]
    acts += [DOWN] * (bad - good)
    limits = Limits()
    one = Circuit(limits, "model.a")
    for act in acts:
        one.settle(one.enter(), act is None, "down")

    assert one.state == state


def test_old_failures_leave_the_window(clock: StoppedClock) -> None:
    """Eleven of twenty within eleven seconds are not within ten."""
    one = Circuit(Limits(), "model.a")
    for _ in range(9):
        one.settle(one.enter(), False)
        one.settle(one.enter(), True)
        clock.now += 10.9 / 9
    for _ in range(2):
        one.settle(one.enter(), False)
    assert one.state == "closed"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (RateLimited("429"), "open"),
        (TimedOut("late"), "open"),
        (BadResponse("html"), "open"),
        (IncompleteStream("cut"), "open"),
        (Refused("no key", status=401), "open"),
        (Refused("no credit", status=429), "open"),
        (Refused("no such model", status=404), "closed"),
        (Refused("too long a prompt", status=400), "closed"),
        (BadRequest("temperature", status=400), "closed"),
        (BudgetExceeded("dear"), "closed"),
    ],
)
def test_only_faults_of_the_model_count(error: CallError, state: str) -> None:
    """What a request asks for, or a budget forbids, is no fault of the model."""
    built, breaker = router(ScriptedCaller({"a": [error]}), "a", failures=2)
    with built:
        fail(built, 2)

    assert breaker.states["model.a"] == state


def test_an_answer_that_breaks_off_is_a_failure() -> None:
    """A word came, and no finish reason: the stream counts by its end."""
    built, breaker = router(ScriptedCaller({"a": [("hi", 0.0)]}), "a", failures=2)
    with built:
        fail(built, 2, IncompleteStream)

    assert breaker.states["model.a"] == "open"


# ---------------------------------------------------------------------------- resting


def test_each_rest_is_twice_as_long_up_to_the_longest(clock: StoppedClock) -> None:
    """From 5 seconds: 5, 10, 20, 40, 60, 60; an answer starts anew."""
    caller = ScriptedCaller({"a": [DOWN]})
    built, _ = router(caller, "a", failures=1)
    rests = []
    with built:
        for _ in range(6):
            fail(built, 1)
            with pytest.raises(Unavailable) as raised:
                built.route("hi")
            rests.append(raised.value.retry_after)
            clock.now += rests[-1]
        caller.acts["a"] = ["hi", DOWN]
        assert built.route("hi").text == "hi"
        fail(built, 1)
        with pytest.raises(Unavailable, match=r"for 5\.0 s"):
            built.route("hi")

    assert rests == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert len(caller.asked) == 8


@pytest.mark.parametrize(("after", "rest"), [(7.0, 7.0), (86_400.0, 60.0)])
def test_a_rate_limit_rests_at_once_as_long_as_it_says(
    clock: StoppedClock, after: float, rest: float
) -> None:
    """The next request is refused as rate limited, which may be retried; capped at a minute."""
    caller = ScriptedCaller({"a": [RateLimited("429 slow", retry_after=after), "hi"]})
    built, _ = router(caller, "a")
    with built:
        fail(built, 1)
        with pytest.raises(RateLimited) as raised:
            built.route("hi")
        assert (raised.value.retry_after, raised.value.again) == (rest, True)
        clock.now += rest
        assert built.route("hi").text == "hi"

    assert len(caller.asked) == 2


def test_retry_after_of_an_outage_counts_once_it_opens(clock: StoppedClock) -> None:
    """A single 503 rests nobody; the fifth rests as long as it asks for."""
    caller = ScriptedCaller({"a": [Unavailable("503", retry_after=30.0)]})
    built, _ = router(caller, "a")
    with built:
        fail(built, 5)
        with pytest.raises(Unavailable, match=r"for 30\.0 s"):
            built.route("hi")

    assert len(caller.asked) == 5


def test_the_next_model_answers_and_the_one_that_rests_is_ranked_last(clock: StoppedClock) -> None:
    """At most five calls are lost; afterwards the ranking itself is another."""
    caller = ScriptedCaller({"a": [DOWN]})
    built, _ = router(caller, "a", "b", "c")
    with built:
        answers = [built.route("hi") for _ in range(50)]
        assert [model.name for model in built.decide("hi").ranking] == ["b", "c", "a"]
        clock.now += 5.0
        assert built.decide("hi").model.name == "a"  # it is due: somebody has to try

    assert {answer.text for answer in answers} == {"hi"}
    assert (caller.asked.count("a"), caller.asked.count("b")) == (5, 50)


def test_what_rests_takes_no_place_among_the_fallbacks() -> None:
    """Six models, five of them down, three fallbacks: the sixth is reached."""
    names = ["a", "b", "c", "d", "e"]
    caller = ScriptedCaller({name: [DOWN] for name in names})
    built, _ = router(caller, *names, "f", failures=1)
    with built:
        fail(built, 1, AllModelsFailed)
        assert built.route("hi").model == "f"
        assert built.route("hi").model == "f"

    assert caller.asked == ["a", "b", "c", "d", "e", "f", "f"]


def test_all_resting_fails_at_once_with_every_reason(clock: StoppedClock) -> None:
    """No retry waits for them."""
    caller = ScriptedCaller({"a": [DOWN], "b": [DOWN]})
    retry = RetryExtension(base=0.0, longest=0.0, seed=0)
    built, _ = router(caller, "a", "b", also=[retry], failures=1)
    with built:
        fail(built, 1)
        asked = len(caller.asked)
        with pytest.raises(AllModelsFailed) as raised:
            built.route("hi")

    assert len(caller.asked) == asked
    assert [one.retry_after for one in raised.value.failures] == [5.0, 5.0]


# ---------------------------------------------------------------------------- trying again


def test_half_open_lets_one_call_through(clock: StoppedClock) -> None:
    """Of fifty at once one is sent; when it has a word, the next is; its end closes."""
    caller = ScriptedCaller({"a": [DOWN]})
    built, breaker = router(caller, "a", failures=1)

    async def flood() -> None:
        async with built:
            with pytest.raises(Unavailable):
                await built.aroute("hi")
            clock.now += 5.0
            caller.acts["a"] = [inf]
            caller.asked.clear()
            calls = [asyncio.create_task(built.aroute("hi")) for _ in range(50)]
            while sum(call.done() for call in calls) < 49:
                await asyncio.sleep(0)
            assert caller.asked == ["a"]
            assert breaker.states["model.a"] == "half-open"
            [waiting] = [call for call in calls if not call.done()]
            waiting.cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            refused = [one for one in outcomes if isinstance(one, Unavailable)]
            assert [one.retry_after for one in refused] == [1.0] * 49

            caller.acts["a"] = ["hi"]  # whoever left has taken nobody's turn
            assert (await built.aroute("hi")).text == "hi"
            assert breaker.states["model.a"] == "closed"

    asyncio.run(flood())


def test_a_probe_that_talks_lets_the_next_one_follow(clock: StoppedClock) -> None:
    """A long answer does not keep everybody out until it ends."""
    caller = ScriptedCaller({"a": [DOWN, ("hi", inf), "hi"]})
    built, breaker = router(caller, "a", failures=1)

    async def ask() -> None:
        async with built:
            with pytest.raises(Unavailable):
                await built.aroute("hi")
            clock.now += 5.0
            async with aclosing(built.astream("hi")) as chunks:
                assert (await anext(chunks)).text == "hi"
                assert breaker.states["model.a"] == "half-open"
                assert (await built.aroute("hi")).text == "hi"
                assert breaker.states["model.a"] == "closed"

    asyncio.run(ask())


def test_a_probe_that_never_returns_is_not_waited_for_for_ever(clock: StoppedClock) -> None:
    """A caller without limits of its own cannot hold the only place."""
    one = Circuit(Limits(failures=1, pause=5.0), "model.a")
    one.settle(one.enter(), False)
    clock.now += 5.0
    one.enter()
    clock.now += 60.0
    assert one.remaining() == 1.0
    clock.now += 0.1
    assert one.remaining() == 0.0


def test_old_calls_neither_close_nor_prolong(clock: StoppedClock) -> None:
    """What was sent before the circuit opened says nothing of the time after."""
    one = Circuit(Limits(failures=2, pause=5.0), "model.a")
    first, second, good, bad = (one.enter() for _ in range(4))
    one.settle(first, False)
    one.settle(second, False)
    clock.now += 4.0
    one.settle(good, True)
    one.settle(bad, False)
    assert one.remaining() == 1.0


@pytest.mark.parametrize(("first", "state"), [(True, "closed"), (False, "open")])
def test_of_two_probes_the_first_to_end_decides(
    clock: StoppedClock, first: bool, state: str
) -> None:
    """The second began before that was known."""
    one = Circuit(Limits(failures=1, pause=5.0), "model.a")
    one.settle(one.enter(), False)
    clock.now += 5.0
    probes = [one.enter(), one.enter()]
    one.settle(probes[0], first)
    one.settle(probes[1], not first)
    assert one.state == state


def test_a_rate_limit_of_the_probe_rests_as_it_says(clock: StoppedClock) -> None:
    """The target is back, and asks for patience."""
    one = Circuit(Limits(failures=1, pause=5.0), "model.a")
    one.settle(one.enter(), False)
    clock.now += 5.0
    one.rest(one.enter(), 3.0, "429")
    assert (one.remaining(), one.limited) == (3.0, True)


def test_leaving_is_no_verdict(clock: StoppedClock) -> None:
    """Neither a reader that stops nor a cancelled task counts; whoever has it all may go."""
    caller = ScriptedCaller({"a": [("hi", inf)]})
    built, breaker = router(caller, "a", failures=1)

    async def leave() -> None:
        async with built:
            async with aclosing(built.astream("hi")) as chunks:
                await anext(chunks)
            task = asyncio.create_task(built.aroute("hi"))
            while len(caller.asked) < 2:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            caller.acts["a"] = ["hi"]
            async with aclosing(built.astream("hi")) as chunks:
                async for chunk in chunks:
                    if chunk.finish:
                        break

    asyncio.run(leave())
    assert breaker.states["model.a"] == "closed"
    assert len(breaker._circuits["model.a"]._slices) == 1  # only the last one counted


# ---------------------------------------------------------------------------- providers


def test_models_of_an_unreachable_provider_rest_together() -> None:
    """Five calls of any of them that reach nobody; models elsewhere go on."""
    gone = Unavailable("cannot be reached")
    caller = ScriptedCaller({"a": [gone], "b": [gone]})
    built, breaker = router(caller, "a@east", "b@east", "c@west", failures=4)
    caller.asked.clear()
    with built:
        for _ in range(10):
            assert built.route("hi").model == "c"

    assert (caller.asked.count("a"), caller.asked.count("b")) == (2, 2)
    assert breaker.states["caller.east"] == "open"
    assert (breaker.states["caller.west"], breaker.states["model.a"]) == ("closed", "closed")


def test_a_status_shows_a_provider_that_answers() -> None:
    """One model's 503 says nothing about another's; nor does it where providers do not count."""
    caller = ScriptedCaller({"a": [DOWN], "b": [DOWN]})
    built, breaker = router(caller, "a", "b", "c", failures=3)
    with built:
        for _ in range(10):
            built.route("hi")
    assert breaker.states["caller.any"] == "closed"

    built, breaker = router(caller, "a", providers=False)
    with built:
        fail(built, 1)
    assert list(breaker.states) == ["model.a"]


# ---------------------------------------------------------------------------- the rest


def test_a_storm_ends_where_it_begins(clock: StoppedClock) -> None:
    """Half of all calls fail, retries and fallbacks included: at most 1.2 calls a request."""
    caller = ScriptedCaller({name: [DOWN, "hi"] * 100_000 for name in "ab"})
    retry = RetryExtension(base=0.0, longest=0.0, seed=0)
    built, _ = router(caller, "a", also=[retry])
    with built:
        for _ in range(1000):
            with suppress(CallError):
                built.route("hi")
            clock.now += 0.01

    assert len(caller.asked) <= 1.2 * 1000 + 3


def test_what_a_provider_said_to_one_is_told_to_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may quote a prompt: the caller has it in the error of its own call, and nobody else."""
    caplog.set_level(logging.INFO, logger="llmrouter.breaker")
    limited = RateLimited("no 'my secret plan'", status=429, retry_after=9.0)
    lost = Unavailable("cannot reach 'my secret plan'")
    for said in (limited, lost):
        built, _ = router(ScriptedCaller({"a": [said]}), "a", failures=1)
        with built:
            with pytest.raises(CallError, match="my secret plan"):
                built.route("hi")
            with pytest.raises(CallError) as raised:
                built.route("hi")
        assert "my secret plan" not in str(raised.value)

    assert "my secret plan" not in caplog.text
    assert "RateLimited (status 429)" in caplog.text
    assert "the last: Unavailable" in caplog.text


def test_opening_and_closing_are_logged(
    clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each, however many calls are refused."""
    caplog.set_level(logging.INFO, logger="llmrouter.breaker")
    built, _ = router(ScriptedCaller({"a": [DOWN, "hi"]}), "a", failures=1)
    with built:
        fail(built, 3)
        clock.now += 5.0
        built.route("hi")

    assert [record.getMessage() for record in caplog.records] == [
        "model.a rests for 5.0 s after a failure, the last: Unavailable (status 503)",
        "model.a answers again",
    ]


@given(
    st.lists(st.integers(-1, 3), min_size=4, max_size=4, unique=True),
    st.sets(st.sampled_from("abcd")),
)
def test_ranking_moves_and_loses_nothing(row: list[int], down: set[str]) -> None:
    """Those that work keep their order, then those that rest keep theirs; padding stays last."""
    row = [column for column in row if column >= 0] + [-1] * row.count(-1)
    breaker = BreakerExtension(failures=1)
    models = router(ScriptedCaller(), *"abcd")[0].pipeline.models
    for model in models:
        one = breaker._of(model)[0]
        if model.name in down:
            one.settle(one.enter(), False)
    wrapper = breaker.select(models)
    next(wrapper)
    with pytest.raises(StopIteration) as stop:
        wrapper.send(np.array([row], np.intp))
    [found] = stop.value.value.tolist()

    ranked = [column for column in row if column >= 0]
    rests = [models[column].name in down for column in ranked]
    expected = [c for c, r in zip(ranked, rests, strict=True) if not r]
    expected += [c for c, r in zip(ranked, rests, strict=True) if r]
    assert found == expected + [-1] * row.count(-1)


@given(st.lists(st.tuples(st.sampled_from("ebgnr"), st.floats(0, 30)), max_size=60))
def test_whatever_happens_it_lets_somebody_through_again(events: list[tuple[str, float]]) -> None:
    """No order of calls, verdicts, limits and time leaves a circuit shut for over a minute."""
    time = StoppedClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(circuit, "monotonic", time)
        one = Circuit(Limits(failures=2), "model.a")
        out = []
        for what, seconds in events:
            time.now += seconds
            if what == "e" and not one.remaining():
                out.append(one.enter())
            elif what == "r" and out:
                one.rest(out.pop(), seconds * 100, "429")
            elif out and what != "e":
                one.settle(out.pop(), {"b": False, "g": True, "n": None}[what], "down", seconds)
            assert one.remaining() <= 60.001
        time.now += 120.1
        assert one.remaining() == 0.0
        one.settle(one.enter(), True)
        assert one.state == "closed"
