"""Where a router's resources live: one event loop, reached from any thread or loop.

`async with router` makes the running loop the home. Otherwise the first use starts a loop in a
daemon thread, so that the same router serves scripts, notebooks and async code alike.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Open = Callable[[], AbstractAsyncContextManager[None]]

_END = object()
_AHEAD = 32  # chunks a reader in another loop may lag behind
_PATIENCE = 10.0  # seconds that closing may take


class Home:
    """An event loop and the lifespan that is open on it."""

    def __init__(self, opener: Open) -> None:
        self._opener = opener
        self._lock = threading.RLock()  # a generator collected in here may come back in
        self._loop: asyncio.AbstractEventLoop | None = None
        self._settled = threading.Event()  # not set while `enter` opens the lifespan
        self._settled.set()
        self._lifespan: AbstractAsyncContextManager[None] | None = None
        self._stop: weakref.finalize[Any, Any] | None = None

    # ------------------------------------------------------------------ opening

    async def enter(self) -> None:
        """Make the running loop the home, and open the lifespan on it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._loop is not None:
                raise RuntimeError(
                    "this router is already open; close it first, or use one router per event loop"
                )
            self._loop = loop
            self._settled.clear()
        try:
            self._lifespan = self._opener()
            await self._lifespan.__aenter__()
        except BaseException:
            self._loop = self._lifespan = None
            raise
        finally:
            self._settled.set()

    async def leave(self) -> None:
        """Close what `enter` opened."""
        lifespan, self._lifespan = self._lifespan, None
        try:
            if lifespan is not None:
                await lifespan.__aexit__(None, None, None)
        finally:
            self._loop = None

    def close(self) -> None:
        """Close the lifespan and the thread that the first use started, if it did.

        Raises:
            TimeoutError: The parts did not close in time.
        """
        with self._lock:
            stop, self._stop = self._stop, None
            if stop is not None:
                self._loop = None
                stop()

    def _opened(self) -> asyncio.AbstractEventLoop:
        """Return the home, which is opened in a thread of its own if it is not open yet."""
        while True:
            self._settled.wait()
            with self._lock:
                if not self._settled.is_set():  # a loop entered in between
                    continue
                if self._loop is None:
                    thread = _Thread(self._opener)
                    self._loop = thread.start()
                    self._stop = weakref.finalize(self, thread.stop)
                return self._loop

    # ------------------------------------------------------------------ using

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run *coroutine* at home, from a thread that is not home's own."""
        try:
            loop = self._elsewhere()
        except BaseException:
            coroutine.close()
            raise
        return self._send(loop, coroutine)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* at home and return its result here."""
        try:
            loop = await self._reached()
        except BaseException:
            coroutine.close()
            raise
        if loop is asyncio.get_running_loop():
            return await coroutine
        return await asyncio.wrap_future(self._send(loop, coroutine))

    def stream(self, make: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Yield here what the generator yields at home; closing early closes it there."""
        loop = self._loop
        if loop is not None and loop is _running() and self._settled.is_set():
            return make()
        return self._relayed(make)

    async def _relayed(
        self, make: Callable[[], AsyncGenerator[T, None]]
    ) -> AsyncGenerator[T, None]:
        loop = await self._reached()
        if loop is asyncio.get_running_loop():  # it was called before the loop ran
            async with aclosing(make()) as items:
                async for item in items:
                    yield item
            return
        relay = _Relay(make)
        try:
            while (item := await asyncio.wrap_future(self._send(loop, relay.next()))) is not _END:
                yield item
        finally:
            if not loop.is_closed():
                await asyncio.wrap_future(self._send(loop, relay.close()))

    def iterate(self, make: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
        """Yield, without any loop here, what the generator yields at home."""
        loop, relay = self._elsewhere(), _Relay(make)
        try:
            while (item := self._send(loop, relay.next()).result()) is not _END:
                yield item
        finally:
            if not loop.is_closed():
                self._send(loop, relay.close()).result()

    async def _reached(self) -> asyncio.AbstractEventLoop:
        """Return the home; opening it may take a while, so it does not block this loop."""
        loop = self._loop
        if loop is not None and self._settled.is_set():
            return loop
        return await asyncio.to_thread(self._opened)

    def _elsewhere(self) -> asyncio.AbstractEventLoop:
        """Return the home, for a thread that will block until it has an answer."""
        if self._loop is not None and self._loop is _running():
            raise RuntimeError(
                "this would block the event loop the router was opened on; "
                "await aroute, or iterate astream, instead"
            )
        return self._opened()

    def _send(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]
    ) -> Future[T]:
        """Run *coroutine* on *loop*; the lock keeps it from arriving while that one closes."""
        with self._lock:
            if loop.is_closed():
                coroutine.close()
                raise RuntimeError("the router was closed while it was answering; ask again")
            return asyncio.run_coroutine_threadsafe(coroutine, loop)


class _Thread:
    """A daemon thread with an event loop, on which one task holds the lifespan open.

    It must not know the `Home` it serves, which could not be collected then.
    """

    def __init__(self, opener: Open) -> None:
        self._opener = opener
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self._ready: Future[None] = Future()
        self._gone: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="llmrouter", daemon=True)

    def start(self) -> asyncio.AbstractEventLoop:
        """Return the loop once the lifespan is open, or raise what opening it raised."""
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            if self._ready.done():
                self._thread.join(_PATIENCE)
            else:  # interrupted while it opens: it leaves as soon as it is open
                self._loop.call_soon_threadsafe(self._leave.set)
            raise
        return self._loop

    def stop(self) -> None:
        """Close the lifespan, end the loop and its thread, and raise what closing raised."""
        self._loop.call_soon_threadsafe(self._leave.set)
        if self._thread is threading.current_thread():
            return  # the last reference to the router died at home
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise TimeoutError(f"the router's parts did not close within {_PATIENCE:g} s")
        self._gone.result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
            rest = asyncio.all_tasks(self._loop)
            for task in rest:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        try:
            async with self._opener():
                self._ready.set_result(None)
                await self._leave.wait()
        except BaseException as error:  # noqa: BLE001 - raised again by start or stop
            (self._gone if self._ready.done() else self._ready).set_exception(error)
        else:
            self._gone.set_result(None)


class _Relay(Generic[T]):
    """A generator run by one task at home, read through a bounded queue."""

    def __init__(self, make: Callable[[], AsyncGenerator[T, None]]) -> None:
        self._make = make
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_AHEAD)
        self._task: asyncio.Task[None] | None = None

    async def _pump(self) -> None:
        try:
            async with aclosing(self._make()) as items:
                async for item in items:
                    await self._queue.put(item)
        except Exception as error:  # noqa: BLE001 - raised again where it is read
            await self._queue.put(_Failure(error))
        else:
            await self._queue.put(_END)

    async def next(self) -> Any:
        """Return the next item or `_END`, or raise what the generator raised."""
        if self._task is None:
            self._task = asyncio.create_task(self._pump())
        item = await self._queue.get()
        if isinstance(item, _Failure):
            raise item.error
        return item

    async def close(self) -> None:
        """Stop the generator, wherever it is, and wait until it has cleaned up."""
        if self._task is None:
            return
        self._task.cancel()
        while not self._queue.empty():  # so that there is room for what cleaning up may raise
            self._queue.get_nowait()
        await asyncio.wait([self._task])


class _Failure:
    def __init__(self, error: Exception) -> None:
        self.error = error


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
