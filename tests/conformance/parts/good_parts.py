"""One part of each kind that keeps every promise; the bad parts are these with one fault."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self

import numpy as np
from attrs import define, evolve, field

from llmrouter_core import (
    Arrays,
    Call,
    Chunk,
    Dataset,
    Floats,
    Ints,
    Model,
    NotFitted,
    Query,
    Request,
    Scores,
    Secret,
    Solve,
    hookimpl,
)
from llmrouter_core.testing import EchoCaller, ToyEmbedder, ToySelector


@define(eq=False, kw_only=True)
class CountingEmbedder(ToyEmbedder):
    """Count words."""


@define(eq=False, kw_only=True)
class RidgeScorer:
    """Predict quality by ridge regression on the embeddings, a model at a time."""

    name: str = "quality"
    penalty: float = 1.0
    _state: Arrays = field(init=False, repr=False, factory=dict)

    @hookimpl
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> Scores:
        """Return quality (n, m)."""
        state = self.state()
        known = state["models"].tolist()
        columns = [known.index(model.name) for model in models]
        values = embeddings @ state["weights"][:, columns] + state["means"][columns]
        return Scores(self.name, values)  # (n, d) (d, m) -> (n, m)

    def fit(self, dataset: Dataset) -> Self:
        """Return a fitted part."""
        points, quality = np.float64(dataset.embeddings), dataset.quality  # (n, d), (n, m)
        means, weights = np.nanmean(quality, axis=0), []
        for column, mean in enumerate(means):
            asked = ~np.isnan(quality[:, column])
            x, y = points[asked], quality[asked, column] - mean
            damped = x.T @ x + self.penalty * np.eye(x.shape[1])
            weights.append(np.linalg.solve(damped, x.T @ y))
        return self.restore(
            {"weights": np.stack(weights, 1), "means": means, "models": np.array(dataset.models)}
        )

    def state(self) -> Arrays:
        """Return what was learned."""
        if not self._state:
            raise NotFitted("scorer 'ridge' is not trained; train it: llmrouter train")
        return self._state

    def restore(self, state: Arrays) -> Self:
        """Return a part that knows *state*."""
        fitted = evolve(self)
        fitted._state = dict(state)
        return fitted


@define(eq=False, kw_only=True)
class GreedySelector(ToySelector):
    """Rank by quality."""


@define(eq=False, kw_only=True)
class ParrotCaller(EchoCaller):
    """Repeat what is asked."""

    api_key: Secret | None = None
    spare_keys: tuple[Secret, ...] = ()


@define(eq=False, kw_only=True)
class PlainSolver:
    """Ask the first model of the ranking."""

    @hookimpl
    def solve(self) -> Solve:
        """Return the solving function."""
        return self._answer

    async def _answer(self, session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
        decision = await session.decide(query)
        async with aclosing(session.stream(decision.model, query.request)) as chunks:
            async for chunk in chunks:
                yield chunk


@define(eq=False, kw_only=True)
class RelayExtension:
    """Relay everything, and have a lifespan."""

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Relay calls."""
        inner = yield
        return inner and self._around(inner)

    def _around(self, inner: Call) -> Call:
        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            async with aclosing(inner(request)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return stream

    @hookimpl(wrapper=True)
    def solve(self) -> Generator[None, Solve | None, Solve | None]:
        """Relay answers."""
        inner = yield
        return inner and self._beside(inner)

    def _beside(self, inner: Solve) -> Solve:
        async def stream(session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
            async with aclosing(inner(session, query)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return stream

    @hookimpl(wrapper=True)
    def select(self, scores: Mapping[str, Scores]) -> Generator[None, Ints, Ints]:
        """Relay rankings."""
        return (yield)

    @hookimpl
    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open nothing, and close it."""
        yield
