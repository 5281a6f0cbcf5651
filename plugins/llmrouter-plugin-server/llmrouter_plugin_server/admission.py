"""A bounded number of requests at once, a bounded queue before them, and no for the rest."""

from __future__ import annotations

import asyncio
from collections import deque

from llmrouter_plugin_server.faults import refuse
from llmrouter_plugin_server.metrics import Metrics
from llmrouter_plugin_server.settings import ServerOptions


class Admission:
    """Places for requests. Who finds none waits in line, but not longer than is useful."""

    def __init__(self, options: ServerOptions, metrics: Metrics) -> None:
        self._free = options.concurrent
        self._queue = options.queue
        self._seconds = options.queue_seconds
        self._metrics = metrics
        self._line: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        """Take a place.

        Raises:
            Refusal: There is none, and none became free in time.
        """
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait()
        self._metrics.in_flight.inc()

    async def __aexit__(self, *_: object) -> None:
        self._metrics.in_flight.dec()
        self._pass_on()

    def _pass_on(self) -> None:
        """Give a place to who has waited longest, else back."""
        while self._line:
            first = self._line.popleft()
            if not first.done():
                first.set_result(None)
                return
        self._free += 1

    async def _wait(self) -> None:
        if len(self._line) >= self._queue:
            raise self._full()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        self._metrics.waiting.inc()
        try:
            async with asyncio.timeout(self._seconds):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self._pass_on()  # it was given just now
            elif place in self._line:
                self._line.remove(place)
            if isinstance(error, TimeoutError):
                raise self._full() from None
            raise
        finally:
            self._metrics.waiting.dec()

    def _full(self) -> Exception:
        self._metrics.shed()
        return refuse(
            429,
            "the server is busy; ask again a little later",
            "overloaded",
            type="rate_limit_error",
            retry_after=1.0,
        )
