"""What the gateway promises: whoever answers, in one shape, and whatever fails, an answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Generator, Iterator

import pytest
from attrs import define
from llmrouter_core import (
    BadRequest,
    BudgetExceeded,
    CallError,
    Chunk,
    IncompleteStream,
    LLMRouter,
    Model,
    Query,
    RateLimited,
    Refused,
    Request,
    Session,
    Solve,
    TimedOut,
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_plugin_server.app import Route, ServerOptions

from .gateways import HELLO, POOL, KnobScorer, KnobSelector, Running, Script, ScriptCaller, polite


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    with Running() as running:
        yield running


@pytest.fixture
def served(shared: Running) -> Running:
    """A gateway that behaves, shared by the tests of this file: starting one takes a moment."""
    shared.behave()
    return shared


def failing(*errors: CallError, after: int = 0) -> Script:
    """Fail with each error in turn, *after* so many words, and then be polite."""
    left = list(errors)

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        for _ in range(after):
            yield Chunk(text="word ")
        if left:
            raise left.pop(0)
        async for chunk in polite(model, request):
            yield chunk

    return script


# ---------------------------------------------------------------------------- answers


def test_a_whole_answer_says_who_gave_it_and_what_it_cost(served: Running) -> None:
    found = served.chat()

    assert found.status == 200
    assert found.json["choices"][0]["message"]["content"] == "Good day."
    assert found.json["choices"][0]["finish_reason"] == "stop"
    assert found.json["usage"]["total_tokens"] == 5
    note = found.json["llmrouter"]
    assert note["model"] == found.headers["x-llmrouter-model"] == "small"
    assert note["reason"] == found.headers["x-llmrouter-reason"] == "routed"
    assert note["cost"] == pytest.approx(7e-6)  # 3 tokens at 1 and 2 at 2 dollars a million
    assert float(found.headers["x-llmrouter-cost"]) == pytest.approx(7e-6)
    assert note["id"] == found.headers["x-llmrouter-id"]
    assert note["scores"] == {
        "quality": {"small": 0.5, "large": 0.9},
        "cost": {"small": 0.001, "large": 0.02},
    }


def test_a_stream_has_the_words_in_order_a_note_and_an_end(served: Running) -> None:
    found = served.chat(stream=True)
    *events, last, done = found.events

    assert found.headers["content-type"].startswith("text/event-stream")
    assert found.headers["x-llmrouter-model"] == "small"
    assert [e["choices"][0]["delta"].get("content") for e in events] == ["Good ", "day."]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["llmrouter"]["cost"] == pytest.approx(7e-6)
    assert done == "[DONE]"
    assert not any("llmrouter" in event for event in events)


def test_usage_that_nobody_asked_for_is_not_an_event(served: Running) -> None:
    """A client that reads the first choice of every event would trip over it."""

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        yield Chunk(text="Hi", event={"choices": [{"index": 0, "delta": {"content": "Hi"}}]})
        yield Chunk(
            finish="stop",
            event={"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        )
        yield Chunk(
            usage=Usage(input_tokens=1, output_tokens=1), event={"choices": [], "usage": usage}
        )

    served.caller.script = script
    plain = served.chat(stream=True).events
    asked = served.chat(stream=True, stream_options={"include_usage": True}).events

    assert [bool(e["choices"]) for e in plain[:-1]] == [True, True]
    assert plain[-2]["llmrouter"]["model"] == "small"
    assert [bool(e["choices"]) for e in asked[:-1]] == [True, True, False]
    assert asked[-2]["usage"]["prompt_tokens"] == 1
    assert asked[-2]["llmrouter"]["cost"] == pytest.approx(3e-6)


def test_bytes_of_the_provider_pass_through(served: Running) -> None:
    """Odd spacing, unknown fields and escapes: only the note is added."""
    first = b'{ "choices":[{"index":0,"delta":{"content":"H\\u0069"}}] , "novel": 1.50 }'
    last = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]  }'

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text="Hi", event={"choices": [{}]}, data=first)
        yield Chunk(finish="stop", event={"choices": [{}]}, data=last)

    served.caller.script = script
    blocks = served.chat(stream=True).body.split(b"\n\n")

    assert blocks[0] == b"data: " + first
    assert blocks[1].startswith(b"data: " + last.rstrip()[:-1].rstrip())
    assert b'"llmrouter":' in blocks[1]
    assert blocks[2] == b"data: [DONE]"


def test_a_whole_answer_of_the_provider_passes_through(served: Running) -> None:
    whole = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}], "novel":1.50}\n'

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        event = {"choices": [{"message": {"content": "Hi"}}]}
        yield Chunk(text="Hi", finish="stop", event=event, data=whole)

    served.caller.script = script

    assert served.chat().body.startswith(whole.rstrip()[:-1] + b',"llmrouter":{')


def test_a_whole_answer_is_streamed_to_who_wants_a_stream(served: Running) -> None:
    """Such as one that was recorded."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    event = {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"content": "Hi", "tool_calls": [call]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1},
    }

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text="Hi", finish="stop", event=event, data=b"{}")

    served.caller.script = script
    event, done = served.chat(stream=True).events

    assert event["object"] == "chat.completion.chunk"
    assert event["choices"][0]["delta"] == {"content": "Hi", "tool_calls": [{"index": 0, **call}]}
    assert done == "[DONE]"


def test_an_answer_without_the_note_on_request() -> None:
    with Running(options=ServerOptions(insecure=True, annotate=False)) as served:
        assert "llmrouter" not in served.chat().json
        assert not any("llmrouter" in e for e in served.chat(stream=True).events[:-1])


# ---------------------------------------------------------------------------- which model


@pytest.mark.parametrize(
    ("fields", "headers", "model", "reason"),
    [
        ({}, {}, "small", "routed"),
        ({"model": "auto"}, {}, "small", "routed"),
        ({"model": "auto:cheap"}, {}, "small", "routed"),
        ({"model": "auto:best"}, {}, "large", "routed"),
        ({"model": "large"}, {}, "large", "pinned"),
        ({"model": "auto", "llmrouter": {"tradeoff": 0}}, {}, "large", "routed"),
        ({"model": "auto"}, {"x-llmrouter-tradeoff": "0.2"}, "large", "routed"),
        ({"llmrouter": {"tradeoff": 0.9}}, {"x-llmrouter-tradeoff": "0.2"}, "small", "routed"),
        ({"model": "auto:best", "llmrouter": {"tradeoff": 1}}, {}, "small", "routed"),
    ],
)
def test_the_request_says_how_to_route(
    served: Running, fields: dict[str, object], headers: dict[str, str], model: str, reason: str
) -> None:
    note = served.chat(headers=headers, **fields).json["llmrouter"]

    assert (note["model"], note["reason"]) == (model, reason)
    sent = served.caller.asked[-1][1].payload
    assert "llmrouter" not in sent
    assert b"llmrouter" not in getattr(sent, "source", b"")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "unknown"}, 404, "model_not_found"),
        ({"model": 3}, 404, "model_not_found"),
        ({"llmrouter": {"tradeoff": 2}}, 400, "bad_request"),
        ({"llmrouter": {"tradeoff": True}}, 400, "bad_request"),
        ({"llmrouter": {"tradeoff": "0.5"}}, 400, "bad_request"),
        ({"llmrouter": []}, 400, "bad_request"),
        ({"llmrouter": {"conversation": 7}}, 400, "bad_request"),
        ({"stream": "yes"}, 400, "bad_request"),
        ({"stream_options": 1}, 400, "bad_request"),
        ({"messages": []}, 400, "bad_request"),
        ({"messages": "Hello"}, 400, "bad_request"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "bad_request"),
        ({"user": 7}, 400, "bad_request"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    served: Running, fields: dict[str, object], status: int, code: str
) -> None:
    found = served.ask("/v1/chat/completions", {"messages": HELLO, **fields})

    assert (found.status, found.code) == (status, code)
    assert served.caller.asked == []


def test_headers_that_make_no_sense_are_refused(served: Running) -> None:
    for name, value in (("tradeoff", "much"), ("timeout", "0"), ("timeout", "soon")):
        assert served.chat(headers={f"x-llmrouter-{name}": value}).status == 400, name


def test_the_conversation_and_the_user_reach_the_parts(served: Running) -> None:
    served.chat(user="ada", headers={"x-llmrouter-conversation": "c1"})
    served.chat(llmrouter={"conversation": "c2"})

    seen = [(query.user, query.facts["conversation"]) for query in served.scorer.seen]
    assert seen == [("ada", "c1"), (None, "c2")]


def test_the_trace_of_a_request_reaches_the_parts(served: Running) -> None:
    """A malformed one is ignored, as W3C says."""
    right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"
    wrong = [right.upper(), right[:-1], right + "00", "ff" + right[2:], "", later + "x" * 300]
    for trace in (right, later, *wrong):
        assert served.chat(headers={"traceparent": trace}).status == 200
    seen = [query.facts.get("traceparent") for query in served.scorer.seen]

    assert seen == [right, later, *[None] * len(wrong)]


# ---------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("error", "status", "code", "wait"),
    [
        (BadRequest("no"), 400, "bad_request", None),
        (BudgetExceeded("no"), 429, "insufficient_quota", None),
        (RateLimited("no", retry_after=7.2), 429, "rate_limit_exceeded", "8"),
        (RateLimited("no"), 429, "rate_limit_exceeded", "1"),
        (Unavailable("no"), 502, "unavailable", None),
        (Unavailable("no", retry_after=2), 503, "unavailable", "2"),
        (TimedOut("no"), 504, "timeout", None),
        (Refused("no"), 502, "upstream_refused", None),
        (IncompleteStream("no"), 502, "incomplete_stream", None),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_every_error_has_its_status(
    served: Running, error: CallError, status: int, code: str, wait: str | None, stream: bool
) -> None:
    served.caller.script = failing(error)
    found = served.chat(model="small", stream=stream)

    assert (found.status, found.code) == (status, code)
    assert found.headers.get("retry-after") == wait
    assert found.json["error"]["message"] == "no"
    assert found.headers["x-llmrouter-id"]


@pytest.mark.parametrize("stream", [True, False])
def test_the_next_model_answers_where_the_first_fails(served: Running, stream: bool) -> None:
    served.caller.script = failing(Unavailable("down"))
    found = served.chat(stream=stream)
    note = found.events[-2]["llmrouter"] if stream else found.json["llmrouter"]

    assert (note["model"], note["reason"]) == ("large", "fallback")
    assert found.headers["x-llmrouter-model"] == "large"


def test_where_all_models_rest_the_client_is_told_when_to_come_back(served: Running) -> None:
    served.caller.script = failing(
        Unavailable("rests", retry_after=30), RateLimited("busy", retry_after=4)
    )
    found = served.chat()

    assert (found.status, found.headers["retry-after"]) == (503, "4")
    assert "rests" in found.json["error"]["message"]


def test_where_all_models_fail_alike_the_status_is_theirs(served: Running) -> None:
    served.caller.script = failing(TimedOut("late"), TimedOut("later"))
    assert served.chat().status == 504
    served.caller.script = failing(Unavailable("down"), Refused("no key"))
    assert (found := served.chat()).status == 502
    assert found.code == "all_models_failed"


def test_a_stream_that_breaks_says_so_and_never_ends_cleanly(served: Running) -> None:
    served.caller.script = failing(Unavailable("the line broke"), after=2)
    found = served.chat(stream=True)

    assert found.status == 200
    assert found.events[-1]["error"]["message"] == "the line broke"
    assert b"[DONE]" not in found.body
    assert found.body.count(b"word ") == 2


def test_a_bug_is_told_without_its_details(
    served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text=7)  # type: ignore[arg-type]

    served.caller.script = script
    found = served.chat(model="small")

    assert found.status in (500, 502)
    assert "Traceback" not in found.body.decode()


@pytest.mark.parametrize("stream", [True, False])
def test_a_router_that_fails_never_fails_the_request(served: Running, stream: bool) -> None:
    def wrong() -> None:
        raise ZeroDivisionError("a bug in a scorer")

    served.scorer.wrong = wrong
    found = served.chat(stream=stream)
    note = found.events[-2]["llmrouter"] if stream else found.json["llmrouter"]

    assert found.status == 200
    assert (note["model"], note["reason"]) == ("small", "router-failed")
    assert b'llmrouter_router_failures_total{error="BadResult"}' in served.ask("/metrics").body


def test_a_solver_that_fails_at_once_never_fails_the_request() -> None:
    """Before it returns anything that could be read."""

    @define(eq=False, kw_only=True)
    class Broken:
        @hookimpl(wrapper=True)
        def solve(self) -> Generator[None, Solve, Solve]:
            yield

            def fails(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
                raise ZeroDivisionError("a bug in an extension")

            return fails

    parts = [KnobScorer(), KnobSelector(), ScriptCaller(), Broken()]
    with Running(LLMRouter(models=POOL, parts=parts)) as served:
        note = served.chat().json["llmrouter"]

    assert (note["model"], note["reason"]) == ("small", "router-failed")


def test_a_router_that_hangs_never_fails_the_request() -> None:
    """And the default model may be chosen."""
    hanging = threading.Event()
    options = ServerOptions(insecure=True, decision=0.05, default_model="large")
    with Running(options=options) as served:
        served.scorer.wrong = lambda: hanging.wait(5) and None
        began = time.perf_counter()
        note = served.chat().json["llmrouter"]
        took = time.perf_counter() - began
        hanging.set()

    assert (note["model"], note["reason"]) == ("large", "router-failed")
    assert took < 1


def test_a_request_that_takes_too_long_is_ended(served: Running) -> None:
    ended = []

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        try:
            if request.payload.get("seed"):
                yield Chunk(text="a word")
            await asyncio.sleep(60)
        finally:
            ended.append(model.name)

    served.caller.script = script
    soon = {"x-llmrouter-timeout": "0.3"}
    plain = served.chat(model="small", headers=soon)
    streamed = served.chat(model="small", seed=1, stream=True, headers=soon)

    assert (plain.status, plain.code) == (504, "timeout")
    assert streamed.events[-1]["error"]["code"] == "timeout"
    assert ended == ["small", "small"]


# ---------------------------------------------------------------------------- crowds


def test_who_finds_no_place_waits_and_who_finds_no_queue_is_turned_away() -> None:
    gate = threading.Event()

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        await asyncio.to_thread(gate.wait, 5)
        async for chunk in polite(model, request):
            yield chunk

    options = ServerOptions(insecure=True, concurrent=1, queue=1, queue_seconds=5)
    with Running(options=options) as served:
        served.caller.script = script
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(served.chat().status)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        while served.ask("/v1/stats").json["waiting"] < 1:
            time.sleep(0.005)
        turned = served.chat()
        gate.set()
        for thread in threads:
            thread.join()
        stats = served.ask("/v1/stats").json

    assert (turned.status, turned.code, turned.headers["retry-after"]) == (429, "overloaded", "1")
    assert found == [200, 200]
    assert (stats["in_flight"], stats["waiting"], stats["shed"]) == (0, 0, 1)


def test_who_waits_too_long_is_turned_away() -> None:
    gate = threading.Event()

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        await asyncio.to_thread(gate.wait, 5)
        async for chunk in polite(model, request):
            yield chunk

    options = ServerOptions(insecure=True, concurrent=1, queue_seconds=0.02)
    with Running(options=options) as served:
        served.caller.script = script
        first = threading.Thread(target=served.chat)
        first.start()
        while served.ask("/v1/stats").json["in_flight"] < 1:
            time.sleep(0.005)
        turned = served.chat()
        gate.set()
        first.join()

        assert turned.status == 429
        assert served.chat().status == 200  # the place is free again


# ---------------------------------------------------------------------------- other endpoints


def test_the_models_are_the_virtual_ones_and_the_pool(served: Running) -> None:
    found = served.ask("/v1/models").json

    assert [m["id"] for m in found["data"]] == [
        "auto",
        "auto:cheap",
        "auto:best",
        "small",
        "large",
    ]
    assert served.ask("/v1/models/large").json["id"] == "large"
    assert served.ask("/v1/models/none").status == 404


def test_a_decision_asks_no_model(served: Running) -> None:
    found = served.ask("/v1/route", {"query": "Hello?", "llmrouter": {"tradeoff": 0.1}}).json

    assert found["ranking"] == ["large", "small"]
    assert found["models"][0]["quality"] == 0.5
    assert served.ask("/v1/route", {"messages": HELLO}).json["model"] == "small"
    assert served.ask("/v1/route", {"query": ""}).status == 400
    assert served.ask("/v1/route", {"model": "large", "query": "Hello?"}).status == 400
    assert served.caller.asked == []


def test_embeddings_are_the_router_s_own(served: Running) -> None:
    found = served.ask("/v1/embeddings", {"input": ["aab", "b"], "model": "auto"}).json
    packed = served.ask("/v1/embeddings", {"input": "aab", "encoding_format": "base64"}).json

    assert [row["embedding"] for row in found["data"]] == [[2.0, 1.0], [0.0, 1.0]]
    assert packed["data"][0]["embedding"] == "AAAAQAAAgD8="
    for wrong in ("", [], [1, 2], None, 7, [""]):
        assert served.ask("/v1/embeddings", {"input": wrong}).status == 400, wrong


def test_a_router_without_an_embedder_says_so() -> None:
    from .gateways import KnobSelector, ScriptCaller

    router = LLMRouter(models=POOL, parts=[KnobSelector(), ScriptCaller()])
    with Running(router) as served:
        assert served.ask("/v1/embeddings", {"input": "a"}).code == "no_embedder"


def test_metrics_count_what_happened() -> None:
    with Running() as served:
        served.chat()
        served.chat(stream=True)
        served.caller.script = failing(Unavailable("down"))
        served.chat()
        served.ask("/nowhere")
        text = served.ask("/metrics").body.decode()
        stats = served.ask("/v1/stats").json

    for line in (
        'llmrouter_requests_total{endpoint="/v1/chat/completions",status="200"} 3.0',
        'llmrouter_requests_total{endpoint="other",status="404"} 1.0',
        'llmrouter_answers_total{model="small"} 2.0',
        'llmrouter_failures_total{model="small"} 1.0',
        'llmrouter_tokens_total{direction="input",model="small"} 6.0',
        "llmrouter_fallbacks_total 1.0",
        "llmrouter_stream_events_total 2.0",
    ):
        assert line in text
    assert stats["models"]["small"]["answers"] == 2
    assert stats["models"]["small"]["failures"] == 1
    assert stats["cost"] == pytest.approx(2 * 7e-6 + 7e-5)
    assert stats["cost_largest"] == pytest.approx(3 * 7e-5)
    assert stats["fallbacks"] == 1


def test_counts_that_make_no_sense_do_not_end_the_metrics() -> None:
    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        usage = Usage(output_tokens=-3, cost=float("nan"))
        yield Chunk(text="Hi", finish="stop", usage=usage)

    with Running() as served:
        served.caller.script = script
        served.chat()
        stats = served.ask("/v1/stats").json
        assert stats["models"]["small"]["answers"] == 1
        assert served.ask("/metrics").status == 200


def test_metrics_that_cannot_be_kept_are_told_once_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, where workers share their counts."""
    monkeypatch.setattr("llmrouter_plugin_server.gateway._LOOK", 0.01)
    with Running() as served:
        settle, tried = served.gateway.metrics.settle, threading.Event()

        def full() -> None:
            if not tried.is_set():
                tried.set()
                raise OSError(28, "No space left on device")
            settle()

        served.gateway.metrics.settle = full  # type: ignore[method-assign]
        assert tried.wait(5)
        served.chat()
        ends = time.monotonic() + 5
        while served.gateway.metrics._counts and time.monotonic() < ends:
            time.sleep(0.01)
        assert not served.gateway.metrics._counts

    assert [row.getMessage() for row in caplog.records].count("metrics are lost") == 1


def test_a_path_or_a_method_that_is_not_there(served: Running) -> None:
    assert served.ask("/v1/nothing").status == 404
    assert served.ask("//v1/models").status == 404
    assert served.ask("/v1/%2e%2e/healthz").status == 404
    assert served.ask("/v1/chat/completions").status == 405
    assert served.ask("/v1/models", {}, method="POST").status == 405


def test_another_house_adds_pages(served: Running) -> None:
    async def page(scope, receive, send):  # type: ignore[no-untyped-def]
        body = scope["path"].encode()
        head = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    routes = [Route("/chat", page, open=True, below=True), Route("/private", page)]
    with Running(options=ServerOptions(), routes=routes) as closed:
        assert closed.ask("/chat/app.js").body == b"/chat/app.js"
        assert closed.ask("/chat").status == 200
        assert closed.ask("/chatter").status == 401
        assert closed.ask("/private").status == 401
    with Running(routes=routes) as opened:
        assert opened.ask("/private").status == 200


def test_health_needs_no_key_and_tells_nothing() -> None:
    with Running(options=ServerOptions()) as served:
        assert served.ask("/healthz").json == {"status": "ok"}
        assert served.ask("/readyz").json == {"status": "ready"}
        served.gateway.stopping = True
        assert served.ask("/readyz").status == 503
