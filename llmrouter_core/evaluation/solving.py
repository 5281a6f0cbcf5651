"""Replay through the real solver: every inner call is answered from the outcomes, and counted.

A cascade or a multi-round solver asks models as it goes along, so its outcome cannot be read off
a ranking. Here it runs as it would, with callers exchanged for the recorded cells of its query.
A prompt of its own making is answered, scored and priced as the query itself: nothing better is
recorded. Extensions around calls and solving are left out, because nothing goes wrong here that
they could mend.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field

from llmrouter_core.errors import CallError, DatasetError, NoRecording, Unavailable
from llmrouter_core.evaluation.deciding import batches, delivered, turned
from llmrouter_core.evaluation.policies import Outcome
from llmrouter_core.hooks import Call, Solve
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.session import Session
from llmrouter_core.types import Chunk, Decision, Floats, Query, Request, Usage

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset

TRADEOFFS = (0.0, 0.5, 0.9, 0.98, 0.998, 1.0)
"""The settings of the knob: few, because each is a run of every query."""

_AT_ONCE = 64  # queries under way at a time
_MARK = "replayed"  # where a chunk's event says which cell it is of


def has_solver(router: LLMRouter) -> bool:
    """Return whether *router* answers by a solver of its own."""
    return any(part.kind == "solver" for part in router.config.parts)


def solve(
    router: LLMRouter,
    test: Dataset,
    costs: Floats,
    tell: Callable[[float], None],
    texts: Mapping[tuple[str, str], str],
    tradeoff: float | None = None,
) -> Outcome:
    """Return what becomes of each query of *test* that the solver of *router* answers.

    Args:
        router: A router with a solver.
        test: Outcomes of the routable models, in the order of the pool, then of helpers.
        costs: US dollars of each call, (n, models of test).
        tell: Called with the share done.
        texts: Recorded answers by query id and model, for solvers that read them; a model's
            answer is its name where nothing is recorded.
        tradeoff: Where to turn the knob of selector and solver, if at all.

    Raises:
        DatasetError: The solver answers nothing, because it asks models without outcomes.
    """
    parts = [part for part in router.pipeline.parts if part.kind != "caller"]
    parts = [part for part in parts if part.kind != "extension" or _decides(part.plugin)]
    pipeline = Pipeline(router.models, parts if tradeoff is None else turned(parts, tradeoff))
    run = _Run(router=router, pipeline=pipeline, test=test, costs=costs, texts=texts)
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop running already
        thread.submit(asyncio.run, run.all(tell)).result()
    if len(test) and np.isnan(run.quality).all() and run.missing:
        missing = ", ".join(sorted(run.missing))
        raise DatasetError(
            f"the solver asks {missing}, of which the outcomes hold nothing; record them too"
        )
    return Outcome(quality=run.quality, cost=run.spent, shares=run.shares)


def _decides(plugin: Any) -> bool:
    """Return whether an extension takes part in deciding, and in nothing else."""
    found = (getattr(type(plugin), name, None) for name in ("call", "solve", "lifespan"))
    return not any(hasattr(method, "llmrouter_impl") for method in found)


@define(eq=False, kw_only=True)
class _Run:
    """All queries on their way through a solver."""

    router: LLMRouter
    pipeline: Pipeline
    test: Dataset
    costs: Floats
    texts: Mapping[tuple[str, str], str]
    missing: set[str] = field(init=False, factory=set)
    quality: Floats = field(init=False)
    spent: Floats = field(init=False)
    shares: Floats = field(init=False)
    came: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        n, m = len(self.test), len(self.pipeline.models)
        self.quality, self.spent = np.full(n, np.nan), np.zeros(n)
        self.shares, self.came = np.zeros((n, m)), delivered(self.test)

    async def all(self, tell: Callable[[float], None]) -> None:
        answer = self.pipeline.solver()
        async with self.pipeline.lifespan():
            for rows in batches(len(self.test)):
                queries = self.test.queries[rows]
                known = None if self.test.embeddings is None else self.test.embeddings[rows]
                decisions = self.pipeline.decide(queries, known)
                for start in range(0, len(queries), _AT_ONCE):
                    some = range(start, min(start + _AT_ONCE, len(queries)))
                    await asyncio.gather(
                        *(self._one(answer, rows.start + i, decisions[i]) for i in some)
                    )
                    tell((rows.start + some.stop) / len(self.test))

    async def _one(self, answer: Solve, row: int, decision: Decision) -> None:
        """Run one query and note what it came to."""
        pool = {model.name: model for model in self.router.models}
        columns = {name: column for column, name in enumerate(self.test.models)}
        calls = {name: self._caller(row, name, columns.get(name)) for name in pool}
        fallbacks = self.router.config.router.fallbacks
        session = _Session(self.pipeline, pool, calls, fallbacks, decision)
        shown: list[Chunk] = []
        try:
            async with aclosing(answer(session, decision.query)) as chunks:
                shown = [chunk async for chunk in chunks if chunk.kind == "text"]
        except CallError:
            self.spent[row] = np.nan  # no answer, so no price of one, as along a ranking
            return
        column = self._column(shown, session, columns)
        if column is not None:
            self.quality[row] = self.test.quality[row, column]
            if column < self.shares.shape[1]:
                self.shares[row, column] = 1.0

    def _column(
        self, shown: Sequence[Chunk], session: Session, columns: Mapping[str, int]
    ) -> int | None:
        """Return which cell the user saw last: by its mark, by its text, or as the last step."""
        for chunk in reversed(shown):
            if chunk.text and chunk.event and _MARK in chunk.event:
                return int(chunk.event[_MARK])
        text = "".join(chunk.text for chunk in shown)
        steps = [step for step in session.steps if step.error is None and step.model in columns]
        same = [step for step in steps if step.text == text]
        routable = {model.name for model in self.pipeline.models}
        last = same or [step for step in steps if text and step.model in routable]
        return columns[last[-1].model] if last else None

    def _caller(self, row: int, name: str, column: int | None) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            if column is None or not self.test.status[row, column]:
                self.missing.add(f"'{name}'")
                raise NoRecording(f"model '{name}' was not asked this query", model=name)
            cost = self.costs[row, column]
            if not self.came[row, column]:
                self.spent[row] += np.nan_to_num(cost, nan=0.0)
                raise Unavailable(f"the recorded call of model '{name}' failed", model=name)
            self.spent[row] += cost
            text = self.texts.get((self.test.ids[row], name), name)
            yield Chunk(text=text, event={_MARK: column, "score": self.test.quality[row, column]})
            yield Chunk(finish="stop", usage=self._usage(row, column))

        return call

    def _usage(self, row: int, column: int) -> Usage:
        read, written = (
            np.nan_to_num(values[row, column], nan=0.0)
            for values in (self.test.input_tokens, self.test.output_tokens)
        )
        cost, seconds = self.costs[row, column], self.test.latency[row, column]
        return Usage(
            input_tokens=round(read),
            output_tokens=round(written),
            cost=None if np.isnan(cost) else float(cost),
            seconds=0.0 if np.isnan(seconds) else float(seconds),
        )


class _Session(Session):
    """A session that knows the decision of its own query, and decides others at once."""

    def __init__(
        self,
        pipeline: Pipeline,
        models: Any,
        calls: Mapping[str, Call],
        fallbacks: int,
        known: Decision,
    ) -> None:
        super().__init__(pipeline, models, calls, fallbacks)
        self._known = known

    async def decide_all(self, queries: Sequence[Query]) -> list[Decision]:
        """Return one decision per query; that of the session's own query was taken before."""
        own = [query == self._known.query for query in queries]
        others = [query for query, mine in zip(queries, own, strict=True) if not mine]
        decided = iter(self._pipeline.decide(others))
        decisions = [self._known if mine else next(decided) for mine in own]
        if self.decision is None and decisions:
            self.decision = decisions[0]
        return decisions

    async def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d), computed here: there is no loop to keep free."""
        return self._pipeline.embed(queries)
