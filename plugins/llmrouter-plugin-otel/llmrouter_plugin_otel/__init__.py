"""Emit OpenTelemetry traces of every answer and every call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from time import perf_counter

from attrs import define, field
from llmrouter_core import Call, Chunk, Model, Query, Request, Session, Solve, Usage, hookimpl

from llmrouter_plugin_otel import facts, names
from llmrouter_plugin_otel.spans import LOGGER, Attributes, Value, traced, tracer
from llmrouter_plugin_otel.texts import Answering, of_messages

__all__ = ["OtelExtension"]


@define
class _Seen:
    """What the chunks of one call said."""

    model: Model
    texts: bool
    started: float = field(factory=perf_counter)
    first: float | None = None
    finish: str | None = None
    usage: Usage | None = None
    answer: Answering = field(factory=Answering)
    facts: dict[str, Value] = field(factory=dict)

    def take(self, chunk: Chunk) -> None:
        if self.first is None:
            self.first = perf_counter() - self.started
            self.facts |= facts.of_event(chunk.event)
        elif chunk.usage is not None:
            self.facts |= facts.of_event(chunk.event)
        self.finish = chunk.finish or self.finish
        self.usage = chunk.usage or self.usage
        if self.texts:
            self.answer.take(chunk)

    def attributes(self, request: Request) -> Attributes:
        found = {**self.facts, **facts.of_usage(self.model, self.usage)}
        if self.first is not None:
            found[names.RESPONSE_FIRST] = self.first
        if self.finish is not None:
            found[names.RESPONSE_FINISH] = (self.finish,)
        if self.texts:
            found[names.INPUT_MESSAGES] = of_messages(request.messages)
            found[names.OUTPUT_MESSAGES] = self.answer.message(self.finish)
        return found


@define(eq=False, kw_only=True)
class OtelExtension:
    """Give every answer a span, and every call a span beneath it.

    What makes and exports them is the application's: without an SDK of OpenTelemetry that is set
    up, nothing is recorded.

    Attributes:
        texts: Whether prompts, answers and messages of errors are recorded too.
    """

    texts: bool = False

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Trace every call of *model*."""
        inner = yield
        return inner and self._around_call(inner, model)

    def _around_call(self, inner: Call, model: Model) -> Call:
        name = f"{names.CHAT} {model.id}"

        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            seen = _Seen(model, self.texts)
            beginning = traced(
                name, lambda: facts.of_request(model, request), client=True, texts=self.texts
            )
            with beginning as span:
                watched = span.recording
                try:
                    async with aclosing(inner(request)) as chunks:
                        while (chunk := await span.next(chunks)) is not None:
                            if watched:
                                _take(seen, chunk)
                            yield chunk
                finally:
                    span.note(lambda: seen.attributes(request))

        return call

    @hookimpl(wrapper=True)
    def solve(self) -> Generator[None, Solve | None, Solve | None]:
        """Trace every answer, and put what happens on the way beneath it."""
        inner = yield
        return inner and self._around_solve(inner)

    def _around_solve(self, inner: Solve) -> Solve:
        async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            before = len(session.steps)
            answer = Answering()
            parent = query.facts.get("traceparent")

            def told() -> Attributes:
                steps = session.steps[before:]
                found = dict(facts.of_answer(steps, session.decision))
                if self.texts:
                    finish = steps[-1].finish if steps else None
                    found[names.INPUT_MESSAGES] = of_messages(query.request.messages)
                    found[names.OUTPUT_MESSAGES] = answer.message(finish)
                return found

            beginning = traced(
                names.SOLVE,
                lambda: facts.of_query(query),
                parent=parent if isinstance(parent, str) else None,
                texts=self.texts,
            )
            with beginning as span:
                watched = self.texts and span.recording
                try:
                    async with aclosing(inner(session, query)) as chunks:
                        while (chunk := await span.next(chunks)) is not None:
                            if watched:
                                _take(answer, chunk)
                            yield chunk
                finally:
                    span.note(told)

        return solve

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Import OpenTelemetry when the router opens, not within the first answer."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        tracer()
        yield


def _take(into: _Seen | Answering, chunk: Chunk) -> None:
    """Let *into* read a chunk, whose event may hold anything."""
    try:
        into.take(chunk)
    except Exception as error:  # noqa: BLE001 - a trace never fails what it traces
        LOGGER.debug("an event was not understood: %s", type(error).__name__)
