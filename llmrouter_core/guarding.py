"""Core's innermost wrappers: what a caller or a solver streams is checked before it counts.

They stand inside every extension, so that a retry sees a broken stream as what it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define

from llmrouter_core.errors import BadResponse, BadResult, IncompleteStream, LLMRouterError
from llmrouter_core.hooks import Call, Solve, hookimpl
from llmrouter_core.types import Chunk, Model, Query, Request

if TYPE_CHECKING:
    from llmrouter_core.session import Session

Blame: TypeAlias = Callable[[str], LLMRouterError]


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
    who = f"the caller of model '{name}'"
    finished = False
    try:
        async with aclosing(_opened(who, blame, call(request))) as chunks:
            async for chunk in chunks:
                if not isinstance(chunk, Chunk):
                    raise _odd(who, blame, chunk)
                if chunk.finish is not None:
                    finished = True
                yield chunk
    except LLMRouterError:
        raise
    except Exception as error:
        raise _raised(who, blame, error) from error
    if not finished:
        raise IncompleteStream(
            f"model '{name}' ended its answer without a finish reason", model=name
        )


async def _solution(solve: Solve, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
    who = "the solver"
    try:
        async with aclosing(_opened(who, BadResult, solve(session, query))) as chunks:
            async for chunk in chunks:
                if not isinstance(chunk, Chunk):
                    raise _odd(who, BadResult, chunk)
                yield chunk
    except LLMRouterError:
        raise
    except Exception as error:
        raise _raised(who, BadResult, error) from error


def _opened(who: str, blame: Blame, stream: Any) -> AsyncGenerator[Chunk, None]:
    """Return *stream*, which must be one of chunks."""
    if hasattr(stream, "__aiter__"):
        return stream  # type: ignore[no-any-return]
    getattr(stream, "close", lambda: None)()  # a coroutine would warn that nobody awaited it
    raise blame(f"{who} returned {type(stream).__name__}, expected an async generator")


def _odd(who: str, blame: Blame, chunk: object) -> LLMRouterError:
    return blame(f"{who} yielded {type(chunk).__name__}, expected Chunk")


def _raised(who: str, blame: Blame, error: Exception) -> LLMRouterError:
    reason = f"{type(error).__name__}: {error}"
    return blame(f"{who} raised {reason}; report it to the plugin's author")
