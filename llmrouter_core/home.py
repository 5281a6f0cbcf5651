"""Where a router's resources live: one event loop, reached from any thread or loop.

`async with router` makes the running loop the home. Otherwise the first use starts a loop in a
daemon thread, so that the same router serves scripts, notebooks and async code alike.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Open = Callable[[], AbstractAsyncContextManager[None]]

_END = object()
_AHEAD = 32  # chunks a reader in another loop may lag behind


class Home:
    """An event loop and the lifespan that is open on it."""

    def __init__(self, opener: Open) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lifespan: AbstractAsyncContextManager[None] | None = None
        self._stop: weakref.finalize[Any, Any] | None = None

    # ------------------------------------------------------------------ opening

    async def enter(self) -> None:
        """Make the running loop the home, and open the lifespan on it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._loop is not None:
                raise RuntimeError("this router is already open; use one router per event loop")
            self._loop = loop
        self._lifespan = self._opener()
        try:
            await self._lifespan.__aenter__()
        except BaseException:
            self._loop = self._lifespan = None
            raise

    async def leave(self) -> None:
        """Close what `enter` opened."""
        lifespan, self._lifespan = self._lifespan, None
        try:
            if lifespan is not None:
                await lifespan.__aexit__(None, None, None)
        finally:
            self._loop = None

    def close(self) -> None:
        """Close the lifespan and the thread that the first use started, if it did."""
        with self._lock:
            stop, self._stop = self._stop, None
            if stop is not None:
                stop()
                self._loop = self._lifespan = None

    def _ensure(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_run, args=(loop,), name="llmrouter", daemon=True)
                thread.start()
                lifespan = self._opener()
                try:
                    asyncio.run_coroutine_threadsafe(lifespan.__aenter__(), loop).result()
                except BaseException:
                    _shut(loop, thread, None)
                    raise
                self._loop = loop
                self._stop = weakref.finalize(self, _shut, loop, thread, lifespan)
            return self._loop

    # ------------------------------------------------------------------ using

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run *coroutine* at home, from a thread that is not home's own."""
        try:
            loop = self._ensure()
            if _running() is loop:
                raise RuntimeError(
                    "this would block the event loop the router was opened on; "
                    "await aroute, or iterate astream, instead"
                )
        except BaseException:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* at home and return its result here."""
        if self._loop is not None and self._loop is asyncio.get_running_loop():
            return await coroutine
        return await asyncio.wrap_future(self.submit(coroutine))

    async def stream(self, make: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Yield here what the generator yields at home; closing early closes it there."""
        if self._loop is not None and self._loop is asyncio.get_running_loop():
            async with aclosing(make()) as items:
                async for item in items:
                    yield item
            return
        relay = await asyncio.wrap_future(self.submit(_Relay.start(make)))
        try:
            while (item := await asyncio.wrap_future(self.submit(relay.next()))) is not _END:
                yield item
        finally:
            await asyncio.wrap_future(self.submit(relay.close()))

    def iterate(self, make: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
        """Yield, without any loop here, what the generator yields at home."""
        relay: _Relay[T] = self.submit(_Relay.start(make)).result()
        try:
            while (item := self.submit(relay.next()).result()) is not _END:
                yield item
        finally:
            self.submit(relay.close()).result()


class _Relay(Generic[T]):
    """A generator run by one task at home, read through a bounded queue."""

    def __init__(self, make: Callable[[], AsyncGenerator[T, None]]) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_AHEAD)
        self._task = asyncio.create_task(self._pump(make))

    @classmethod
    async def start(cls, make: Callable[[], AsyncGenerator[T, None]]) -> _Relay[T]:
        """Return a relay that has begun to read; made at home."""
        return cls(make)

    async def _pump(self, make: Callable[[], AsyncGenerator[T, None]]) -> None:
        try:
            async with aclosing(make()) as items:
                async for item in items:
                    await self._queue.put(item)
        except Exception as error:  # noqa: BLE001 - raised again where it is read
            await self._queue.put(_Failure(error))
        else:
            await self._queue.put(_END)

    async def next(self) -> Any:
        """Return the next item or `_END`, or raise what the generator raised."""
        item = await self._queue.get()
        if isinstance(item, _Failure):
            raise item.error
        return item

    async def close(self) -> None:
        """Stop the generator, wherever it is, and wait until it has cleaned up."""
        self._task.cancel()
        await asyncio.wait([self._task])


class _Failure:
    def __init__(self, error: Exception) -> None:
        self.error = error


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


def _shut(
    loop: asyncio.AbstractEventLoop,
    thread: threading.Thread,
    lifespan: AbstractAsyncContextManager[None] | None,
) -> None:
    """Close *lifespan* on its loop, then end the loop and its thread."""

    async def finish() -> None:
        try:
            if lifespan is not None:
                await lifespan.__aexit__(None, None, None)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await loop.shutdown_asyncgens()
            await loop.shutdown_default_executor()
        finally:
            loop.stop()

    if loop.is_closed() or not thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(finish(), loop)
    thread.join(timeout=10)
