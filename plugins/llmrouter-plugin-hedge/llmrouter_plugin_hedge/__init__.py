"""Ask the next model too when the first is slow to begin."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from attrs import define, field, validators
from llmrouter_core import AllModelsFailed, CallError, Chunk, Query, Session, Solve, hookimpl

from llmrouter_plugin_hedge.latency import Latency

if TYPE_CHECKING:
    from llmrouter_plugin_hedge.race import Item, Race

_MOST = 5.0  # hedges that can be saved up


@define(eq=False, kw_only=True)
class HedgeSolver:
    """Delayed hedging (Dean & Barroso 2013, "The Tail at Scale").

    The best model of the ranking is asked. If it has no word after the delay, the next is asked
    too, and whoever speaks first answers; the other call is cancelled. Once a word is out nothing
    is hedged. A model that fails before its first word is followed by the next at once.

    Attributes:
        delay: Seconds after which the next model is asked; None takes them from what the model
            took to its first word before.
        quantile: Share of a model's calls that have a first word within the delay, where that is
            learned.
        least: Seconds below which no learned delay falls.
        share: Hedges per query that can be earned: a query adds this much, a hedge takes 1.
        counts: How many queries there were, how many were `hedged`, how many of these were `won`
            by the second model, and how many were not hedged for want of `budget`.
    """

    delay: float | None = field(
        default=None,
        validator=validators.optional([validators.ge(0.0), validators.lt(math.inf)]),
    )
    quantile: float = field(default=0.95, validator=[validators.gt(0.0), validators.lt(1.0)])
    least: float = field(default=0.05, validator=[validators.ge(0.0), validators.lt(math.inf)])
    share: float = field(default=0.05, validator=[validators.gt(0.0), validators.le(1.0)])
    counts: Counter[str] = field(init=False, repr=False, factory=Counter)
    _budget: float = field(init=False, repr=False, default=1.0)
    _latency: Latency = field(init=False, repr=False, factory=Latency)

    @hookimpl
    def solve(self) -> Solve:
        """Return the function that answers one query."""
        return self._answer

    async def _answer(self, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
        from llmrouter_plugin_hedge.race import Race

        decision = await session.decide(query)
        self.counts["queries"] += 1
        self._budget = min(self._budget + self.share, _MOST)
        race = Race(session, query, deque(decision.ranking[: session.fallbacks + 1]))
        try:
            item = await self._first_word(race)
            while item is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
                _, item = await race.next()
        finally:
            await race.keep(None)

    async def _first_word(self, race: Race) -> Item:
        """Return the first chunk of whoever speaks first, once nobody else is asked any more.

        Raises:
            CallError: Nobody did.
        """
        import asyncio

        clock = asyncio.get_running_loop().time
        first, second = race.start(), None
        delay = self._delay(first)
        failures: list[CallError] = []
        while True:
            try:
                async with asyncio.timeout(delay if race.waiting else None):
                    name, item = await race.next()
            except TimeoutError:
                delay = None
                if self._may_hedge():
                    second = race.start()
                continue
            if not isinstance(item, Exception):
                break
            if not isinstance(item, CallError) or not item.elsewhere:
                raise item
            failures.append(item)
            if race.running:
                continue
            if not race.waiting:
                raise failures[0] if len(failures) == 1 else AllModelsFailed(failures)
            first = race.start()
            delay = self._delay(first) if second is None else None
        self.counts["won"] += name == second
        # Who was overtaken would have taken longer, which is all that a quantile needs to know.
        for model in {name, first}.intersection((name, *race.running)):
            self._latency.saw(model, clock() - race.started[model])
        await race.keep(name)
        return item

    def _delay(self, model: str) -> float | None:
        """Return the seconds after which *model* is late, or None where nobody knows."""
        if self.delay is not None:
            return self.delay
        learned = self._latency.quantile(model, self.quantile)
        return None if math.isinf(learned) else max(self.least, learned)

    def _may_hedge(self) -> bool:
        """Take a hedge from the budget, if it holds one."""
        if self._budget < 1:
            self.counts["budget"] += 1
            return False
        self._budget -= 1
        self.counts["hedged"] += 1
        return True
