"""What is special about balancing: who is asked, who comes next, and who rests."""

import asyncio
from collections import Counter
from contextlib import aclosing
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    ConfigError,
    IncompleteStream,
    LLMRouter,
    Model,
    RateLimited,
    Refused,
    Unavailable,
)
from llmrouter_core.testing import StoppedClock
from llmrouter_plugin_balance import BalanceCaller
from llmrouter_plugin_balance.turns import Member, Seat, Turns
from llmrouter_plugin_breaker import Circuit, Limits, circuit
from llmrouter_plugin_retry import RetryExtension

from .stage import Deployment, router

DOWN = Unavailable("503 down", status=503)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    """Stop the clock that every circuit reads."""
    stopped = StoppedClock()
    monkeypatch.setattr(circuit, "monotonic", stopped)
    return stopped


# ---------------------------------------------------------------------------- whose turn


def test_equals_take_turns() -> None:
    """One call at a time: east, west, east, west; all are open, and by the model's own id."""
    east, west = Deployment("east"), Deployment("west")
    built, _ = router(east, west)
    with built:
        texts = [built.route("hi").text for _ in range(4)]

    assert texts == ["east", "west", "east", "west"]
    assert east.asked == ["lab/small"] * 2
    assert (east.opened, west.opened) == (0, 0)


def test_the_least_busy_is_asked() -> None:
    """Who hangs keeps its calls, so everybody else goes elsewhere; what ends is counted off."""
    east, west = Deployment("east", [("east", inf), ("east", inf), "east"]), Deployment("west")
    built, balance = router(east, west)

    async def ask() -> None:
        async with built, aclosing(built.astream("hi")) as one:
            await anext(one)
            texts = [(await built.aroute("hi")).text for _ in range(5)]
            assert texts == ["west"] * 5
            assert balance.busy == {"east": 1, "west": 0}
            await one.aclose()
            assert balance.busy == {"east": 0, "west": 0}

    asyncio.run(ask())


def test_turns_follow_the_weights() -> None:
    """Three to one, evenly spread."""
    east, west = Deployment("east"), Deployment("west")
    built, _ = router(east, west, weights={"east": 3.0})
    with built:
        texts = [built.route("hi").text for _ in range(40)]

    assert Counter(texts) == {"east": 30, "west": 10}
    assert all("west" in texts[start : start + 4] for start in range(0, 40, 4))


def test_busy_members_are_compared_by_their_weight() -> None:
    """Eight calls at once: six for the one that takes three times as much."""
    east, west = Deployment("east", [("east", inf)]), Deployment("west", [("west", inf)])
    built, balance = router(east, west, weights={"east": 3.0})

    async def ask() -> None:
        async with built:
            calls = [asyncio.create_task(built.aroute("hi")) for _ in range(8)]
            while sum(balance.busy.values()) < 8:
                await asyncio.sleep(0)
            assert balance.busy == {"east": 6, "west": 2}
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert balance.busy == {"east": 0, "west": 0}

    asyncio.run(ask())


def test_who_comes_back_gets_its_share_and_no_more(clock: StoppedClock) -> None:
    """A member that rested for a hundred calls is not asked a hundred times in a row."""
    east, west = Deployment("east", [DOWN, "east"]), Deployment("west")
    built, _ = router(east, west, failures=1)
    with built:
        for _ in range(101):
            built.route("hi")
        assert len(east.asked) == 1
        clock.now += 5.0
        texts = [built.route("hi").text for _ in range(11)]

    assert set(Counter(texts).values()) == {5, 6}


@given(
    st.lists(st.floats(0.5, 8.0), min_size=1, max_size=5),
    st.integers(50, 200),
)
def test_everybody_gets_what_its_weight_says(weights: list[float], calls: int) -> None:
    """Whatever the weights, nobody is off by more turns than there are members."""
    turns, one = Turns(), Circuit(Limits(), "any")
    seats = [Seat(Member(str(n), w), lambda _: None, one) for n, w in enumerate(weights)]  # type: ignore[arg-type, return-value]
    found = Counter(turns.next(seats).member.name for _ in range(calls))  # type: ignore[union-attr]
    for number, weight in enumerate(weights):
        assert abs(found[str(number)] - calls * weight / sum(weights)) <= len(weights)


# ---------------------------------------------------------------------------- faults


def test_a_fault_before_a_word_goes_to_the_next_member() -> None:
    """One attempt each, and one answer; the caller above sees one call."""
    members = [Deployment("a", [DOWN]), Deployment("b", [Refused("key", status=401)])]
    built, _ = router(*members, Deployment("c"))
    with built:
        answer = built.route("hi")

    assert answer.text == "c"
    assert [len(one.asked) for one in members] == [1, 1]
    assert [step.model for step in answer.steps] == ["small"]


@pytest.mark.parametrize(
    "error",
    [BadRequest("temperature", status=400), Refused("too long a prompt", status=400)],
)
def test_what_is_wrong_with_the_request_is_not_passed_around(error: CallError) -> None:
    """Every deployment would say the same."""
    west = Deployment("west")
    built, balance = router(Deployment("east", [error]), west)
    with built, pytest.raises(type(error)):
        built.route("hi")

    assert (west.asked, balance.states["east/small"]) == ([], "closed")


def test_a_bug_of_a_member_is_no_fault_of_its_deployment() -> None:
    """Core puts it on the caller; nobody else is asked, and nobody rests."""
    west = Deployment("west")
    built, balance = router(Deployment("east", [ValueError("a bug")]), west, failures=1)
    with built, pytest.raises(BadResponse, match="raised ValueError: a bug"):
        built.route("hi")

    assert (west.asked, balance.states["east/small"]) == ([], "closed")


def test_after_a_word_nothing_is_taken_back() -> None:
    """The fault is raised, and counts."""
    east, west = Deployment("east", [("east", 0.0)]), Deployment("west")
    built, balance = router(east, west, failures=1)
    with built, pytest.raises(IncompleteStream, match="member 'east' ended its answer without"):
        built.route("hi")

    assert (west.asked, balance.states["east/small"]) == ([], "open")


def test_when_nobody_is_left_each_reason_is_told() -> None:
    """The kind is that of the fault that passes first, so that a retry waits for the shortest."""
    slow = [RateLimited("429", retry_after=seconds, status=429) for seconds in (9.0, 2.0)]
    acts = {"a": slow[0], "b": Refused("401", status=401), "c": slow[1]}
    members = [Deployment(name, [error]) for name, error in acts.items()]
    built, _ = router(*members)
    with built, pytest.raises(RateLimited) as raised:
        built.route("hi")

    assert str(raised.value) == ("no member answered for model 'small': a: 429; b: 401; c: 429")
    assert (raised.value.retry_after, raised.value.status, raised.value.again) == (2.0, 429, True)
    assert [len(one.asked) for one in members] == [1, 1, 1]


def test_a_lone_member_fails_as_it_is() -> None:
    """Nothing is wrapped around a single reason."""
    built, _ = router(Deployment("a", [DOWN]))
    with built, pytest.raises(Unavailable) as raised:
        built.route("hi")

    assert raised.value is DOWN


# ---------------------------------------------------------------------------- resting


def test_a_failing_member_rests_and_comes_back_by_one_call(clock: StoppedClock) -> None:
    """Of a hundred calls five are asked twice; after the rest one more, then all is well."""
    east, west = Deployment("east", [*[DOWN] * 6, "east"]), Deployment("west")
    built, balance = router(east, west)
    with built:
        assert [built.route("hi").text for _ in range(100)] == ["west"] * 100
        assert len(east.asked) == 5
        clock.now += 5.0
        built.route("hi")
        built.route("hi")
        assert (len(east.asked), balance.states["east/small"]) == (6, "open")
        clock.now += 10.0
        texts = [built.route("hi").text for _ in range(11)]

    assert set(Counter(texts).values()) == {5, 6}
    assert balance.states == {"east/small": "closed", "west/small": "closed"}


def test_a_word_lets_the_next_call_find_out_too(clock: StoppedClock) -> None:
    """A member that is back and talks is asked by others before its first answer ends."""
    east = Deployment("east", [DOWN, ("east", inf), "east"])
    built, balance = router(east, failures=1)

    async def ask() -> None:
        async with built:
            with pytest.raises(Unavailable):
                await built.aroute("hi")
            clock.now += 5.0
            async with aclosing(built.astream("hi")) as chunks:
                await anext(chunks)
                assert (await built.aroute("hi")).text == "east"
            assert balance.states["east/small"] == "closed"

    asyncio.run(ask())


def test_whoever_has_the_whole_answer_may_leave(clock: StoppedClock) -> None:
    """It shows a member that is well again."""
    built, balance = router(Deployment("east", [DOWN, "east"]), failures=1)

    async def ask() -> None:
        async with built:
            with pytest.raises(Unavailable):
                await built.aroute("hi")
            clock.now += 5.0
            async with aclosing(built.astream("hi")) as chunks:
                async for chunk in chunks:
                    if chunk.finish:
                        break
            assert balance.states["east/small"] == "closed"

    asyncio.run(ask())


def test_a_rate_limit_rests_one_model_of_one_member(clock: StoppedClock) -> None:
    """The other models of the member are asked on."""
    models = tuple(Model(name=name, size=size) for name, size in (("small", 1.0), ("large", 2.0)))
    limited = RateLimited("429", retry_after=3.0)
    east, west = Deployment("east", [limited, "east"]), Deployment("west")
    built, balance = router(east, west, models=models)
    with built:
        assert built.route("hi").text == "west"

    assert balance.states["east/small"] == "open"
    assert balance.states["east/large"] == "closed"


def test_all_resting_is_told_at_once(clock: StoppedClock) -> None:
    """No call is sent, and a retry does not repeat it; the wait is the shortest."""
    members = [Deployment("a", [DOWN]), Deployment("b", [DOWN])]
    retry = RetryExtension(base=0.0, longest=0.0, seed=0, attempts=1)
    built, _ = router(*members, failures=1, also=(retry,))
    with built:
        with pytest.raises(Unavailable):
            built.route("hi")
        clock.now += 2.0
        with pytest.raises(Unavailable) as raised:
            built.route("hi")

    assert [len(one.asked) for one in members] == [1, 1]
    assert (raised.value.retry_after, raised.value.again) == (3.0, False)
    assert "a: model 'small' is not asked for 3.0 s: caller.balance.members.a" in str(raised.value)


# ---------------------------------------------------------------------------- composing


def test_each_member_knows_models_by_its_own_ids() -> None:
    """And whoever does not serve a model is never asked for it."""
    east, west = Deployment("east"), Deployment("west", serves=("small",))
    models = (Model(name="small", size=1.0), Model(name="large", size=2.0))
    built, _ = router(east, west, models=models, ids={"west": {"small": "deployment-7"}})

    async def ask() -> None:
        async with built:
            for name in ("small", "small", "large", "large"):
                await built.session().ask(name, built.decide("hi").query.request)

    asyncio.run(ask())
    assert (east.asked, west.asked) == (["small", "large", "large"], ["deployment-7"])


def test_a_config_holds_callers_as_members() -> None:
    """By table or by name; the pool is the first one that is offered."""
    built = LLMRouter(
        {
            "selector": "smallest-llm",
            "caller": {
                "both": {
                    "use": "balance",
                    "members": {"one": "sim", "two": {"use": "sim", "seed": 1}},
                }
            },
        }
    )
    with built:
        answer = built.route("What is 17 * 23?")

    assert answer.finish == "stop"
    assert {model.caller for model in built.models} == {"both"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"members": {}}, "members"),
        ({"members": {"a": "sim"}, "weights": {"b": 1.0}}, "there is no member 'b'; there are: a"),
        ({"members": {"a": "sim"}, "ids": {"b": {}}}, "there is no member 'b'; there are: a"),
        ({"members": {"a": "sim"}, "weights": {"a": 0.0}}, "weights"),
        ({"members": {"a": {"use": "sim", "name": "x"}}}, "a part inside another has none"),
    ],
)
def test_wrong_tables_are_sentences(options: dict[str, object], problem: str) -> None:
    """Each names its place."""
    table = {"use": "balance", **options}
    with pytest.raises(ConfigError, match=problem):
        LLMRouter({"selector": "smallest-llm", "caller": {"default": table}})


def test_a_model_that_no_member_serves_is_left_to_others() -> None:
    """As is one that names another caller."""
    balance = BalanceCaller(members={"a": Deployment("a", serves=("small",))})

    assert balance.call(Model(name="large")) is None
    assert balance.call(Model(name="small", caller="other")) is None
