"""What the spans say, whom they belong to, and that they never get in the way."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from attrs import define, field
from llmrouter_core import (
    Call,
    Chunk,
    Floats,
    LLMRouter,
    Model,
    Price,
    Query,
    RateLimited,
    Request,
    Scores,
    Session,
    Solve,
    Usage,
    hookimpl,
)
from llmrouter_plugin_otel import OtelExtension, spans
from llmrouter_plugin_smallest_llm import SmallestLlmSelector
from opentelemetry import trace

pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

PRIVATE = "a private matter"
MODELS = (
    Model(name="small", id="lab/small-1", size=1, price=Price(input=1e6, output=1e6)),
    Model(name="large", size=2, caller="openai"),
)
EVENTS: list[dict[str, Any]] = [
    {"id": "c-1", "model": "small-1-0125", "choices": [{"delta": {"role": "assistant"}}]},
    {
        "choices": [],
        "usage": {
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    },
]


@define(eq=False, kw_only=True)
class Echo:
    """A caller that answers with the question; one model may be too busy."""

    name: str = "openai"
    busy: str = ""
    current: list[Any] = field(factory=list)

    @hookimpl
    def call(self, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            if model.name == self.busy:
                message = f"'{request.text}' came too soon"
                raise RateLimited(message, model=model.name, status=429)
            await asyncio.sleep(0)
            self.current.append(trace.get_current_span())
            yield Chunk(text=request.text, event=EVENTS[0])
            yield Chunk(finish="stop")
            yield Chunk(usage=Usage(input_tokens=3, output_tokens=2), event=EVENTS[1])

        return call


@define(eq=False, kw_only=True)
class Known:
    """A scorer that knows the quality of the first model only, and nothing of its latency."""

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> tuple[Scores, ...]:
        values = np.full((len(queries), len(models)), np.nan)
        quality: Floats = values.copy()
        quality[:, 0] = 0.75
        return Scores("quality", quality), Scores("latency", values)


def router_with(*parts: Any) -> LLMRouter:
    extensions = [part for part in parts if isinstance(part, OtelExtension)]
    others = [part for part in parts if not isinstance(part, OtelExtension)]
    if not any(isinstance(part, Echo) for part in others):
        others.append(Echo())
    return LLMRouter(
        models=MODELS,
        parts=[*(extensions or [OtelExtension()]), SmallestLlmSelector(), Known(), *others],
    )


def by_name(kept: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in kept.get_finished_spans()}


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# ---------------------------------------------------------------------------- what they say


def test_a_call_says_what_the_conventions_ask_for(kept: InMemorySpanExporter) -> None:
    """Whom it asked and how, what answered, what it used and why it ended."""
    payload = {
        "messages": [{"role": "user", "content": PRIVATE}],
        "temperature": 0,
        "max_tokens": 9,
        "seed": 4,
        "n": 2,
        "stop": "END",
        "top_p": True,
        "response_format": {"type": "json_schema", "json_schema": {"name": PRIVATE}},
    }
    with router_with() as router:
        router.route(payload)

    span = by_name(kept)["chat lab/small-1"]
    said = facts(span)
    assert 0 <= said.pop("gen_ai.response.time_to_first_chunk") < 10
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "default",
        "gen_ai.request.model": "lab/small-1",
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 4,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "c-1",
        "gen_ai.response.model": "small-1-0125",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 1,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "llmrouter.model": "small",
        "llmrouter.cost": 5.0,
    }
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET


def test_an_answer_says_what_was_decided_and_what_came_of_it(kept: InMemorySpanExporter) -> None:
    """The ranking, the chosen model's known scores, the reason and the sums."""
    with router_with() as router:
        router.route("hello", facts={"conversation": "c7"})

    span = by_name(kept)["llmrouter.solve"]
    assert facts(span) == {
        "gen_ai.conversation.id": "c7",
        "llmrouter.decision.ranking": ("small", "large"),
        "llmrouter.decision.model": "small",
        "llmrouter.decision.score.quality": 0.75,
        "llmrouter.decision.reason": "routed",
        "llmrouter.model": "small",
        "llmrouter.calls": 1,
        "llmrouter.cost": 5.0,
        "llmrouter.usage.input_tokens": 3,
        "llmrouter.usage.output_tokens": 2,
        "llmrouter.finish_reason": "stop",
    }
    assert span.kind is SpanKind.INTERNAL


def test_a_failed_call_is_an_error_and_a_saved_answer_is_none(kept: InMemorySpanExporter) -> None:
    """The error by its type and status; the answer by whom it fell back to."""
    with router_with(Echo(busy="small")) as router:
        router.route(PRIVATE)

    failed, answered, solve = kept.get_finished_spans()
    assert failed.name == "chat lab/small-1"
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "RateLimited"
    assert facts(failed)["error.type"] == "RateLimited"
    assert facts(failed)["http.response.status_code"] == 429
    assert "gen_ai.usage.input_tokens" not in facts(failed)
    assert facts(answered)["gen_ai.provider.name"] == "openai"
    assert solve.status.status_code is StatusCode.UNSET
    assert facts(solve)["llmrouter.decision.reason"] == "fallback"
    assert (facts(solve)["llmrouter.model"], facts(solve)["llmrouter.calls"]) == ("large", 2)
    assert "llmrouter.cost" not in facts(solve)  # nobody knows what the large one charges


def test_an_answer_that_fails_is_an_error_with_its_decision(kept: InMemorySpanExporter) -> None:
    """The error that the user sees ends the span."""
    parts = [OtelExtension(), SmallestLlmSelector(), Echo(busy="small")]
    with LLMRouter(models=MODELS[:1], parts=parts) as router, pytest.raises(RateLimited):
        router.route("hello")

    solve = by_name(kept)["llmrouter.solve"]
    assert facts(solve)["error.type"] == "RateLimited"
    assert facts(solve)["llmrouter.decision.model"] == "small"
    assert "llmrouter.decision.reason" not in facts(solve)


# ---------------------------------------------------------------------------- texts


def test_no_text_leaves_the_process_unless_asked(kept: InMemorySpanExporter) -> None:
    """Neither prompts nor answers nor the messages of errors that quote them."""
    with router_with(Echo(busy="small")) as router:
        router.route({"messages": [{"role": "user", "content": PRIVATE}], "user": PRIVATE})

    written = " ".join(span.to_json() for span in kept.get_finished_spans())
    assert len(kept.get_finished_spans()) == 3
    assert "private" not in written


def test_texts_are_recorded_as_messages_of_parts(kept: InMemorySpanExporter) -> None:
    """The conventions' own shape, for prompts and answers; errors then say why."""
    with router_with(OtelExtension(texts=True), Echo(busy="small")) as router:
        router.route(PRIVATE)

    failed, answered, solve = kept.get_finished_spans()
    assert failed.status.description == f"'{PRIVATE}' came too soon"
    for span in (answered, solve):
        parts = [{"type": "text", "content": PRIVATE}]
        assert json.loads(facts(span)["gen_ai.input.messages"]) == [
            {"role": "user", "parts": parts}
        ]
        assert json.loads(facts(span)["gen_ai.output.messages"]) == [
            {"role": "assistant", "parts": parts, "finish_reason": "stop"}
        ]


# ---------------------------------------------------------------------------- whom they belong to


def test_calls_are_beneath_their_answer_and_it_beneath_the_application(
    kept: InMemorySpanExporter,
) -> None:
    """What a call does itself, such as HTTP, is beneath the call."""
    echo = Echo()
    tracer = trace.get_tracer("application")
    with router_with(echo) as router, tracer.start_as_current_span("request") as request:
        router.route("hello")
        assert trace.get_current_span() is request

    found = by_name(kept)
    call, solve = found["chat lab/small-1"], found["llmrouter.solve"]
    assert call.parent is not None
    assert call.parent.span_id == solve.context.span_id
    assert solve.parent is not None
    assert solve.parent.span_id == request.get_span_context().span_id
    assert [span.get_span_context().span_id for span in echo.current] == [call.context.span_id]


def test_a_traceparent_among_the_facts_is_continued(kept: InMemorySpanExporter) -> None:
    """Where there is no current span; a malformed one starts a trace of its own."""
    with router_with() as router:
        router.route("hello", facts={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
        router.route("hello", facts={"traceparent": "nonsense"})

    first, second = (s for s in kept.get_finished_spans() if s.name == "llmrouter.solve")
    assert first.parent is not None
    assert f"{first.parent.trace_id:x}" == f"{first.context.trace_id:x}" == "a" * 32
    assert f"{first.parent.span_id:x}" == "b" * 16
    assert second.parent is None


def test_the_current_span_comes_before_a_traceparent(kept: InMemorySpanExporter) -> None:
    """The application knows better."""
    tracer = trace.get_tracer("application")
    with router_with() as router, tracer.start_as_current_span("request") as request:
        router.route("hello", facts={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})

    solve = by_name(kept)["llmrouter.solve"]
    assert solve.context.trace_id == request.get_span_context().trace_id


def test_answers_at_the_same_time_keep_their_calls_apart(kept: InMemorySpanExporter) -> None:
    """Calls made by tasks of a solver still belong to its answer."""

    @define(eq=False, kw_only=True)
    class BothAtOnce:
        @hookimpl
        def solve(self) -> Solve:
            async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
                await asyncio.gather(*(session.ask(model, query.request) for model in MODELS))
                yield Chunk(text=query.text)

            return solve

    async def ask_many() -> None:
        async with router_with(BothAtOnce()) as router:
            await asyncio.gather(*(router.aroute(f"question {i}") for i in range(10)))

    asyncio.run(ask_many())

    spans = kept.get_finished_spans()
    answers = {s.context.span_id for s in spans if s.name == "llmrouter.solve"}
    calls = [s.parent.span_id for s in spans if s.parent is not None]
    assert len(answers) == 10
    assert sorted(calls) == sorted([*answers, *answers])


def test_reading_a_stream_leaves_no_mark_on_the_reader() -> None:
    """Between two chunks the reader's own context is untouched."""

    async def read() -> list[bool]:
        async with router_with() as router, aclosing(router.astream("hello")) as chunks:
            return [trace.get_current_span().get_span_context().is_valid async for _ in chunks]

    assert asyncio.run(read()) == [False, False, False]


# ---------------------------------------------------------------------------- however it ends


def test_an_abandoned_answer_closes_its_spans_and_is_no_error(kept: InMemorySpanExporter) -> None:
    """Whoever stops reading has a reason of their own."""

    async def read_one() -> None:
        async with router_with() as router, aclosing(router.astream("hello")) as chunks:
            await anext(chunks)

    asyncio.run(read_one())

    assert [s.name for s in kept.get_finished_spans()] == ["chat lab/small-1", "llmrouter.solve"]
    for span in kept.get_finished_spans():
        assert facts(span)["llmrouter.abandoned"] is True
        assert span.status.status_code is StatusCode.UNSET
        assert "error.type" not in facts(span)


def test_a_cancelled_answer_closes_its_spans(
    kept: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of waiting, and without a complaint about contexts."""
    waiting = asyncio.Event()

    @define(eq=False, kw_only=True)
    class Never(Echo):
        @hookimpl
        def call(self, model: Model) -> Call:
            async def call(request: Request) -> AsyncGenerator[Chunk, None]:
                waiting.set()
                await asyncio.Event().wait()
                yield Chunk()

            return call

    async def cancel() -> None:
        async with router_with(Never()) as router:
            task = asyncio.create_task(router.aroute("hello"))
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())

    assert [facts(s)["llmrouter.abandoned"] for s in kept.get_finished_spans()] == [True, True]
    assert caplog.records == []


def test_a_tracer_that_fails_fails_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, without what it said."""

    class Broken:
        def start_span(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError(PRIVATE)

    spans._warn.cache_clear()
    monkeypatch.setattr(spans, "tracer", Broken)
    with router_with() as router:
        answers = [router.route("hello").text for _ in range(3)]

    assert answers == ["hello"] * 3
    assert [record.message for record in caplog.records] == [
        "a span is incomplete: RuntimeError; answers are not affected"
    ]


def test_strange_events_and_payloads_lose_nothing_but_attributes(
    kept: InMemorySpanExporter,
) -> None:
    """An event may hold anything."""

    @define(eq=False, kw_only=True)
    class Strange(Echo):
        @hookimpl
        def call(self, model: Model) -> Call:
            async def call(request: Request) -> AsyncGenerator[Chunk, None]:
                yield Chunk(text="a\ud800", event={"id": 1, "choices": [None], "usage": 7})
                yield Chunk(text="b", finish="stop", event={"choices": {"a": 1}, "model": []})

            return call

    payload = {"messages": [{"role": "user", "content": "hi"}], "stop": 7, "response_format": 1}
    with router_with(OtelExtension(texts=True), Strange()) as router:
        assert router.route(payload).text == "a\ud800b"

    said = facts(by_name(kept)["chat lab/small-1"])
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.response.id" not in said
    assert "gen_ai.request.stop_sequences" not in said
    [message] = json.loads(said["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": "a?b"}]


def test_without_an_sdk_nothing_is_recorded_and_nothing_breaks() -> None:
    """In a process of its own, as a provider is set for good; composing imports nothing."""
    code = """
import sys
from llmrouter_core import LLMRouter
config = {"selector": "smallest-llm", "caller": "sim", "extension": [{"use": "otel"}]}
router = LLMRouter(config)
router.decide("hi")
assert "opentelemetry" not in sys.modules
with router:
    assert router.route("hi").finish
assert "opentelemetry.sdk" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)

    assert (done.returncode, done.stderr) == (0, b"")
