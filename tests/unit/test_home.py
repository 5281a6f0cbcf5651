"""Home: one loop, reached from any thread or loop, that leaves nothing behind."""

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import Any

import pytest

from llmrouter_core.home import Home


class Open:
    """A lifespan that counts, and that fails where it is told to."""

    def __init__(self, entering: Exception | None = None, leaving: Exception | None = None):
        self.opened = self.closed = 0
        self.tasks: list[Any] = []
        self.entering, self.leaving = entering, leaving

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[None, None]:
        self.tasks.append(asyncio.current_task())
        if self.entering is not None:
            raise self.entering
        self.opened += 1
        yield
        self.tasks.append(asyncio.current_task())
        self.closed += 1
        if self.leaving is not None:
            raise self.leaving


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llmrouter"]


class Counting:
    """A generator of numbers that notes how far it got and whether it was closed."""

    def __init__(
        self, stop: int, error: Exception | None = None, parting: Exception | None = None
    ):
        self.stop, self.error, self.parting = stop, error, parting
        self.made, self.closed = 0, threading.Event()

    async def __call__(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.stop):
                await asyncio.sleep(0)
                self.made += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()
            if self.parting is not None:
                raise self.parting


async def read(home: Home, make: Callable[[], AsyncGenerator[int, None]], stop: int) -> list[int]:
    found = []
    async with aclosing(home.stream(make)) as numbers:
        async for number in numbers:
            found.append(number)
            if len(found) == stop:
                break
    return found


def drain(home: Home, make: Callable[[], AsyncGenerator[int, None]], stop: int) -> list[int]:
    numbers = home.iterate(make)
    found = list(islice(numbers, stop))
    numbers.close()
    return found


def across(home: Home, make: Callable[[], AsyncGenerator[int, None]], stop: int) -> list[int]:
    return asyncio.run(read(home, make, stop))


def at_home(home: Home, make: Callable[[], AsyncGenerator[int, None]], stop: int) -> list[int]:
    async def use() -> list[int]:
        await home.enter()
        try:
            return await read(home, make, stop)
        finally:
            await home.leave()

    return asyncio.run(use())


WAYS = pytest.mark.parametrize("way", [drain, across, at_home])


@WAYS
def test_every_item_arrives_in_order(way) -> None:
    """More items than a reader may lag behind, from any thread or loop."""
    home, counting = Home(Open()), Counting(100)

    assert way(home, counting, 1000) == list(range(100))
    home.close()


@WAYS
def test_an_early_close_closes_the_generator_before_it_returns(way) -> None:
    """Nothing goes on reading what nobody wants."""
    home, counting = Home(Open()), Counting(10_000)

    assert way(home, counting, 3) == [0, 1, 2]
    assert counting.closed.is_set()
    assert counting.made < 100
    home.close()


@WAYS
def test_an_error_comes_after_the_items_before_it(way) -> None:
    """What was made is read, then the error is raised, as it is."""
    home, counting = Home(Open()), Counting(50, error=KeyError("half way"))

    with pytest.raises(KeyError, match="half way"):
        way(home, counting, 1000)

    assert counting.made == 50
    home.close()


@pytest.mark.parametrize("way", [drain, across])
def test_a_generator_that_fails_to_close_does_not_hang_its_reader(way) -> None:
    """Even where the reader lags as far behind as it may."""
    home, counting = Home(Open()), Counting(10_000, parting=KeyError("cannot close"))

    assert way(home, counting, 1) == [0]
    assert counting.closed.wait(2)
    home.close()


def test_a_slow_reader_holds_the_generator_back() -> None:
    """At most a bounded number of items wait."""
    home, counting = Home(Open()), Counting(10_000)
    numbers = home.iterate(counting)

    assert next(numbers) == 0
    settled = asyncio.Event()
    home.submit(_turns(200, settled)).result()
    assert 32 <= counting.made <= 35

    numbers.close()
    home.close()


async def _turns(count: int, settled: asyncio.Event) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
    settled.set()


def test_first_use_opens_once_and_close_closes_once() -> None:
    """And the home can be used again after that."""
    opener = Open()
    home = Home(opener)
    assert opener.opened == 0

    for _ in range(3):
        assert drain(home, Counting(2), 9) == [0, 1]
    home.close()
    home.close()

    assert (opener.opened, opener.closed) == (1, 1)
    assert drain(home, Counting(2), 9) == [0, 1]
    home.close()
    assert (opener.opened, opener.closed) == (2, 2)
    assert threads() == []


def test_the_lifespan_opens_and_closes_in_one_task() -> None:
    """Task groups and cancel scopes, which belong to a task, may span it."""
    opener = Open()
    home = Home(opener)

    drain(home, Counting(1), 1)
    home.close()

    assert opener.tasks[0] is opener.tasks[1] is not None


def test_a_lifespan_that_fails_to_open_leaves_nothing_and_may_be_tried_again() -> None:
    """The error is the lifespan's own."""
    opener = Open(entering=OSError("no such device"))
    home = Home(opener)

    for _ in range(2):
        with pytest.raises(OSError, match="no such device"):
            drain(home, Counting(1), 1)
        with pytest.raises(OSError, match="no such device"):
            across(home, Counting(1), 1)
        with pytest.raises(OSError, match="no such device"):
            at_home(home, Counting(1), 1)
        with pytest.raises(OSError, match="no such device"):
            home.submit(_turns(1, asyncio.Event()))
    assert threads() == []

    opener.entering = None
    assert drain(home, Counting(1), 1) == [0]
    home.close()


def test_a_lifespan_that_fails_to_close_is_heard_of() -> None:
    """Closing never fails silently, and still ends the thread."""
    home = Home(Open(leaving=OSError("cannot flush")))
    drain(home, Counting(1), 1)

    with pytest.raises(OSError, match="cannot flush"):
        home.close()

    assert threads() == []


def test_closing_ends_what_is_still_running() -> None:
    """A call that would never end is cancelled, not waited for."""
    home = Home(Open())
    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    future = home.submit(forever())
    assert started.wait(2)
    home.close()

    assert future.cancelled()
    assert threads() == []


@pytest.mark.parametrize("ahead", [1, 40])
def test_a_stream_read_after_the_close_ends_with_a_reason(ahead) -> None:
    """Reading on would wait for ever, and opening a new home would not help."""
    home = Home(Open())
    numbers = home.iterate(Counting(10_000))
    assert next(numbers) == 0
    home.submit(_turns(ahead, asyncio.Event())).result()
    home.close()

    with pytest.raises(RuntimeError, match="closed while it was answering"):
        next(numbers)

    assert threads() == []


def test_an_unclosed_home_that_is_forgotten_leaves_no_thread() -> None:
    """The garbage collector closes it."""
    opener = Open()
    home = Home(opener)
    drain(home, Counting(1), 1)
    assert len(threads()) == 1

    del home
    gc.collect()

    assert opener.closed == 1
    assert threads() == []


def test_a_home_may_be_forgotten_by_its_own_thread() -> None:
    """The last reference can die there; nothing may wait for itself."""
    opener = Open()
    homes = [Home(opener)]
    thread = homes[0].submit(_thread()).result()
    future = homes[0].submit(_forget(homes))
    future.result()

    thread.join(5)

    assert not thread.is_alive()
    assert opener.closed == 1


async def _thread() -> threading.Thread:
    return threading.current_thread()


async def _forget(homes: list[Home]) -> None:
    homes.clear()
    gc.collect()


def test_blocking_the_home_on_itself_is_refused() -> None:
    """The message says what to call instead."""
    home = Home(Open())

    async def use() -> None:
        await home.enter()
        try:
            with pytest.raises(RuntimeError, match="await aroute"):
                home.submit(_turns(1, asyncio.Event()))
            with pytest.raises(RuntimeError, match="iterate astream"):
                next(home.iterate(Counting(1)))
        finally:
            await home.leave()

    asyncio.run(use())


def test_one_home_at_a_time() -> None:
    """Entering what is open already is refused, and says what to do."""
    home = Home(Open())

    async def twice() -> None:
        await home.enter()
        try:
            with pytest.raises(RuntimeError, match="already open; close it first"):
                await home.enter()
        finally:
            await home.leave()

    asyncio.run(twice())
    drain(home, Counting(1), 1)
    with pytest.raises(RuntimeError, match="already open"):
        asyncio.run(home.enter())
    home.close()


def test_opening_does_not_block_the_loop_that_waits_for_it() -> None:
    """Other tasks go on while a slow part opens."""
    turning = threading.Event()

    @asynccontextmanager
    async def slow() -> AsyncGenerator[None, None]:
        assert turning.wait(5), "the caller's loop stood still"
        yield

    home = Home(slow)

    async def turn() -> None:
        turning.set()

    async def use() -> None:
        await asyncio.gather(home.run(_turns(1, asyncio.Event())), turn())

    asyncio.run(use())
    home.close()


def test_cancelling_the_reader_closes_the_generator() -> None:
    """A deadline in one loop ends what runs in the other."""
    home, closed = Home(Open()), threading.Event()

    async def stuck() -> AsyncGenerator[int, None]:
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await read(home, stuck, 5)
        assert closed.is_set()

    asyncio.run(use())
    home.close()


def test_nobody_is_let_in_before_the_lifespan_is_open() -> None:
    """While one loop opens the home, other threads and other tasks of that loop wait for it."""
    opening, found = threading.Event(), []
    lifespan = Open()

    @asynccontextmanager
    async def slow() -> AsyncGenerator[None, None]:
        opening.set()
        await asyncio.sleep(0.1)
        async with lifespan():
            yield

    home = Home(slow)

    async def look() -> None:
        found.append((lifespan.opened, lifespan.closed))

    def from_a_thread() -> None:
        opening.wait(5)
        home.submit(look()).result(5)

    async def main() -> None:
        entering = asyncio.create_task(home.enter())
        while not opening.is_set():
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="would block the event loop"):
            home.submit(look())
        await home.run(look())
        await entering
        await asyncio.to_thread(thread.join, 5)
        await home.leave()

    thread = threading.Thread(target=from_a_thread)
    thread.start()
    asyncio.run(main())

    assert found == [(1, 0), (1, 0)]
