"""Spans that never fail what they trace, and are ended by whatever ends it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from llmrouter_core import Chunk, __version__

from llmrouter_plugin_otel import names

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Value: TypeAlias = str | bool | int | float | Sequence[str]
Attributes: TypeAlias = Mapping[str, Value]

LOGGER = logging.getLogger("llmrouter.otel")


@cache
def tracer() -> Tracer:
    """Return whoever makes the spans; it does so for the provider that is set by then.

    OpenTelemetry is imported here, so that importing and composing a router do without.
    """
    from opentelemetry import trace

    return trace.get_tracer(names.SCOPE, __version__)


@cache
def _warn(reason: str) -> None:
    LOGGER.warning("a span is incomplete: %s; answers are not affected", reason)


@contextmanager
def _unfailing() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a trace never fails what it traces
        _warn(type(error).__name__)


class Traced:
    """A span that is open, or nothing where none could be opened."""

    def __init__(self) -> None:
        self._span: Span | None = None
        self._context: Context | None = None
        self._attach: Callable[[Context], Token[Context]]
        self._detach: Callable[[Token[Context]], None]

    def open(self, name: str, *, client: bool, attributes: Attributes, parent: str | None) -> None:
        """Open the span beneath the current one, else beneath the `traceparent` that is given."""
        from opentelemetry import context, trace

        above = None if parent is None or _current() else _remote(parent)
        kind = trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL
        self._span = tracer().start_span(
            name, context=above, kind=kind, attributes=dict(attributes)
        )
        if self._span.get_span_context().is_valid:  # else nothing would be beneath it
            self._context = trace.set_span_in_context(self._span)
            self._attach, self._detach = context.attach, context.detach

    @property
    def recording(self) -> bool:
        """Whether anybody will read the attributes."""
        return self._span is not None and self._span.is_recording()

    def note(self, attributes: Callable[[], Attributes]) -> None:
        """Add attributes, which are computed only if anybody will read them."""
        with _unfailing():
            if self._span is not None and self._span.is_recording():
                self._span.set_attributes(dict(attributes()))

    def fail(self, error: BaseException, *, texts: bool) -> None:
        """Say that *error* ended it; its message may quote a prompt, so only with *texts*."""
        with _unfailing():
            if self._span is None:
                return
            from asyncio import CancelledError

            from opentelemetry.trace import Status, StatusCode

            if isinstance(error, GeneratorExit | CancelledError):
                self._span.set_attribute(names.ABANDONED, True)
                return
            kind = type(error).__name__
            status = getattr(error, "status", None)
            self._span.set_attribute(names.ERROR_TYPE, kind)
            if isinstance(status, int):
                self._span.set_attribute(names.STATUS, status)
            self._span.set_status(Status(StatusCode.ERROR, str(error) if texts else kind))

    def end(self) -> None:
        """End the span."""
        with _unfailing():
            if self._span is not None:
                self._span.end()

    async def next(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk | None:
        """Return the next chunk or None; only while it is made, this is the current span."""
        if self._context is None:
            return await anext(chunks, None)
        token = self._attach(self._context)
        try:
            return await anext(chunks, None)
        finally:
            self._detach(token)


@contextmanager
def traced(
    name: str,
    attributes: Callable[[], Attributes],
    *,
    client: bool = False,
    parent: str | None = None,
    texts: bool = False,
) -> Iterator[Traced]:
    """Yield a span, and end it when the block ends, whatever ends it.

    Args:
        name: Its name.
        attributes: What is known at its beginning, when it is decided whether to sample it.
        client: Whether it is a call to somebody else.
        parent: The `traceparent` to continue where there is no current span.
        texts: Whether messages of errors are recorded.
    """
    span = Traced()
    with _unfailing():
        span.open(name, client=client, attributes=attributes(), parent=parent)
    try:
        yield span
    except BaseException as error:
        span.fail(error, texts=texts)
        raise
    finally:
        span.end()


def _current() -> bool:
    from opentelemetry import trace

    return trace.get_current_span().get_span_context().is_valid


def _remote(parent: str) -> Context:
    """Return the context that a W3C `traceparent` names; a malformed one names none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, Any] = {"traceparent": parent}
    return TraceContextTextMapPropagator().extract(carrier)
