"""One timer limits all waits of a call, on a clock that only the test turns."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from llmrouter_core import TimedOut
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.reading import Clock

PLACE = Place("small", "api.example.org")


@pytest.fixture(autouse=True)
def transport() -> None:
    """Nothing is sent here."""


class _Selector(selectors.SelectSelector):
    """Does not wait: it turns the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing will ever happen"
        self.now += max(0.0, timeout)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes as soon as nobody has anything to do."""

    def __init__(self) -> None:
        self.clock = _Selector()
        self.timers = 0
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now

    def call_at(self, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*arguments, **options)


def run(test: Callable[[Clock, Loop], Coroutine[Any, Any, None]], deadline: float = 100.0) -> None:
    async def started() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        await test(Clock(PLACE, deadline, loop.time() + deadline), loop)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "a cancellation is left to whoever awaits next"
        await asyncio.sleep(1000)  # no timer rings into what comes later

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(started())


def test_a_wait_ends_at_its_limit() -> None:
    """To the second, naming the limit."""

    async def test(clock: Clock, loop: Loop) -> None:
        with pytest.raises(TimedOut, match=r"nothing within 3 s \(limit 'idle'\)"):
            await clock.within(3, "idle", asyncio.sleep(50))
        assert loop.time() == pytest.approx(3)

    run(test)


def test_the_deadline_comes_before_a_longer_limit() -> None:
    """Though each wait is short, all together are too long."""

    async def test(clock: Clock, loop: Loop) -> None:
        for _ in range(4):
            await clock.within(3, "idle", asyncio.sleep(2))
        with pytest.raises(TimedOut, match=r"not finished within 10 s \(limit 'deadline'\)"):
            await clock.within(3, "idle", asyncio.sleep(2.5))
        assert loop.time() == pytest.approx(10)

    run(test, deadline=10)


def test_many_short_waits_share_a_timer() -> None:
    """A thousand pieces cost a few timers, and the pause after them is noticed all the same."""

    async def test(clock: Clock, loop: Loop) -> None:
        for _ in range(1000):
            await clock.within(30, "idle", asyncio.sleep(0.1))
        started = loop.time()
        sleeps = 1000
        assert loop.timers - sleeps < 10
        with pytest.raises(TimedOut, match="nothing within 30 s"):
            await clock.within(30, "idle", asyncio.sleep(80))
        assert loop.time() - started == pytest.approx(30)

    run(test, deadline=1000)


def test_a_shorter_limit_after_a_longer_one_holds() -> None:
    """The timer that was set for later is set anew."""

    async def test(clock: Clock, loop: Loop) -> None:
        await clock.within(30, "first_byte", asyncio.sleep(1))
        with pytest.raises(TimedOut, match=r"nothing within 0\.05 s"):
            await clock.within(0.05, "idle", asyncio.sleep(20))
        assert loop.time() == pytest.approx(1.05)

    run(test)


def test_a_reader_that_takes_its_time_is_not_late() -> None:
    """Only waits count; the time between them is somebody else's."""

    async def test(clock: Clock, loop: Loop) -> None:
        for _ in range(3):
            await clock.within(3, "idle", asyncio.sleep(1))
            await asyncio.sleep(20)
        assert loop.time() == pytest.approx(63)

    run(test)


def test_waits_may_be_made_by_one_task_after_another() -> None:
    """As with a generator that is handed on; the one that waits is the one that is told."""

    async def test(clock: Clock, _: Loop) -> None:
        await clock.within(3, "idle", asyncio.sleep(1))
        other = asyncio.ensure_future(clock.within(3, "idle", asyncio.sleep(50)))
        await asyncio.sleep(10)
        with pytest.raises(TimedOut):
            other.result()

    run(test)


@pytest.mark.parametrize("when", [1.0, 3.0])
def test_whoever_cancels_is_obeyed(when: float) -> None:
    """A cancellation is none of the clock's business, even in the moment in which it rings."""

    async def test(clock: Clock, loop: Loop) -> None:
        other = asyncio.ensure_future(clock.within(3, "idle", asyncio.sleep(50)))
        loop.call_at(when, other.cancel)
        await asyncio.wait([other])
        assert other.cancelled()

    run(test)


def test_what_fails_by_itself_fails_by_itself() -> None:
    """Also where it turns the cancellation into another error, as libraries do."""

    async def fails() -> None:
        raise OSError("gone")

    async def turns() -> None:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            raise OSError("gone") from None

    async def test(clock: Clock, _: Loop) -> None:
        waits: list[Awaitable[None]] = [fails(), turns()]
        for wait in waits:
            with pytest.raises(OSError, match="gone"):
                await clock.within(3, "idle", wait)

    run(test)


def test_nothing_is_left_of_a_clock_that_stops() -> None:
    """Its timer is cancelled, and it may be used again."""

    async def test(clock: Clock, loop: Loop) -> None:
        for _ in range(2):
            await clock.within(30, "idle", asyncio.sleep(1))
            clock.stop()
        await asyncio.sleep(0)
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]

    run(test)
