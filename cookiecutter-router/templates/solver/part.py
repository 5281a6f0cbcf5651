"""{{ cookiecutter.__summary | trim('.') }}."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from attrs import define
from llmrouter_core import Chunk, Query, Session, Solve, hookimpl


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Ask the best model, having said in a note which one that is."""

    @hookimpl
    def solve(self) -> Solve:
        """Return the function that answers one query."""
        return self._answer

    async def _answer(self, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
        decision = await session.decide(query)
        yield Chunk(kind="note", text=f"asking {decision.model.name}")
        async with aclosing(session.stream(decision.model, query.request)) as chunks:
            async for chunk in chunks:
                yield chunk
