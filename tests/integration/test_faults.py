"""One of two upstreams fails: who answers, how often anybody is asked, and what is left behind.

The rows are those of docs/reliability.md, seen from outside: a router of `openai` callers with
`retry` and `breaker`. What a single fault becomes is tested in test_provider_faults.py. Limits on
time are generous, because the machine may be busy; the figures are in the docs.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from random import Random
from typing import Any

import pytest
from attrs import define, field
from llmrouter_plugin_breaker import BreakerExtension
from llmrouter_plugin_budget import BudgetExtension
from llmrouter_plugin_openai import OpenaiCaller
from llmrouter_plugin_openai import transport as transports
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

from llmrouter_core import (
    AllModelsFailed,
    CallError,
    Chunk,
    IncompleteStream,
    LLMRouter,
    Model,
    Price,
    RateLimited,
    TimedOut,
    Unavailable,
    hookimpl,
)

from .faults import (
    ROLE,
    Exchange,
    Provider,
    Reply,
    bomb,
    breaks,
    closed_port,
    completion,
    drips,
    endless,
    hangs_up,
    resets,
    says,
    sse,
    stalls,
    story,
    tells,
)

LIMIT = 0.15  # seconds that the bad upstream's callers wait for a byte
NEVER = {"failures": 1_000_000, "calls": 1_000_000}  # a breaker that looks on
ERROR = {"error": {"message": "overloaded", "code": 503}}


@define(eq=False)
class Pair:
    """A bad upstream, a good one, and a router that asks the bad one first.

    The models are called after them. Without *good* there is the bad one only.
    """

    bad: Provider
    good: Provider
    breaker: BreakerExtension = field(init=False)
    budget: BudgetExtension = field(init=False)

    def router(
        self,
        *,
        good: bool = True,
        url: str | None = None,
        limit: float = LIMIT,
        breaker: dict[str, Any] | None = None,
    ) -> LLMRouter:
        hasty = {"first_byte": limit, "idle": limit, "deadline": 3 * limit}
        common = {"largest_response": 1 << 20}
        self.breaker = BreakerExtension(**{"pause": 5.0, **(breaker or {})})
        self.budget = BudgetExtension(dollars=1e6)
        price = Price(input=1.0, output=2.0)
        names = ("bad", "good") if good else ("bad",)
        return LLMRouter(
            models=[
                Model(name=name, size=size, price=price, caller=name)
                for size, name in enumerate(names, start=1)
            ],
            parts=[
                SmallestLlmSelector(),
                OpenaiCaller(name="bad", base_url=url or self.bad.url, **common, **hasty),
                OpenaiCaller(name="good", base_url=self.good.url, **common),
                self.budget,
                RetryExtension(base=0.001, longest=0.002, seed=0),
                self.breaker,
            ],
        )

    @property
    def calls(self) -> tuple[int, int]:
        """How often the bad one and the good one were asked."""
        return len(self.bad.asked["bad"]), len(self.good.asked["good"])

    async def clear(self) -> None:
        """Check that nothing is running, reserved or connected any more."""
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self.budget.reserved == 0


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Provider() as bad, Provider() as good:
        good.replies("good", tells("Paris"))
        yield Pair(bad, good)
        until = time.monotonic() + 2
        while bad.open or good.open:
            assert time.monotonic() < until, "a connection is still open"
            time.sleep(0.005)


async def text_of(router: LLMRouter, prompt: str = "hi") -> str:
    """Return the text of an answer, read as a stream."""
    async with aclosing(router.astream(prompt)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def outcome(router: LLMRouter, prompt: str = "hi") -> str | CallError:
    try:
        return await text_of(router, prompt)
    except CallError as error:
        return error


async def several(jobs: Sequence[Callable[[], Awaitable[Any]]], at_once: int = 16) -> list[Any]:
    """Return what *jobs* return, so many at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(job: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            return await job()

    return list(await asyncio.gather(*map(one, jobs)))


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(within())


# ---------------------------------------------------------------------------- one of two fails

# The fault, the row of the matrix, and how often the bad one is asked before it rests.
BEFORE_A_WORD: dict[str, tuple[Reply, int]] = {
    "1: 429, back in 30 s": (says(429, {}, Retry_After="30"), 1),
    "1: 429": (says(429, {}), 5),
    "3: 500": (says(500, {"error": "oops"}), 5),
    "3: 503 in HTML": (says(503, b"<html>", kind="text/html"), 5),
    "3: 529": (says(529, {}), 5),
    "5: reset": (resets(), 5),
    "5: closed at once": (hangs_up(), 5),
    "7: no first byte": (stalls(), 5),
    "8: comments only": (drips(0.02), 5),
    "9: stall before a word": (stalls(sse([ROLE])), 5),
    "10: {}": (says(200, {}), 5),
    "10: no choices": (says(200, {"choices": []}), 5),
    "10: HTML with 200": (says(200, b"<html>", kind="text/html"), 5),
    "10: cut JSON": (says(200, b'{"choices": [{"message"'), 5),
    "11: clean end": (breaks(sse([ROLE]), "clean"), 5),
    "11: cut": (breaks(sse([ROLE]), "cut"), 5),
    "11: eof": (breaks(sse([ROLE]), "eof"), 5),
    "12: malformed event": (breaks(b"data: {nonsense\n\n", "clean"), 5),
    "12: error event": (breaks(sse([ROLE, ERROR]), "clean"), 5),
    "13: endless": (endless(), 5),
    "13: gzip bomb": (bomb(20 << 20), 5),
}


@pytest.mark.parametrize("fault", BEFORE_A_WORD)
def test_every_answer_is_right_and_hardly_a_call_is_wasted(pair: Pair, fault: str) -> None:
    """Fifty requests, fifty answers, at most 1.2 calls each, none later than its limit."""
    reply, asked = BEFORE_A_WORD[fault]
    pair.bad.replies("bad", reply)
    built = pair.router()
    slowest = 0.0

    async def ask() -> None:
        nonlocal slowest
        async with built:
            for _ in range(50):
                started = time.monotonic()
                assert await text_of(built) == "Paris"
                slowest = max(slowest, time.monotonic() - started)
            await pair.clear()

    run(ask())
    assert pair.calls == (asked, 50)
    assert sum(pair.calls) <= 1.2 * 50
    assert slowest < 3 * LIMIT + 1.0
    assert pair.budget.spent == pytest.approx(pair.good.billed)


def test_a_closed_port_costs_nothing(pair: Pair) -> None:
    """Row 5: refused connections are passed over, and soon not even tried."""
    built = pair.router(url=f"http://127.0.0.1:{closed_port()}/v1")

    async def ask() -> None:
        async with built:
            for _ in range(20):
                assert await text_of(built) == "Paris"

    run(ask())
    assert pair.breaker.states == {
        "model.bad": "open",
        "caller.bad": "open",
        "model.good": "closed",
        "caller.good": "closed",
    }


AFTER_A_WORD: dict[str, tuple[Reply, type[CallError]]] = {
    "9: stall": (stalls(sse(story()[:3])), TimedOut),
    "8: drip": (drips(0.02, sse(story()[:3])), TimedOut),
    "11: clean end": (breaks(sse(story()[:3]), "clean"), IncompleteStream),
    "11: cut": (breaks(sse(story()[:3]), "cut"), IncompleteStream),
    "11: eof": (breaks(sse(story()[:3]), "eof"), IncompleteStream),
    "12: error event": (breaks(sse([*story()[:3], ERROR]), "clean"), Unavailable),
}


@pytest.mark.parametrize("fault", AFTER_A_WORD)
def test_an_answer_that_breaks_off_is_an_error_five_times_and_then_avoided(
    pair: Pair, fault: str
) -> None:
    """What was said cannot be taken back, but the upstream rests; the part is paid for."""
    reply, kind = AFTER_A_WORD[fault]
    pair.bad.replies("bad", reply)
    built = pair.router()

    async def ask() -> list[str | CallError]:
        async with built:
            found = [await outcome(built) for _ in range(20)]
            await pair.clear()
            return found

    found = run(ask())
    assert [type(one) for one in found] == [kind] * 5 + [str] * 15
    assert set(found[5:]) == {"Paris"}
    assert pair.calls == (5, 15)
    assert pair.budget.spent > pair.good.billed


# ---------------------------------------------------------------------------- the breaker


def test_more_than_half_failing_opens_it_without_five_in_a_row(pair: Pair) -> None:
    """Row 3: one good answer, two errors, over and over: the twentieth call is the last."""
    acts = [tells("Paris"), says(500), says(500)] * 20
    pair.bad.replies("bad", *acts)
    built = pair.router()

    async def ask() -> None:
        async with built:
            for _ in range(50):
                assert await text_of(built) == "Paris"

    run(ask())
    assert pair.calls[0] == 20
    assert pair.breaker.states["model.bad"] == "open"


@pytest.mark.parametrize("recovers", [True, False])
def test_half_open_lets_one_probe_through(pair: Pair, recovers: bool) -> None:
    """Row 3: thirty at once after the rest; one finds out, the others are answered elsewhere."""
    release = asyncio.Event()

    async def waits(exchange: Exchange) -> bool:
        while not release.is_set():
            await asyncio.sleep(0.005)
        return await (tells("Paris") if recovers else says(500))(exchange)

    pair.bad.replies("bad", *[says(500)] * 5, waits, tells("Paris"))
    built = pair.router(breaker={"pause": 0.2}, limit=10.0)

    async def ask() -> None:
        async with built:
            for _ in range(6):
                assert await text_of(built) == "Paris"
            await asyncio.sleep(0.25)
            calls = [asyncio.create_task(text_of(built)) for _ in range(30)]
            while sum(call.done() for call in calls) < 29:
                await asyncio.sleep(0.005)
            assert pair.calls[0] == 6
            release.set()
            assert set(await asyncio.gather(*calls)) == {"Paris"}
            before = pair.calls[0]
            assert await text_of(built) == "Paris"
            assert pair.calls[0] == before + recovers

    run(ask())
    assert pair.breaker.states["model.bad"] == ("closed" if recovers else "open")


def test_all_down_fails_at_once_with_reasons_and_the_time_to_come_back(pair: Pair) -> None:
    """Row 4: no call is sent, no retry waits, and the answer takes well under 50 ms."""
    for provider, name in ((pair.bad, "bad"), (pair.good, "good")):
        provider.replies(name, says(503, {}))
    built = pair.router()
    seconds: list[float] = []

    async def ask() -> AllModelsFailed:
        async with built:
            for _ in range(5):
                with pytest.raises(AllModelsFailed):
                    await text_of(built)
            before = pair.calls
            for _ in range(20):
                started = time.monotonic()
                with pytest.raises(AllModelsFailed) as raised:
                    await text_of(built)
                seconds.append(time.monotonic() - started)
            assert pair.calls == before
            await pair.clear()
            return raised.value

    error = run(ask())
    assert sorted(seconds)[10] < 0.05
    assert [0 < (one.retry_after or 0) <= 5 for one in error.failures] == [True, True]
    assert all("Unavailable (status 503)" in str(one) for one in error.failures)


@pytest.mark.parametrize(
    "after", ["86400", "Wed, 21 Oct 2099 07:28:00 GMT", "-5", "soon", "1e309", "", "0"]
)
def test_no_retry_after_holds_anybody(pair: Pair, after: str) -> None:
    """Row 2: a lone upstream that is rate limited, whatever it says; and then it may recover."""
    pair.bad.replies("bad", says(429, {}, Retry_After=after))
    built = pair.router(good=False)

    async def ask() -> None:
        async with built:
            for _ in range(3):
                started = time.monotonic()
                with pytest.raises((RateLimited, Unavailable)):
                    await text_of(built)
                assert time.monotonic() - started < 1.0
            await pair.clear()

    run(ask())
    assert pair.calls[0] <= 5


# ---------------------------------------------------------------------------- wrong 200s


SHORT = (
    b'data: {"choices":[{"delta":{"content":"Pa"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"ris"}}]}\n\n'
    b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("transport", transports.NAMES)
def test_no_cut_is_ever_silent(
    pair: Pair, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 11: cut at every byte in three framings, each ends whole, from whoever, or as an error.

    Before a word the other upstream answers; after it there is an error; never a clean end.
    """
    pytest.importorskip(transport)
    monkeypatch.setattr(transports, "installed", lambda: [transport])
    every = 1 if transport == transports.NAMES[0] else 5  # the slow one checks a fifth of them
    cuts = [
        (framing, cut)
        for framing in ("clean", "cut", "eof")
        for cut in range(0, len(SHORT) + 1, every)
    ]

    async def cut_as_told(exchange: Exchange) -> bool:
        framing, cut = json.loads(exchange.payload["messages"][0]["content"])
        return await breaks(SHORT[:cut], framing)(exchange)

    pair.bad.replies("bad", cut_as_told)
    pair.good.replies("good", tells("Lyon"))
    built = pair.router(breaker=NEVER, limit=10.0)

    async def ask() -> list[str | CallError]:
        async with built:
            jobs = [lambda cut=cut: outcome(built, json.dumps(cut)) for cut in cuts]
            found = await several(jobs)
            await pair.clear()
            return found

    found = run(ask())
    spoken = SHORT.index(b"\n\n") + 1  # the first event counts with the line that ends it
    finish = SHORT.index(b"\n\n", SHORT.index(b'"stop"')) + 1
    for (_, cut), one in zip(cuts, found, strict=True):
        if cut < spoken:
            assert one == "Lyon"
        elif spoken < cut < finish:
            assert isinstance(one, IncompleteStream)
        elif cut > finish:
            assert one == "Paris"
        else:  # whether an event without its empty line counts is the parser's business
            assert isinstance(one, IncompleteStream) or one in ("Lyon", "Paris")


def mutants(seed: int, count: int) -> list[bytes]:
    """Return bodies that are no answer: cut short, or with a part missing or of another type."""
    whole = json.dumps(completion("Paris"))
    cut = [whole[:size].encode() for size in range(len(whole))]
    rng = Random(seed)
    wrong: list[bytes] = []
    while len(wrong) < count:
        body = json.loads(whole)
        path = rng.choice(
            [
                [],
                ["choices"],
                ["choices", 0],
                ["choices", 0, "message"],
                ["choices", 0, "message", "content"],
                ["choices", 0, "finish_reason"],
            ]
        )
        odd = rng.choice([7, -1.5, True, "text", [], [[]], {}, {"a": 1}, None, ["text"], [None]])
        last = path[-1] if path else None
        if last in ("content", "finish_reason") and (odd is None or isinstance(odd, str | list)):
            continue  # a text, parts of one, or none at all: that can be an answer
        if last == "message" and isinstance(odd, dict):
            continue  # tool calls, audio and what comes next may stand in the place of content
        if not path:
            body = odd
        else:
            place = body
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = odd
        wrong.append(json.dumps(body).encode())
    return cut + wrong


def test_no_mutant_of_a_good_body_passes(pair: Pair) -> None:
    """Row 10: whatever is missing or of a wrong type, the other upstream answers."""
    bodies = mutants(0, 200)

    async def mutant_as_told(exchange: Exchange) -> bool:
        number = int(exchange.payload["messages"][0]["content"])
        return await says(200, bodies[number])(exchange)

    pair.bad.replies("bad", mutant_as_told)
    pair.good.replies("good", tells("Lyon"))
    built = pair.router(breaker=NEVER, limit=10.0)

    async def ask() -> list[str | CallError]:
        async with built:
            jobs = [lambda n=number: outcome(built, str(n)) for number in range(len(bodies))]
            return await several(jobs)

    found = run(ask())
    wrong = [body for body, one in zip(bodies, found, strict=True) if one != "Lyon"]
    assert wrong == []


# ---------------------------------------------------------------------------- leaving


def test_whoever_leaves_leaves_nothing_behind(pair: Pair) -> None:
    """Row 14: two hundred clients leave at any moment, of a fallback too; all is released."""
    rng = Random(0)
    busy = 0

    def counted(reply: Reply) -> Reply:
        async def counting(exchange: Exchange) -> bool:
            nonlocal busy
            busy += 1
            try:
                return await reply(exchange)
            finally:
                busy -= 1

        return counting

    async def slowly(exchange: Exchange) -> bool:
        await asyncio.sleep(0.01)
        return await tells("Paris")(exchange)

    acts = [says(500), hangs_up(), stalls(), stalls(sse(story()[:3])), slowly]
    pair.bad.replies("bad", *(counted(rng.choice(acts)) for _ in range(300)))
    pair.good.replies("good", counted(slowly))
    built = pair.router(breaker=NEVER, limit=30.0)

    async def leave() -> None:
        task = asyncio.create_task(text_of(built))
        await asyncio.sleep(rng.random() * 0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def ask() -> None:
        async with built:
            await several([leave] * 200, at_once=20)
            await pair.clear()
            started = time.monotonic()
            while busy:  # an upstream goes on answering nobody
                assert time.monotonic() - started < 2
                await asyncio.sleep(0.005)
            pair.bad.replies("bad", tells("Paris"))
            assert await text_of(built) == "Paris"
            await pair.clear()

    run(ask())
    assert pair.calls[0] > 20  # how many got so far depends on the machine


def test_whoever_leaves_takes_nobodys_turn(pair: Pair) -> None:
    """Row 14: the probe of a half-open circuit is cancelled; the next request is the probe."""
    pair.bad.replies("bad", *[says(500)] * 5, stalls(), tells("Paris"))
    built = pair.router(breaker={"pause": 0.1})

    async def ask() -> None:
        async with built:
            for _ in range(5):
                await text_of(built)
            await asyncio.sleep(0.15)
            task = asyncio.create_task(text_of(built))
            while pair.calls[0] < 6:
                await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            started = time.monotonic()
            while pair.bad.open:
                assert time.monotonic() - started < 1
                await asyncio.sleep(0.005)
            assert await text_of(built) == "Paris"
            assert pair.calls == (7, 5)
            assert pair.breaker.states["model.bad"] == "closed"

    run(ask())


@define(eq=False)
class Steps:
    """A caller that gives way between any two things it does; every other call fails."""

    calls: int = 0
    open: int = 0

    @hookimpl
    def call(self, model: Model) -> Any:
        async def answer(request: Any) -> Any:
            self.calls += 1
            self.open += 1
            fails = self.calls % 2
            try:
                await asyncio.sleep(0)
                if fails:
                    raise Unavailable("503", status=503)
                for text in ("Pa", "ris"):
                    yield Chunk(text=text)
                    await asyncio.sleep(0)
                yield Chunk(finish="stop")
                await asyncio.sleep(0)
            finally:
                self.open -= 1

        return answer


def test_cancelled_at_any_step_everything_is_settled_once() -> None:
    """Row 15: at the first, second … last step of a request that fails over and is retried."""
    reached: set[int] = set()

    async def ask() -> None:
        step, completed = 0, False
        while not completed:
            steps, breaker = Steps(), BreakerExtension(failures=1, pause=1e-6)
            budget = BudgetExtension(dollars=1.0)
            models = [Model(name=name, price=Price(input=1.0, output=2.0)) for name in "ab"]
            retry = RetryExtension(base=0.0, longest=0.0, seed=0, only_last=False)
            parts = [SmallestLlmSelector(), steps, budget, retry, breaker]
            router = LLMRouter(models=models, parts=parts)
            for _ in range(60):
                await router.session().decide(router.decide("hi").query)  # on the loop from now on
            async with router:
                task = asyncio.create_task(router.aroute("hi"))
                for _ in range(step):
                    await asyncio.sleep(0)
                task.cancel()
                [result] = await asyncio.gather(task, return_exceptions=True)
                reached.add(steps.calls)
                completed = not isinstance(result, BaseException)
                assert (steps.open, budget.reserved) == (0, 0)
                assert asyncio.all_tasks() == {asyncio.current_task()}
                await asyncio.sleep(0.001)
                assert [one.remaining() for one in breaker._circuits.values()] in ([], [0.0, 0.0])
            step += 1

    run(ask())
    assert reached == {0, 1, 2}  # before the first call, during it, and during the second


# ---------------------------------------------------------------------------- storms


@pytest.mark.parametrize("good", [False, True], ids=["alone", "with another as bad"])
def test_a_storm_is_not_fed(pair: Pair, good: bool) -> None:
    """Row 33: half of all answers are errors, forty clients at once: at most 1.2 calls each."""
    rng = Random(0)

    async def coin(exchange: Exchange) -> bool:
        return await (says(500) if rng.random() < 0.5 else tells("Paris"))(exchange)

    pair.bad.replies("bad", coin)
    pair.good.replies("good", coin)
    built = pair.router(good=good, breaker={"pause": 0.2})

    async def ask() -> None:
        async with built:
            await several([lambda: outcome(built)] * 300, at_once=40)
            await pair.clear()

    run(ask())
    assert sum(pair.calls) <= 1.2 * 300 + 3
