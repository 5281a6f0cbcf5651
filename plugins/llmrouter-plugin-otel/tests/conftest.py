"""An SDK that keeps every span, set up as an application would do it."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest


@cache
def _kept() -> Any:
    """Return where all spans of this process go: a provider is set once, and for good."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    provider, exporter = trace.get_tracer_provider(), InMemorySpanExporter()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def kept() -> Iterator[Any]:
    """Where the spans of one test are kept."""
    exporter = _kept()
    exporter.clear()
    yield exporter
    exporter.clear()
