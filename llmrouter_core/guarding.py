"""Core's innermost wrappers: what a caller or a solver streams is checked before it counts.

They stand inside every extension, so that a retry sees a broken stream as what it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define

from llmrouter_core.errors import BadResponse, BadResult, IncompleteStream, LLMRouterError
from llmrouter_core.hooks import Call, Solve, hookimpl
from llmrouter_core.types import Chunk, Model, Query, Request

if TYPE_CHECKING:
    from llmrouter_core.session import Session


@define(eq=False, kw_only=True)
class Guard:
    """Turns whatever a stream does wrong into a typed error."""

    @hookimpl(wrapper=True, trylast=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Check what the caller of *model* streams: chunks, and a finish reason in the end."""
        inner = yield
        return partial(_answer, model.name, inner) if callable(inner) else inner

    @hookimpl(wrapper=True, trylast=True)
    def solve(self) -> Generator[None, Solve, Solve]:
        """Check what the solver streams: chunks."""
        inner = yield
        return partial(_solution, inner) if callable(inner) else inner


async def _answer(name: str, call: Call, request: Request) -> AsyncGenerator[Chunk, None]:
    blame = partial(BadResponse, model=name)
    finished = False
    async with aclosing(_chunks(f"the caller of model '{name}'", call, blame, request)) as chunks:
        async for chunk in chunks:
            finished = finished or chunk.finish is not None
            yield chunk
    if not finished:
        raise IncompleteStream(
            f"model '{name}' ended its answer without a finish reason", model=name
        )


async def _solution(solve: Solve, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
    async with aclosing(_chunks("the solver", solve, BadResult, session, query)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _chunks(
    who: str, stream: Callable[..., Any], blame: Callable[[str], Exception], *arguments: Any
) -> AsyncGenerator[Chunk, None]:
    """Yield what *stream* yields, which must be chunks; any other fault of it is put on *who*."""
    try:
        opened = stream(*arguments)
        if not hasattr(opened, "__aiter__"):
            getattr(opened, "close", lambda: None)()  # a coroutine would warn that nobody awaited
            raise blame(f"{who} returned {type(opened).__name__}, expected an async generator")
        async with aclosing(opened) as chunks:
            async for chunk in chunks:
                if not isinstance(chunk, Chunk):
                    raise blame(f"{who} yielded {type(chunk).__name__}, expected Chunk")
                yield chunk
    except LLMRouterError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise blame(f"{who} raised {reason}; report it to the plugin's author") from error
