"""The default solver: ask the best model; if it fails before a word, ask the next."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from attrs import define, evolve

from llmrouter_core.errors import AllModelsFailed, CallError
from llmrouter_core.hooks import Solve, hookimpl
from llmrouter_core.types import Chunk, Query

if TYPE_CHECKING:
    from llmrouter_core.session import Session


@define(eq=False, kw_only=True)
class SingleShot:
    """One decision, one answer, falling back along the ranking.

    Once a chunk has reached the user nothing can be taken back, so a later failure is raised.
    """

    @hookimpl(trylast=True)
    def solve(self) -> Solve:
        """Return the solving function; last in line, so that any other solver wins."""
        return self._answer

    async def _answer(self, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
        decision = await session.decide(query)
        candidates = decision.ranking[: session.fallbacks + 1]
        failures: list[CallError] = []
        for left, model in zip(reversed(range(len(candidates))), candidates, strict=True):
            request = evolve(query.request, alternatives=left)
            started = False
            try:
                async with aclosing(session.stream(model, request)) as chunks:
                    async for chunk in chunks:
                        started = True
                        yield chunk
                return
            except CallError as error:
                if started or not error.elsewhere:
                    raise
                failures.append(error)
        raise failures[0] if len(failures) == 1 else AllModelsFailed(failures)
