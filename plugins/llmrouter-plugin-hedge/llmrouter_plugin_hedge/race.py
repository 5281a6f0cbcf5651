"""Several models asked for the same answer, each by a task of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TypeAlias

from attrs import define, evolve, field
from llmrouter_core import Chunk, Model, Query, Request, Session

Item: TypeAlias = Chunk | Exception | None
"""What a model sends, why it failed, or None at its end."""

_AHEAD = 8  # chunks that may wait for the reader


@define(eq=False)
class Race:
    """What is asked for one query.

    Attributes:
        session: By which models are asked.
        query: What they are asked.
        waiting: The models that were not asked yet, best first.
        started: When each model was asked, by the loop's clock.
    """

    session: Session
    query: Query
    waiting: deque[Model]
    started: dict[str, float] = field(init=False, factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(init=False, factory=dict)
    _items: asyncio.Queue[tuple[str, Item]] = field(
        init=False, factory=lambda: asyncio.Queue(_AHEAD)
    )

    @property
    def running(self) -> tuple[str, ...]:
        """The models that are being asked."""
        return tuple(self._tasks)

    def start(self) -> str:
        """Ask the next model, and return its name."""
        model = self.waiting.popleft()
        request = evolve(self.query.request, alternatives=len(self.waiting))
        self.started[model.name] = asyncio.get_running_loop().time()
        self._tasks[model.name] = asyncio.create_task(self._read(model, request))
        return model.name

    async def next(self) -> tuple[str, Item]:
        """Return what arrives next, and the name of the model it comes from."""
        while True:
            name, item = await self._items.get()
            if name in self._tasks:  # nobody listens to who was stopped
                if not isinstance(item, Chunk):
                    del self._tasks[name]
                return name, item

    async def keep(self, winner: str | None) -> None:
        """Stop asking all but *winner*, and wait until their connections are closed."""
        losers = [self._tasks.pop(name) for name in list(self._tasks) if name != winner]
        reason = "abandoned by the reader" if winner is None else "another model was quicker"
        for task in losers:
            task.cancel(reason)
        if losers:
            await asyncio.wait(losers)

    async def _read(self, model: Model, request: Request) -> None:
        item: Item = None
        try:
            async with aclosing(self.session.stream(model, request)) as chunks:
                async for chunk in chunks:
                    await self._items.put((model.name, chunk))
        except Exception as error:  # noqa: BLE001 - raised again where it is read
            item = error
        await self._items.put((model.name, item))
