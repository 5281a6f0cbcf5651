"""The six hooks: everything core will ever ask of a plugin.

A part implements a hook by a method of the same name, marked `@hookimpl`, that takes any of the
arguments below by name. `embed`, `score` and `select` decide: synchronous, batch-first, numpy in
and out. `call` and `solve` answer: they are asked once, when the router is built, and return the
function that will stream. `lifespan` opens and closes what must be opened and closed.

A wrapper is the same method marked `@hookimpl(wrapper=True)` with one bare `yield` in it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeAlias

from pluggy import HookimplMarker, HookspecMarker

from llmrouter_core.types import Chunk, Floats, Ints, Model, Query, Request, Scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmrouter_core.session import Session

PROJECT = "llmrouter"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)

Call: TypeAlias = Callable[[Request], AsyncGenerator[Chunk, None]]
Solve: TypeAlias = Callable[["Session", Query], AsyncGenerator[Chunk, None]]


class Specs:
    """The specifications, in the order in which a query meets them."""

    @hookspec(firstresult=True)
    def embed(self, queries: Sequence[Query]) -> Floats | None:
        """Return float32 (n, d): one row per query. Asked only if a scorer wants embeddings."""

    @hookspec
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> Scores | tuple[Scores, ...] | None:
        """Return named (n, m) predictions: NaN is unknown, -inf never. All scorers are asked."""

    @hookspec(firstresult=True)
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints | None:
        """Return intp (n, k): columns of *models*, best first, 1 <= k <= m; -1 pads short rows."""

    @hookspec(firstresult=True)
    def call(self, model: Model) -> Call | None:
        """Return the function that streams *model*'s chunks, or None for a model not served."""

    @hookspec(firstresult=True)
    def solve(self) -> Solve | None:
        """Return the function that answers a query through its session, in any number of calls."""

    @hookspec
    def lifespan(self) -> AbstractAsyncContextManager[object] | None:
        """Return a context that is entered when the router opens and left when it closes."""
