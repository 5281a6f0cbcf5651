"""Where a decision is taken: on the loop while it is quick, and together with its neighbours."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from llmrouter_core import NoEligibleModel, Payload, Query
from llmrouter_core.pacing import Pace

Act = Callable[[], Any]


def where() -> str:
    return threading.current_thread().name


def wait() -> str:
    time.sleep(0.02)
    return where()


def work(seconds: float = 0.004) -> str:
    """Compute for longer than nobody notices."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        sum(range(100))
    return where()


def labour() -> str:
    """Compute for so long that others notice."""
    return work(0.015)


class Desk:
    """A pace whose queries say what happens when they are decided."""

    def __init__(self) -> None:
        self.pace = Pace(self._decide)
        self.batches: list[int] = []

    def _decide(self, queries: Sequence[Query]) -> list[Any]:
        self.batches.append(len(queries))
        return [query.facts["act"]() for query in queries]

    async def ask(self, act: Act, text: str = "x") -> Any:
        [found] = await self.pace.decide([Query(text=text, facts={"act": act})])
        return found

    def places(self, *acts: Act, text: str = "x") -> list[bool]:
        """Return for each of *acts*, one after the other, whether it ran on the loop's thread."""

        async def run() -> list[str]:
            return [await self.ask(act, text) for act in acts]

        return [name == where() for name in asyncio.run(run())]

    def quick(self) -> "Desk":
        """Prove that decisions are quick."""
        while not self.places(where)[0]:
            pass
        self.batches.clear()
        return self

    def together(self, *acts: Act, text: str = "x") -> list[Any]:
        """Return what *acts* return or raise when all are asked in one turn of the loop."""

        async def run() -> list[Any]:
            asked = [self.ask(act, text) for act in acts]
            return await asyncio.gather(*asked, return_exceptions=True)

        return asyncio.run(run())


# ---------------------------------------------------------------------------- where


def test_the_first_decisions_are_taken_in_a_thread_and_quick_ones_on_the_loop() -> None:
    found = Desk().places(*[where] * 500)
    assert not any(found[:30])
    assert found[-1]


def test_a_decision_that_waits_stays_in_a_thread() -> None:
    assert not any(Desk().places(*[wait] * 55))


def test_a_decision_that_computes_for_long_stays_in_a_thread() -> None:
    assert not any(Desk().places(*[work] * 55))


def test_one_long_decision_among_many_is_an_accident() -> None:
    assert Desk().places(*[where] * 20, work, *[where] * 100)[-1]


def test_many_long_decisions_among_quick_ones_are_none() -> None:
    assert not any(Desk().places(*[work, *[where] * 8] * 12))


def test_a_decision_that_waits_now_and_then_stays_in_a_thread() -> None:
    """As one does that asks a provider, but for what it remembers."""
    assert not any(Desk().places(*[wait, *[where] * 8] * 12))


def test_waiting_for_a_turn_beside_others_of_the_process_says_nothing() -> None:
    ends = time.monotonic() + 20
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set() and time.monotonic() < ends:
            sum(range(1000))

    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        assert any(Desk().places(*[where] * 300))
    finally:
        stop.set()
        spinner.join()


def test_after_a_slow_decision_on_the_loop_twice_as_many_have_to_be_quick() -> None:
    found = Desk().quick().places(labour, *[where] * 500)
    assert found[0]
    assert not any(found[1:61])
    assert found[-1]


def test_one_that_waits_on_the_loop_is_not_believed_soon() -> None:
    found = Desk().quick().places(wait, *[where] * 1000)
    assert found[0]
    assert not any(found[1:481])
    assert found[-1]


def test_a_long_calm_makes_up_for_a_slow_decision() -> None:
    desk = Desk()
    for calm in (10, 10_000):
        desk.quick().places(labour)
        desk.quick().places(*[where] * calm)
    found = desk.places(labour, *[where] * 500)  # the second without the calm, so the third now
    assert found[0]
    assert 100 < found[1:].index(True) < 200  # and not beyond 240


def test_long_texts_are_decided_in_a_thread() -> None:
    assert Desk().quick().places(where, text="x" * 1_000_000) == [False]


def test_the_whole_request_counts_where_its_text_is_known() -> None:
    desk = Desk().quick()
    payload = Payload({"messages": []}, b"x" * 400_000)

    async def run() -> Any:
        return await desk.pace.decide([Query(text="x", payload=payload, facts={"act": where})])

    assert asyncio.run(run()) != [where()]


def test_many_queries_at_once_are_decided_in_a_thread() -> None:
    desk = Desk().quick()

    async def run(count: int) -> Any:
        return await desk.pace.decide([Query(text="x", facts={"act": where})] * count)

    assert set(asyncio.run(run(16))) == {where()}
    assert set(asyncio.run(run(17))) != {where()}


class Panic(BaseException):
    """What an extension module may raise."""


@pytest.mark.parametrize("kind", [KeyError, Panic])
def test_errors_are_raised_from_both_places(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("x")

    desk = Desk()
    with pytest.raises(kind):
        desk.places(fail)
    with pytest.raises(kind):
        desk.quick().places(fail)


# ---------------------------------------------------------------------------- with whom


def test_what_is_asked_in_one_turn_is_decided_together_and_everybody_gets_their_own() -> None:
    desk = Desk().quick()
    found = desk.together(*[lambda number=number: number for number in range(40)])
    assert found == list(range(40))
    assert desk.batches == [16, 16, 8]


def test_nobody_waits_for_company() -> None:
    desk = Desk().quick()
    assert desk.places(where, where) == [True, True]
    assert desk.batches == [1, 1]


def test_long_texts_are_not_decided_together() -> None:
    desk = Desk().quick()
    desk.together(*[where] * 4, text="x" * 140_000)
    assert desk.batches == [2, 2]


def test_who_cannot_be_decided_fails_alone() -> None:
    def fail() -> None:
        raise KeyError("mine")

    found = Desk().quick().together(lambda: 1, fail, lambda: 3)
    assert found[0::2] == [1, 3]
    assert isinstance(found[1], KeyError)


@pytest.mark.parametrize("kind", [KeyError, Panic])
def test_whatever_is_raised_nobody_waits_for_ever(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("mine")

    async def run() -> list[Any]:
        async with asyncio.timeout(5):
            asked = [desk.ask(act) for act in (lambda: 1, fail, lambda: 3)]
            return await asyncio.gather(*asked, return_exceptions=True)

    desk = Desk().quick()
    found = asyncio.run(run())
    assert found[0::2] == [1, 3]
    assert isinstance(found[1], kind)


def test_for_whom_nobody_may_answer_the_others_are_decided_once() -> None:
    desk = Desk().quick()
    found = desk.together(lambda: 1, lambda: NoEligibleModel("none is left"), lambda: 3)
    assert found[0::2] == [1, 3]
    assert isinstance(found[1], NoEligibleModel)
    assert str(found[1]) == "none is left"
    assert desk.batches == [3]


def test_of_several_the_one_for_whom_nobody_may_answer_is_named() -> None:
    acts = [where, lambda: NoEligibleModel("none is left")]

    async def run() -> Any:
        return await Desk().pace.decide([Query(text="x", facts={"act": act}) for act in acts])

    with pytest.raises(NoEligibleModel, match="query 2: none is left"):
        asyncio.run(run())


def test_a_loop_that_ended_before_its_turn_is_forgotten() -> None:
    desk = Desk().quick()
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.create_task(desk.ask(where))  # noqa: RUF006 - it never gets its turn
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    assert desk.places(where) == [True]
    assert not desk.pace._lines


def test_who_has_left_is_not_decided() -> None:
    desk = Desk().quick()
    seen: list[int] = []

    async def run() -> None:
        tasks = [
            asyncio.create_task(desk.ask(lambda number=number: seen.append(number)))
            for number in range(3)
        ]
        await asyncio.sleep(0)  # they stand in line
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert seen == [0, 2]


def test_all_may_have_left() -> None:
    desk = Desk().quick()

    async def run() -> None:
        task = asyncio.create_task(desk.ask(where))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert desk.places(where) == [True]


def test_one_alone_sees_its_own_context_and_several_see_none() -> None:
    """So that a trace never puts a decision under somebody else's request."""
    name: ContextVar[str] = ContextVar("name", default="nobody")
    desk = Desk().quick()

    async def asks(who: str) -> Any:
        name.set(who)
        return await desk.ask(name.get)

    async def run(*names: str) -> list[Any]:
        return await asyncio.gather(*map(asks, names))

    assert asyncio.run(run("ada")) == ["ada"]
    assert asyncio.run(run("ada", "bob")) == ["nobody", "nobody"]


def test_loops_in_several_threads_do_not_meet() -> None:
    desk = Desk().quick()
    found: list[list[Any]] = []

    def ask() -> None:
        for _ in range(50):
            found.append(desk.together(where, where, where))

    threads = [threading.Thread(target=ask, name=f"loop-{number}") for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 150
    assert all(len(set(names)) == 1 for names in found)


# ---------------------------------------------------------------------------- beside others


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no cores to choose from")
def test_a_pause_of_the_machine_is_no_fault_of_the_decision() -> None:
    """Whoever shares its core, or has used up a quota, is stopped within a decision."""
    spin = [sys.executable, "-c", "while True: pass"]
    core = {min(os.sched_getaffinity(0))}
    before = os.sched_getaffinity(0)
    others = [subprocess.Popen(spin, preexec_fn=lambda: os.sched_setaffinity(0, core))]
    others += [subprocess.Popen(spin, preexec_fn=lambda: os.sched_setaffinity(0, core))]
    try:
        os.sched_setaffinity(0, core)
        desk = Desk().quick()
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            assert all(desk.places(*[lambda: sum(range(20_000)) and where()] * 20))
    finally:
        os.sched_setaffinity(0, before)
        for other in others:
            other.kill()
            other.wait()
