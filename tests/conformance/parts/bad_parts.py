"""For every rule that is about a part, a part that breaks it and, but for that, is good."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self, TypeVar

import numpy as np
from attrs import Factory, define, evolve, field
from good_parts import (
    CountingEmbedder,
    GreedySelector,
    ParrotCaller,
    PlainSolver,
    RelayExtension,
    RidgeScorer,
)

from llmrouter_core import (
    Call,
    Chunk,
    Dataset,
    Floats,
    Ints,
    Model,
    Query,
    Request,
    Scores,
    Secret,  # noqa: F401 - inherited annotations are read in the module of the class
    Solve,
    hookimpl,
)

BAD: dict[str, list[type]] = {}
"""By the name of the check, the parts that fail it and no other."""

T = TypeVar("T", bound=type)


def breaks(name: str) -> Callable[[T], T]:
    """List a class as one that breaks the rule *name*."""

    def note(cls: T) -> T:
        BAD.setdefault(name, []).append(cls)
        return cls

    return note


part = define(eq=False, kw_only=True)


# ---------------------------------------------------------------------------- any part


@breaks("has_docstring")
@part
class SilentSelector(GreedySelector):
    # no docstring: that is the fault
    pass


@breaks("is_a_plain_class")
@define(kw_only=True)
class EqualEmbedder(CountingEmbedder):
    """Compare by value."""

    __hash__ = object.__hash__


@breaks("is_a_plain_class")
@define(eq=False)
class PositionalSelector:
    """Take options by position."""

    depth: int = 3

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        order = sorted(range(len(models)), key=lambda column: models[column].scale)
        return np.tile(np.array(order, dtype=np.intp), (len(queries), 1))


@breaks("is_a_plain_class")
class BareSelector:
    """Be a class like any other."""

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        order = sorted(range(len(models)), key=lambda column: models[column].scale)
        return np.tile(np.array(order, dtype=np.intp), (len(queries), 1))


@breaks("constructible")
@part
class NeedyEmbedder(CountingEmbedder):
    """Have an option without a default, of which the recipe says nothing."""

    path: str


@breaks("options_survive")
@part
class CreepingSelector(GreedySelector):
    """Change an option each time it is read."""

    depth: int = field(default=1, converter=lambda depth: depth + 1)


@breaks("wrong_options_are_refused")
@part
class AnythingSelector(GreedySelector):
    """Have an option of any type."""

    depth: Any = 1


@breaks("shows_no_secret")
@part
class ChattyCaller(ParrotCaller):
    """Reveal its key when it is built."""

    header: str = field(
        init=False,
        default=Factory(lambda self: self.api_key and self.api_key.reveal(), takes_self=True),
    )


@breaks("shows_no_secret")
@part
class GossipCaller(ParrotCaller):
    """Reveal one of several keys."""

    header: str = field(
        init=False,
        default=Factory(
            lambda self: "".join(key.reveal() for key in self.spare_keys), takes_self=True
        ),
    )


@breaks("hooks_match_the_spec")
@part
class DefaultedScorer(RidgeScorer):
    """Give a hook's argument a default, so that it is never passed."""

    @hookimpl
    def score(
        self,
        queries: Sequence[Query],
        models: Sequence[Model],
        embeddings: Floats,
        temperature: float = 1.0,
    ) -> Scores:
        return RidgeScorer.score(self, queries, models, embeddings)


@breaks("hooks_match_the_spec")
@part
class MisspeltExtension(RelayExtension):
    """Implement a hook that does not exist."""

    @hookimpl
    def scores(self) -> None:
        """Never be called."""


@breaks("hooks_match_the_spec")
@part
class StrangeScorer(RidgeScorer):
    """Ask for an argument that does not exist."""

    @hookimpl
    def score(self, queries: Sequence[Query], tokens: Sequence[int]) -> Scores:
        raise NotImplementedError


@breaks("hooks_match_the_spec")
@part
class OldExtension(RelayExtension):
    """Wrap in the old style."""

    @hookimpl(hookwrapper=True)
    def embed(self, queries: Sequence[Query]) -> Any:
        yield


@breaks("implements_its_verb")
@part
class IdleExtension:
    """Do nothing at all."""


@breaks("entry_point_loads")
@part
class UnmarkedEmbedder(CountingEmbedder):
    """Forget the mark."""

    def embed(self, queries: Sequence[Query]) -> Floats:
        return CountingEmbedder.embed(self, queries)


@breaks("learning_is_whole")
@part
class ForgetfulSelector(GreedySelector):
    """Learn, with nothing to show for it."""

    def fit(self, dataset: Dataset) -> Self:
        return evolve(self)


# ---------------------------------------------------------------------------- deciding


@part
class _Scorer(RidgeScorer):
    """Ridge whose predictions go through *change*."""

    @hookimpl
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> Scores:
        values = RidgeScorer.score(self, queries, models, embeddings).values
        return Scores(self.name, self.change(values, queries, models, embeddings))

    def change(
        self,
        values: Floats,
        queries: Sequence[Query],
        models: Sequence[Model],
        embeddings: Floats,
    ) -> Floats:
        raise NotImplementedError


@breaks("shapes_and_dtypes")
@part
class DoubleEmbedder(CountingEmbedder):
    """Return doubles."""

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        return np.float64(CountingEmbedder.embed(self, queries))


@breaks("shapes_and_dtypes")
@part
class EndlessScorer(_Scorer):
    """Predict infinity."""

    def change(self, values: Floats, *_: Any) -> Floats:
        values[:, 0] = np.inf
        return values


@breaks("shapes_and_dtypes")
@part
class FlatSelector(GreedySelector):
    """Return one column for all."""

    @hookimpl
    def select(self, queries: Sequence[Query]) -> Any:
        return np.zeros(len(queries), dtype=np.intp)


@breaks("batch_equals_singles")
@part
class CentredScorer(_Scorer):
    """Predict relative to the batch."""

    def change(self, values: Floats, *_: Any) -> Floats:
        return values - values.sum(axis=0) / max(len(values), 1)


@breaks("batch_equals_singles")
@part
class CentredEmbedder(CountingEmbedder):
    """Embed relative to the batch."""

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        rows = CountingEmbedder.embed(self, queries)
        return np.float32(rows - rows.sum(axis=0) / max(len(rows), 1))


@breaks("rows_follow_queries")
@part
class AlphabeticalScorer(_Scorer):
    """Answer in alphabetical order."""

    def change(self, values: Floats, queries: Sequence[Query], *_: Any) -> Floats:
        return values[np.array(sorted(range(len(queries)), key=lambda i: queries[i].text), int)]


@breaks("columns_follow_models")
@part
class StubbornScorer(_Scorer):
    """Answer in the order in which it learned the models."""

    def change(
        self, values: Floats, queries: Sequence[Query], models: Sequence[Model], *_: Any
    ) -> Floats:
        known = self.state()["models"].tolist()
        return values[:, np.argsort([known.index(model.name) for model in models])]


@breaks("columns_follow_models")
@part
class SecondSelector(GreedySelector):
    """Prefer the second column, whoever stands there."""

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        order = [1, 0, 2][: len(models)] if len(models) > 1 else [0]
        return np.tile(np.array(order, dtype=np.intp), (len(queries), 1))


@breaks("inputs_are_not_written")
@part
class SortingEmbedder(CountingEmbedder):
    """Sort the list it is given, where it is one."""

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        rows = CountingEmbedder.embed(self, queries)
        if isinstance(queries, list):
            queries.sort(key=lambda query: query.text)
        return rows


@breaks("inputs_are_not_written")
@part
class ScalingScorer(_Scorer):
    """Scale the embeddings in place."""

    def change(
        self,
        values: Floats,
        queries: Sequence[Query],
        models: Sequence[Model],
        embeddings: Floats,
    ) -> Floats:
        embeddings *= 2
        return values


@breaks("empty_batch")
@part
class HastyScorer(_Scorer):
    """Look at the first query, which may not exist."""

    def change(self, values: Floats, queries: Sequence[Query], *_: Any) -> Floats:
        assert queries[0].text
        return values


@breaks("one_model")
@part
class RelativeScorer(_Scorer):
    """Compare the two last models, of which one may not exist."""

    def change(self, values: Floats, *_: Any) -> Floats:
        values[:, -2] += 0
        return values


@breaks("never_is_never_first")
@part
class TopSelector(GreedySelector):
    """Name only the best by quality, even one that the cost forbids."""

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        return GreedySelector.select(self, queries, models, scores)[:, :1]


@breaks("unknown_is_no_error")
@part
class SureSelector(GreedySelector):
    """Refuse what is not known."""

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        if any(np.isnan(one.values).any() for one in scores.values()):
            raise ValueError("I must know everything")
        return GreedySelector.select(self, queries, models, scores)


@breaks("same_answer_twice")
@part
class FickleEmbedder(CountingEmbedder):
    """Project at random, without a seed."""

    _projection: Floats = field(
        init=False,
        repr=False,
        factory=lambda: np.float32(np.random.default_rng().normal(size=(32, 32))),
    )

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        return CountingEmbedder.embed(self, queries) @ self._projection


@breaks("same_answer_from_four_threads")
@part
class SharingEmbedder(CountingEmbedder):
    """Keep the batch on itself while it works."""

    _queries: Sequence[Query] = field(init=False, repr=False, default=())

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        self._queries = queries
        time.sleep(0.002)
        return CountingEmbedder.embed(self, self._queries)


# ---------------------------------------------------------------------------- learning


@breaks("unfitted_says_so")
@part
class CarelessScorer(RidgeScorer):
    """Trip over what it has not learned."""

    @hookimpl
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> Scores:
        self._state["weights"]
        return RidgeScorer.score(self, queries, models, embeddings)


@breaks("fit_returns_a_new_part")
@part
class MutableScorer(RidgeScorer):
    """Learn in place."""

    def restore(self, state: Any) -> Self:
        self._state = dict(state)
        return self


@breaks("state_is_plain_arrays")
@part
class ObjectScorer(RidgeScorer):
    """Keep objects."""

    def restore(self, state: Any) -> Self:
        return RidgeScorer.restore(self, {**state, "extra": np.array([{"a": 1}], dtype=object)})


@breaks("saved_and_loaded_is_the_same")
@part
class LeakyScorer(_Scorer):
    """Keep something beside its state."""

    _scale: float = field(init=False, default=0.5)

    def fit(self, dataset: Dataset) -> Self:
        fitted = RidgeScorer.fit(self, dataset)
        fitted._scale = 2.0
        return fitted

    def change(self, values: Floats, *_: Any) -> Floats:
        return values * self._scale


@breaks("fit_twice_is_fit_once")
@part
class NoisyScorer(RidgeScorer):
    """Learn with a little noise and no seed."""

    def fit(self, dataset: Dataset) -> Self:
        fitted = RidgeScorer.fit(self, dataset)
        noise = 1e-9 * np.random.default_rng().normal(size=len(dataset.models))
        return self.restore({**fitted.state(), "means": fitted.state()["means"] + noise})


@breaks("fit_twice_is_fit_once")
@part
class ContinuingScorer(RidgeScorer):
    """Go on from what it knew."""

    def fit(self, dataset: Dataset) -> Self:
        rounds = self._state["rounds"] + 1 if self._state else np.ones(1)
        return self.restore({**RidgeScorer.fit(self, dataset).state(), "rounds": rounds})


@breaks("beats_chance")
@part
class ContraryScorer(_Scorer):
    """Predict the opposite."""

    def change(self, values: Floats, *_: Any) -> Floats:
        return 1 - values


@breaks("tolerates_gaps")
@part
class SpreadingScorer(RidgeScorer):
    """Let one gap spread over a whole column."""

    def fit(self, dataset: Dataset) -> Self:
        state = dict(RidgeScorer.fit(self, dataset).state())
        return self.restore({**state, "means": dataset.quality.mean(axis=0)})


# ---------------------------------------------------------------------------- answering


@breaks("refuses_strangers")
@part
class EagerCaller(ParrotCaller):
    """Serve everybody."""

    @hookimpl
    def call(self, model: Model) -> Call:
        return self._stream


@breaks("calls_stream")
@part
class FreeCaller(ParrotCaller):
    """Say nothing of what was used."""

    async def _stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async with aclosing(ParrotCaller._stream(self, request)) as chunks:
            async for chunk in chunks:
                yield Chunk(text=chunk.text, finish=chunk.finish)


@breaks("solving_streams")
@part
class MuteSolver(PlainSolver):
    """Ask, and keep the answer to itself."""

    async def _answer(self, session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
        async with aclosing(PlainSolver._answer(self, session, query)) as chunks:
            async for chunk in chunks:
                yield Chunk(text=chunk.text, kind="note")


@breaks("events_pass_through")
@part
class BareExtension(RelayExtension):
    """Rebuild chunks without their events."""

    def _around(self, inner: Call) -> Call:
        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            async with aclosing(inner(request)) as chunks:
                async for chunk in chunks:
                    yield Chunk(text=chunk.text, finish=chunk.finish, usage=chunk.usage)

        return stream


@breaks("early_close_closes_the_inner_stream")
@part
class LooseExtension(RelayExtension):
    """Relay calls without closing them."""

    def _around(self, inner: Call) -> Call:
        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            async for chunk in inner(request):
                yield chunk

        return stream


@breaks("early_close_closes_the_inner_stream")
@part
class SlackExtension(RelayExtension):
    """Relay answers without closing them."""

    def _beside(self, inner: Solve) -> Solve:
        async def stream(session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
            async for chunk in inner(session, query):
                yield chunk

        return stream


@breaks("early_close_closes_the_inner_stream")
@part
class LooseSolver(PlainSolver):
    """Relay an answer without closing it."""

    async def _answer(self, session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
        decision = await session.decide(query)
        async for chunk in session.stream(decision.model, query.request):
            yield chunk


@breaks("early_close_closes_the_inner_stream")
@part
class PumpingCaller(ParrotCaller):
    """Read ahead in a task that nobody ends."""

    async def _stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        pump = asyncio.ensure_future(asyncio.sleep(60))
        async with aclosing(ParrotCaller._stream(self, request)) as chunks:
            async for chunk in chunks:
                yield chunk
        pump.cancel()


@breaks("cancellation_propagates")
@part
class StubbornCaller(ParrotCaller):
    """Take a cancellation for an end."""

    async def _stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        try:
            async with aclosing(ParrotCaller._stream(self, request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except asyncio.CancelledError:
            return


@breaks("cancellation_propagates")
@part
class StubbornExtension(RelayExtension):
    """Take a cancellation for a failure."""

    def _around(self, inner: Call) -> Call:
        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            try:
                async with aclosing(inner(request)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except asyncio.CancelledError:
                yield Chunk(text="sorry")

        return stream


@breaks("cancellation_propagates")
@part
class DeafExtension(RelayExtension):
    """Take the cancellation of an answer for its end."""

    def _beside(self, inner: Solve) -> Solve:
        async def stream(session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
            try:
                async with aclosing(inner(session, query)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except asyncio.CancelledError:
                return

        return stream


@breaks("cancellation_propagates")
@part
class DeafSolver(PlainSolver):
    """Ask again when cancelled."""

    async def _answer(self, session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
        try:
            async with aclosing(PlainSolver._answer(self, session, query)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except asyncio.CancelledError:
            yield Chunk(text="sorry")


@breaks("none_passes_through")
@part
class BoldExtension(RelayExtension):
    """Wrap what is not there."""

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Any:
        inner = yield
        return self._around(inner)


@breaks("none_passes_through")
@part
class BolderExtension(RelayExtension):
    """Wrap a solver that is not there."""

    @hookimpl(wrapper=True)
    def solve(self) -> Any:
        inner = yield
        return self._beside(inner)


@breaks("decisions_stay_valid")
@part
class LossyExtension:
    """Lose the ranking."""

    @hookimpl(wrapper=True)
    def select(self, scores: Mapping[str, Scores]) -> Any:
        yield


@breaks("uses_only_session_verbs")
@part
class PryingSolver(PlainSolver):
    """Reach around its session."""

    async def _answer(self, session: Any, query: Query) -> AsyncGenerator[Chunk, None]:
        [call, *_] = session._calls.values()
        async with aclosing(call(query.request)) as chunks:
            async for chunk in chunks:
                yield chunk


@breaks("lifespan_opens_twice")
@part
class OnceExtension(RelayExtension):
    """Open once and never again."""

    _spent: threading.Event = field(init=False, repr=False, factory=threading.Event)

    @hookimpl
    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self._spent.is_set():
            raise RuntimeError("I was opened before")
        self._spent.set()
        yield
