"""Write one JSON line for every embedding, score, selection, call and answer."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from attrs import converters, define, field
from llmrouter_core import (
    Answer,
    Call,
    Chunk,
    Floats,
    Ints,
    Model,
    Query,
    Request,
    Scores,
    Session,
    Solve,
    Step,
    Usage,
    hookimpl,
)

from llmrouter_plugin_trace.writer import FileWriter, LogWriter, Losses

Span: TypeAlias = dict[str, Any]

_solve: ContextVar[str | None] = ContextVar("llmrouter_trace_solve", default=None)
"""Id of the solve span whose work is running in this context."""


@define(eq=False, kw_only=True)
class TraceExtension:
    """Record what every hook did, how long it took and how it ended.

    Attributes:
        path: The file to append to; without one, lines go to the logger `llmrouter.trace`.
        texts: Whether prompts and answers are recorded too, and what errors say, which may quote
            them.
    """

    path: Path | None = field(default=None, converter=converters.optional(Path))
    texts: bool = False
    _losses: Losses = field(init=False, repr=False, factory=Losses)
    _writer: FileWriter | LogWriter = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._writer = LogWriter() if self.path is None else FileWriter(self.path, self._losses)

    @property
    def dropped(self) -> int:
        """How many spans could not be written."""
        return self._losses.dropped

    def flush(self) -> None:
        """Wait until the spans so far are written, for a few seconds at most."""
        self._writer.flush()

    @contextmanager
    def _span(self, what: str, **facts: Any) -> Iterator[Span]:
        """Yield the span of a hook, and write it when the block ends, whatever ends it."""
        span: Span = {
            "what": what,
            "id": os.urandom(8).hex(),
            "solve": _solve.get(),
            "when": datetime.now(UTC).isoformat(timespec="microseconds"),
            "seconds": 0.0,
            **facts,
        }
        started = perf_counter()
        try:
            yield span
        except BaseException as error:
            span["error"] = _told(error, texts=self.texts)
            raise
        finally:
            span["seconds"] = perf_counter() - started
            self._write(span)

    def _write(self, span: Span) -> None:
        try:
            self._writer.write(json.dumps(span, default=_plain, allow_nan=False))
        except Exception as error:  # noqa: BLE001 - a trace never fails what it traces
            self._losses.add(1, f"a span cannot be written: {type(error).__name__}")

    # ------------------------------------------------------------------ deciding

    @hookimpl(wrapper=True)
    def embed(self, queries: Sequence[Query]) -> Generator[None, Floats | None, Floats | None]:
        """Record the shape of the embeddings."""
        with self._span("embed", n=len(queries)) as span:
            found = yield
            span["shape"] = _shape(found)
        return found

    @hookimpl(wrapper=True)
    def score(
        self, queries: Sequence[Query], models: Sequence[Model]
    ) -> Generator[None, list[Any], list[Any]]:
        """Record which predictions were made, all scorers together."""
        with self._span("score", n=len(queries), m=len(models)) as span:
            found = yield
            span["scores"] = [getattr(one, "name", None) for one in _flat(found)]
        return found

    @hookimpl(wrapper=True)
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Generator[None, Ints | None, Ints | None]:
        """Record the shape of the ranking."""
        with self._span("select", n=len(queries), m=len(models), scores=list(scores)) as span:
            found = yield
            span["shape"] = _shape(found)
        return found

    # ------------------------------------------------------------------ answering

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Record every call of *model*."""
        inner = yield
        return inner and self._around_call(inner, model)

    def _around_call(self, inner: Call, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            texts: list[str] = []
            usage: Usage | None = None
            with self._span("call", model=model.name, first=None, finish=None) as span:
                started = perf_counter()
                try:
                    async with aclosing(inner(request)) as chunks:
                        async for chunk in chunks:
                            if span["first"] is None:
                                span["first"] = perf_counter() - started
                            span["finish"] = chunk.finish or span["finish"]
                            usage = chunk.usage or usage
                            if chunk.kind == "text":
                                texts.append(chunk.text)
                            yield chunk
                finally:
                    span |= _used(model, usage)
                    if self.texts:
                        span |= {"messages": request.messages, "text": "".join(texts)}

        return call

    @hookimpl(wrapper=True)
    def solve(self) -> Generator[None, Solve | None, Solve | None]:
        """Record every answer, and give its id to all that happens on the way."""
        inner = yield
        return inner and self._around_solve(inner)

    def _around_solve(self, inner: Solve) -> Solve:
        async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            texts: list[str] = []
            before = len(session.steps)
            with self._span("solve") as span:
                try:
                    async with aclosing(inner(session, query)) as chunks:
                        while (chunk := await _next(chunks, span["id"])) is not None:
                            if chunk.kind == "text":
                                texts.append(chunk.text)
                            yield chunk
                finally:
                    span |= _total(session.steps[before:])
                    if self.texts:
                        span |= {"query": query.text, "text": "".join(texts)}

        return solve

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Write what is still waiting when the router closes."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None, None]:
        import asyncio

        try:
            yield
        finally:
            await asyncio.to_thread(self.flush)


async def _next(chunks: AsyncGenerator[Chunk, None], solve: str) -> Chunk | None:
    """Return the next chunk or None; only while the solver works on it, *solve* encloses."""
    token = _solve.set(solve)
    try:
        return await anext(chunks, None)
    finally:
        _solve.reset(token)


def _used(model: Model, usage: Usage | None) -> Span:
    """Return what a call used; None is what nobody reported."""
    if usage is None:
        return {"input_tokens": None, "output_tokens": None, "cost": None}
    cost = usage.cost
    if cost is None and model.price is not None:
        cost = model.price.of(usage)
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": cost,
    }


def _total(steps: Sequence[Step]) -> Span:
    """Return what all calls of one answer used together."""
    answer = Answer(text="", steps=tuple(steps))
    return {
        "calls": len(steps),
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "cost": answer.cost,
        "finish": answer.finish,
    }


def _told(error: BaseException, *, texts: bool) -> Span:
    """Return what ended a span; what it says may quote a prompt, so only with *texts*."""
    if isinstance(error, GeneratorExit):
        return {"type": "GeneratorExit", "message": "abandoned by the reader"}
    found: Span = {"type": type(error).__name__}
    if isinstance(status := getattr(error, "status", None), int):
        found["status"] = status
    return {**found, "message": str(error)} if texts else found


def _shape(found: Any) -> list[int] | None:
    shape = getattr(found, "shape", None)
    return None if shape is None else list(shape)


def _flat(found: Sequence[Any]) -> Iterator[Any]:
    """Yield each prediction; a scorer returns one or a tuple of them."""
    for one in found:
        yield from one if isinstance(one, tuple) else (one,)


def _plain(value: Any) -> Any:
    """Return what JSON does not know as something it does."""
    return dict(value) if isinstance(value, Mapping) else str(value)
