"""What is special about hedging: when the second model is asked, who answers, and who stops."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import (
    AllModelsFailed,
    Answer,
    BadRequest,
    BadResponse,
    CallError,
    Chunk,
    LLMRouter,
    Price,
    Unavailable,
)
from llmrouter_plugin_budget import BudgetExtension
from llmrouter_plugin_hedge.latency import Latency

from .stage import Act, Stage, router, run

DOWN = Unavailable("503 down", status=503)


def ask(built: LLMRouter, times: int = 1) -> list[Answer | CallError]:
    """Return answers or errors, one after another; no task may be left running."""

    async def asked() -> list[Answer | CallError]:
        found: list[Answer | CallError] = []
        async with built:
            for _ in range(times):
                try:
                    found.append(await built.aroute("hi"))
                except CallError as error:
                    found.append(error)
                assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    result: list[Answer | CallError] = run(asked())
    return result


# ---------------------------------------------------------------------------- who answers


def test_a_quick_model_is_not_hedged() -> None:
    """One call, one step."""
    stage = Stage({"a": [(1.9, "a")], "b": [(0.1, "b")]})
    built, hedge = router(stage, delay=2.0)
    [answer] = ask(built)

    assert str(answer) == "a more"
    assert stage.asked == [(0.0, "a", 1)]
    assert hedge.counts == {"queries": 1, "won": 0}


def test_a_slow_model_is_overtaken_and_stopped() -> None:
    """The second is asked at 2 s and speaks at 2.5; at that moment the first is closed."""
    stage = Stage({"a": [(60.0, "a")], "b": [(0.5, "b")]})
    built, hedge = router(stage, delay=2.0)
    [answer] = ask(built)

    assert isinstance(answer, Answer)
    assert (answer.text, answer.model, answer.finish) == ("b more", "b", "stop")
    assert stage.asked == [(0.0, "a", 1), (2.0, "b", 0)]
    assert stage.closed == [(2.5, "a"), (4.5, "b")]
    assert [(step.model, step.error) for step in answer.steps] == [
        ("a", "another model was quicker"),
        ("b", None),
    ]
    assert hedge.counts == {"queries": 1, "hedged": 1, "won": 1}


def test_the_first_may_still_win() -> None:
    """It speaks at 3 s, while the second is silent: that one is stopped."""
    stage = Stage({"a": [(3.0, "a")], "b": [(60.0, "b")]})
    built, hedge = router(stage, delay=2.0)
    [answer] = ask(built)

    assert isinstance(answer, Answer)
    assert (answer.text, answer.model) == ("a more", "a")
    assert stage.closed == [(3.0, "b"), (5.0, "a")]
    assert hedge.counts == {"queries": 1, "hedged": 1, "won": 0}


def test_never_more_than_two_at_once() -> None:
    """However late both are, the third is asked only if both fail."""
    stage = Stage({"a": [(50.0, DOWN)], "b": [(90.0, DOWN)], "c": [(1.0, "c")]})
    built, _ = router(stage, delay=2.0)
    [answer] = ask(built)

    assert str(answer) == "c more"
    assert stage.asked == [(0.0, "a", 2), (2.0, "b", 1), (92.0, "c", 0)]


def test_two_words_at_the_same_moment_are_one_answer() -> None:
    """Both have sent a chunk; one of them is dropped with its model."""
    stage = Stage({"a": [(2.5, "a")], "b": [(0.5, "b")]})
    built, _ = router(stage, delay=2.0)
    [answer] = ask(built)

    assert str(answer) in ("a more", "b more")
    assert isinstance(answer, Answer)
    assert answer.model == str(answer)[0]


def test_after_the_first_word_nothing_is_hedged() -> None:
    """A slow second word is waited for, and a fault is raised as it is."""
    stage = Stage({"a": [(0.5, "a!")], "b": [(0.1, "b")]})
    built, hedge = router(stage, delay=0.6)
    [error] = ask(built)

    assert isinstance(error, BadResponse)
    assert [name for _, name, _ in stage.asked] == ["a"]
    assert hedge.counts["hedged"] == 0


# ---------------------------------------------------------------------------- faults


def test_a_failing_model_is_followed_at_once() -> None:
    """That is no hedge: it waits for nothing and costs no budget."""
    stage = Stage({"a": [(0.1, DOWN)], "b": [(0.2, DOWN)], "c": [(0.1, "c")]})
    built, hedge = router(stage, delay=2.0)
    [answer] = ask(built)

    assert str(answer) == "c more"
    assert [when for when, _, _ in stage.asked] == pytest.approx([0.0, 0.1, 0.3])
    assert hedge.counts == {"queries": 1, "won": 0}


def test_who_follows_a_failing_model_may_be_late_itself() -> None:
    """The delay starts anew with the second; one hedge a query is all there is."""
    stage = Stage({"a": [(0.5, DOWN)], "b": [(60.0, DOWN)], "c": [(9.0, DOWN)], "d": [(9.0, "d")]})
    built, _ = router(stage, delay=2.0)
    [answer] = ask(built)

    assert str(answer) == "d more"
    assert [when for when, _, _ in stage.asked] == [0.0, 0.5, 2.5, 60.5]

    stage = Stage({"a": [(3.0, DOWN)], "b": [(3.0, DOWN)], "c": [(9.0, "c")], "d": [(0.1, "d")]})
    built, hedge = router(stage, delay=2.0, share=1.0)
    ask(built)
    [answer] = ask(built)
    assert str(answer) == "c more"
    assert hedge.counts == {"queries": 2, "hedged": 2, "won": 0}


def test_a_call_that_failed_says_nothing_of_latency() -> None:
    """Only words, and the lack of them, are learned from."""
    stage = Stage({"a": [(3.0, DOWN)], "b": [(3.0, "b")]})
    built, hedge = router(stage, delay=2.0, share=1.0)
    ask(built, 20)

    assert hedge._latency.quantile("a", 0.5) == math.inf
    assert hedge._latency.quantile("b", 0.5) == pytest.approx(3.0)


def test_a_hedge_that_fails_leaves_the_first_alone() -> None:
    """The first goes on and answers."""
    stage = Stage({"a": [(9.0, "a")], "b": [(0.1, DOWN)], "c": [(0.1, "c")]})
    built, _ = router(stage, delay=2.0)
    [answer] = ask(built)

    assert str(answer) == "a more"
    assert [name for _, name, _ in stage.asked] == ["a", "b"]


def test_when_all_fail_each_reason_is_told() -> None:
    """A lone model's error is raised as it is."""
    built, _ = router(Stage({"a": [(3.0, DOWN)], "b": [(3.0, DOWN)]}), delay=2.0)
    [error] = ask(built)
    assert isinstance(error, AllModelsFailed)
    assert error.failures == (DOWN, DOWN)

    built, _ = router(Stage({"a": [(3.0, DOWN)]}), delay=2.0)
    assert ask(built) == [DOWN]


def test_a_wrong_request_stops_everybody() -> None:
    """No other model can mend it."""
    wrong = BadRequest("temperature", status=400)
    stage = Stage({"a": [(60.0, "a")], "b": [(0.5, wrong)], "c": [(0.1, "c")]})
    built, _ = router(stage, delay=2.0)

    assert ask(built) == [wrong]
    assert stage.closed == [(2.5, "b"), (2.5, "a")]


def test_a_budget_that_cannot_pay_twice_refuses_the_hedge() -> None:
    """The first call goes on, and only it is paid."""
    stage = Stage({"a": [(9.0, "a")], "b": [(0.1, "b")]})
    budget = BudgetExtension(dollars=0.0006)
    built, _ = router(stage, also=[budget], delay=2.0)
    models = [evolve(model, price=Price(output=1.0)) for model in built.models]
    parts = [part.plugin for part in built.config.parts[:-1]]  # but for core's own solver
    [answer] = ask(LLMRouter(models=models, parts=parts))

    assert str(answer) == "a more"
    assert [name for _, name, _ in stage.asked] == ["a"]


# ---------------------------------------------------------------------------- budget and delay


def test_hedges_stay_within_their_share() -> None:
    """Every answer is late, and a twentieth of the queries is hedged, plus one."""
    stage = Stage({"a": [(9.0, "a")], "b": [(0.1, "b")]})
    built, hedge = router(stage, delay=2.0, share=0.05)
    ask(built, 100)

    assert hedge.counts["hedged"] == 6
    assert hedge.counts["budget"] == 94


def test_a_calm_saves_up_five_hedges() -> None:
    """A thousand quick answers do not pay for a storm."""
    stage = Stage({"a": [*[(0.1, "a")] * 1000, (9.0, "a")], "b": [(0.1, "b")]})
    built, hedge = router(stage, delay=2.0, share=0.05)
    ask(built, 1010)

    assert hedge.counts["hedged"] == 5


def test_the_delay_is_learned_from_the_models_own_calls() -> None:
    """Nineteen calls teach nothing; then 95 % of those seen decide."""
    seconds = [n / 10 for n in range(1, 21)]  # 0.1 … 2.0: the 19th is 1.9
    Random(0).shuffle(seconds)
    stage = Stage({"a": [*((s, "a") for s in seconds), (60.0, "a")], "b": [(0.5, "b")]})
    built, hedge = router(stage)
    ask(built, 20)
    assert hedge.counts["hedged"] == 0
    started = stage.closed[-1][0]
    [answer] = ask(built)

    assert str(answer) == "b more"
    assert started > 0
    [(first, *_), (second, *_)] = stage.asked[-2:]
    assert second - first == pytest.approx(1.9)


def test_what_was_overtaken_counts_as_late() -> None:
    """A tenth of the calls is late: 15 % are beyond the 85th percentile, and so are hedged.

    If late calls were forgotten, it would be the 85th percentile of the others: 23 %.
    """
    rng = Random(1)

    def act() -> Act:
        return (30.0 if rng.random() < 0.1 else 1.0 + rng.random() / 10, "a")

    stage = Stage({"a": act, "b": [(0.5, "b")]})
    built, hedge = router(stage, quantile=0.85, share=1.0)
    ask(built, 1000)

    assert hedge.counts["hedged"] == pytest.approx(150, abs=15)
    assert hedge.counts["won"] == pytest.approx(100, abs=15)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_floor_holds(share: float) -> None:
    """A model that is always instant is not hedged for a hiccup of a millisecond."""
    stage = Stage({"a": [*[(0.001, "a")] * 20, (0.06, "a")], "b": [(9.0, "b")]})
    built, _ = router(stage, quantile=share, least=0.05)
    ask(built, 21)

    [(first, *_), (second, *_)] = stage.asked[-2:]
    assert second - first == pytest.approx(0.05)


def test_only_the_latest_calls_count() -> None:
    """A model that has become quicker is late sooner."""
    latency = Latency()
    for second in range(500):
        latency.saw("a", float(second < 300))

    assert latency.quantile("a", 0.95) == 0.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300), st.floats(0.01, 0.99))
def test_a_quantile_is_one_of_the_latest_values(seconds: list[float], share: float) -> None:
    """At least that share is not above it; unknown is never late."""
    latency = Latency()
    for one in seconds:
        latency.saw("a", one)
    found, latest = latency.quantile("a", share), seconds[-200:]

    assert latency.quantile("b", share) == math.inf
    if len(latest) < 20:
        assert found == math.inf
    else:
        assert found in latest
        assert sum(one <= found for one in latest) >= share * len(latest)
        assert sum(one < found for one in latest) < share * len(latest)


# ---------------------------------------------------------------------------- leaving


@pytest.mark.parametrize("seconds", [1.0, 2.5, 4.5], ids=["alone", "racing", "relaying"])
def test_a_client_that_leaves_stops_everybody(seconds: float) -> None:
    """Cancelled before, during and after the race: all are closed at once, none is left."""
    stage = Stage({"a": [(60.0, "a")], "b": [(2.0, "b")]})
    built, _ = router(stage, delay=2.0)

    async def leave() -> None:
        async with built:
            task = asyncio.create_task(built.aroute("hi"))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert asyncio.get_running_loop().time() == seconds
            assert len(stage.closed) == len(stage.asked)

    run(leave())


def test_a_reader_that_stops_closes_the_winner() -> None:
    """Closing the iterator after the first word."""
    stage = Stage({"a": [(60.0, "a")], "b": [(2.0, "b")]})
    built, _ = router(stage, delay=2.0)

    async def read() -> None:
        session = built.session()
        async with built:
            async with aclosing(built.astream("hi", session=session)) as chunks:
                assert (await anext(chunks)).text == "b"
            assert stage.closed == [(4.0, "a"), (4.0, "b")]
        assert [step.error for step in session.steps] == [
            "another model was quicker",
            "abandoned by the reader",
        ]

    run(read())


def test_a_slow_reader_holds_the_stream_back() -> None:
    """Of a long answer only a few chunks wait in memory."""
    stage = Stage({"a": [(0.0, "a")]})
    sent = 0

    async def many(_: object) -> AsyncGenerator[Chunk, None]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield Chunk(text="x")
        yield Chunk(finish="stop")

    built, _ = router(stage, delay=2.0)
    built._calls = {"a": many}

    async def read() -> None:
        async with built, aclosing(built.astream("hi")) as chunks:
            await anext(chunks)
            await asyncio.sleep(10)
            assert sent < 20

    run(read())
