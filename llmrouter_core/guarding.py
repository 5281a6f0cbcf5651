"""Core's innermost wrappers: what a caller or a solver streams is checked before it counts.

They stand inside every extension, so that a retry sees a broken stream as what it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

from attrs import define

from llmrouter_core.errors import BadResponse, BadResult, IncompleteStream, LLMRouterError
from llmrouter_core.hooks import Call, Solve, hookimpl
from llmrouter_core.types import Chunk, Model

Blame: TypeAlias = Callable[[str], LLMRouterError]


@define(eq=False, kw_only=True)
class Guard:
    """Turns whatever a stream does wrong into a typed error."""

    @hookimpl(wrapper=True, trylast=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Check what the caller of *model* streams: chunks, and a finish reason in the end."""
        inner = yield
        if not callable(inner):
            return inner
        blame = partial(BadResponse, model=model.name)
        return partial(_checked, f"the caller of model '{model.name}'", blame, model.name, inner)

    @hookimpl(wrapper=True, trylast=True)
    def solve(self) -> Generator[None, Solve, Solve]:
        """Check what the solver streams: chunks."""
        inner = yield
        return (
            partial(_checked, "the solver", BadResult, None, inner) if callable(inner) else inner
        )


async def _checked(
    who: str, blame: Blame, model: str | None, stream: Callable[..., Any], *arguments: Any
) -> AsyncGenerator[Chunk, None]:
    """Yield what *stream* yields, which must be chunks; any other fault of it is put on *who*.

    Args:
        who: Whom a fault is put on.
        blame: Makes the error for it.
        model: Whose answer it is, which must have a finish reason; None where it is no model's.
        stream: What streams.
        arguments: What it takes.
    """
    finished = False
    try:
        opened = stream(*arguments)
        if not hasattr(opened, "__aiter__"):
            getattr(opened, "close", lambda: None)()  # a coroutine would warn that nobody awaited
            raise blame(f"{who} returned {type(opened).__name__}, expected an async generator")
        async with aclosing(opened) as chunks:
            async for chunk in chunks:
                if not isinstance(chunk, Chunk):
                    raise blame(f"{who} yielded {type(chunk).__name__}, expected Chunk")
                if chunk.finish is not None:
                    finished = True
                yield chunk
    except LLMRouterError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise blame(f"{who} raised {reason}; report it to the plugin's author") from error
    if model is not None and not finished:
        raise IncompleteStream(
            f"model '{model}' ended its answer without a finish reason", model=model
        )
