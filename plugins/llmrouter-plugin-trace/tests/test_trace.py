"""What the trace extension records, and that it never gets in the way."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from attrs import define
from llmrouter_core import (
    Call,
    Chunk,
    Floats,
    LLMRouter,
    Model,
    Price,
    Query,
    Request,
    Scores,
    Session,
    Solve,
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_plugin_smallest_llm import SmallestLlmSelector
from llmrouter_plugin_trace import TraceExtension, _solve, writer

MODELS = (
    Model(name="small", size=1, price=Price(input=1e6, output=1e6)),
    Model(name="large", size=2),
)


@define(eq=False, kw_only=True)
class Echo:
    """A caller that answers with the question; one model may be down."""

    down: str = ""

    @hookimpl
    def call(self, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            if model.name == self.down:
                raise Unavailable(f"model '{model.name}' is down", model=model.name)
            await asyncio.sleep(0)
            yield Chunk(text=request.text)
            yield Chunk(finish="stop", usage=Usage(input_tokens=3, output_tokens=2))

        return call


@define(eq=False, kw_only=True)
class Lengths:
    """An embedder and a scorer in one."""

    name: str = "quality"

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        return np.array([[len(query.text)] for query in queries], dtype=np.float32)

    @hookimpl
    def score(self, models: Sequence[Model], embeddings: Floats) -> Scores:
        return Scores(self.name, np.repeat(embeddings, len(models), axis=1))


@define(eq=False, kw_only=True)
class BothAtOnce:
    """A solver that asks both models at the same time."""

    @hookimpl
    def solve(self) -> Solve:
        async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            steps = await asyncio.gather(*(session.ask(m, query.request) for m in MODELS))
            yield Chunk(text=" ".join(step.text for step in steps))

        return solve


def router_with(trace: TraceExtension, *parts: Any) -> LLMRouter:
    parts = parts or (Lengths(), Echo())
    return LLMRouter(models=MODELS, parts=[trace, SmallestLlmSelector(), *parts])


def spans(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_hook_leaves_a_span_that_names_the_answer_it_belongs_to(tmp_path: Path) -> None:
    """The lines of one query are joined by the id of its solve span."""
    path = tmp_path / "trace.jsonl"

    with router_with(TraceExtension(path=path)) as router:
        router.route("hello")

    lines = spans(path)
    assert [line["what"] for line in lines] == ["embed", "score", "select", "call", "solve"]
    solve = lines[-1]
    assert solve["solve"] is None
    assert {line["solve"] for line in lines[:-1]} == {solve["id"]}
    assert len({line["id"] for line in lines}) == 5


def test_a_span_says_when_how_long_and_how_much(tmp_path: Path) -> None:
    """Shapes for what decides; time, tokens, cost and finish for what answers."""
    path = tmp_path / "trace.jsonl"
    before = datetime.now(UTC)

    with router_with(TraceExtension(path=path)) as router:
        router.route("hello")

    embed, score, select, call, solve = spans(path)
    assert before <= datetime.fromisoformat(embed["when"]) <= datetime.now(UTC)
    assert (embed["n"], embed["shape"]) == (1, [1, 1])
    assert (score["n"], score["m"], score["scores"]) == (1, 2, ["quality"])
    assert (select["scores"], select["shape"]) == (["quality"], [1, 2])
    assert (call["model"], call["finish"], call["cost"]) == ("small", "stop", 5.0)
    assert (call["input_tokens"], call["output_tokens"]) == (3, 2)
    assert 0 <= call["first"] <= call["seconds"] <= solve["seconds"]
    assert (solve["calls"], solve["cost"], solve["finish"]) == (1, 5.0, "stop")


def test_texts_are_recorded_only_on_request(tmp_path: Path) -> None:
    """Prompts and answers are private unless the user says otherwise."""
    silent, open_ = tmp_path / "silent.jsonl", tmp_path / "open.jsonl"

    with router_with(TraceExtension(path=silent)) as router:
        router.route("a private matter")
    with router_with(TraceExtension(path=open_, texts=True)) as router:
        router.route("a private matter")

    assert "private" not in silent.read_text()
    call, solve = spans(open_)[-2:]
    assert call["messages"] == [{"role": "user", "content": "a private matter"}]
    assert call["text"] == solve["text"] == solve["query"] == "a private matter"


def test_what_an_error_says_is_recorded_only_on_request(tmp_path: Path) -> None:
    """A provider's message may quote the prompt."""
    said = []
    for texts in (False, True):
        path = tmp_path / f"{texts}.jsonl"
        with router_with(TraceExtension(path=path, texts=texts), Echo(down="small")) as router:
            router.route("hello")
        said.append(spans(path)[-3]["error"])

    assert said == [
        {"type": "Unavailable"},
        {"type": "Unavailable", "message": "model 'small' is down"},
    ]


def test_a_failure_is_recorded_by_type(tmp_path: Path) -> None:
    """The call that failed has the error; the answer that was saved by a fallback has none."""
    path = tmp_path / "trace.jsonl"

    with router_with(TraceExtension(path=path), Echo(down="small")) as router:
        router.route("hello")

    failed, answered, solve = spans(path)[-3:]
    assert failed["error"] == {"type": "Unavailable"}
    assert (failed["first"], failed["finish"], failed["cost"]) == (None, None, None)
    assert answered["model"] == "large"
    assert "error" not in answered
    assert "error" not in solve
    assert solve["calls"] == 2


def test_an_abandoned_answer_is_recorded(tmp_path: Path) -> None:
    """Whoever stops reading closes both spans."""
    path = tmp_path / "trace.jsonl"

    async def read_one() -> None:
        async with (
            router_with(TraceExtension(path=path)) as router,
            aclosing(router.astream("hello")) as chunks,
        ):
            await anext(chunks)

    asyncio.run(read_one())

    call, solve = spans(path)[-2:]
    assert call["error"]["message"] == solve["error"]["message"] == "abandoned by the reader"


def test_queries_at_the_same_time_keep_their_calls_apart(tmp_path: Path) -> None:
    """Calls made by tasks of a solver still belong to its answer."""
    path = tmp_path / "trace.jsonl"

    async def ask_many() -> None:
        async with router_with(TraceExtension(path=path, texts=True), Echo(), BothAtOnce()) as r:
            await asyncio.gather(*(r.aroute(f"question {i}") for i in range(10)))

    asyncio.run(ask_many())

    lines = spans(path)
    calls = {line["id"]: [] for line in lines if line["what"] == "solve"}
    for line in lines:
        if line["what"] == "call":
            calls[line["solve"]].append(line["text"])
    queries = {line["id"]: line["query"] for line in lines if line["what"] == "solve"}
    assert len(calls) == 10
    assert all(texts == [queries[id_]] * 2 for id_, texts in calls.items())


def test_reading_a_stream_leaves_no_mark_on_the_reader() -> None:
    """Between two chunks the reader's own context is untouched."""

    async def read() -> list[str | None]:
        marks = []
        async with (
            router_with(TraceExtension()) as router,
            aclosing(router.astream("hello")) as chunks,
        ):
            async for _ in chunks:
                marks.append(_solve.get())
        return marks

    assert asyncio.run(read()) == [None, None]


def test_tracing_does_not_ask_for_embeddings(tmp_path: Path) -> None:
    """A router whose scorers read none computes none."""
    path = tmp_path / "trace.jsonl"

    with router_with(TraceExtension(path=path), Echo()) as router:
        router.decide("hello")
        wanted = router.pipeline.wants_embeddings
        router.route("hello")

    assert not wanted
    assert "embed" not in {line["what"] for line in spans(path)}


def test_without_a_path_lines_go_to_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    """They are JSON there too."""
    with caplog.at_level(logging.INFO, "llmrouter.trace"), router_with(TraceExtension()) as router:
        router.route("100 % sure?")

    assert [json.loads(line)["what"] for line in caplog.messages][-1] == "solve"


def test_a_file_that_cannot_be_written_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Spans are dropped and counted, and one warning says why."""
    trace = TraceExtension(path=tmp_path / "missing" / "trace.jsonl")

    with router_with(trace) as router:
        answers = [router.route("hello").text for _ in range(3)]

    assert answers == ["hello"] * 3
    assert trace.dropped == 15
    assert len(caplog.records) == 1
    assert "missing/trace.jsonl cannot be written: No such file" in caplog.text


def test_a_disk_that_hangs_delays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When too many lines wait, further ones are dropped."""
    monkeypatch.setattr(writer, "_WAITING", 2)
    monkeypatch.setattr(writer, "_PATIENCE", 0.01)
    released = Event()
    monkeypatch.setattr(writer, "_append", lambda *_: released.wait(5))
    trace = TraceExtension(path=tmp_path / "trace.jsonl")

    with router_with(trace) as router:
        answers = [router.route("hello").text for _ in range(5)]
    released.set()

    assert answers == ["hello"] * 5
    assert trace.dropped >= 1
    assert "longer to write than to fill" in caplog.text


def test_what_is_not_json_is_described(tmp_path: Path) -> None:
    """A strange payload is written as text instead of being lost."""
    path = tmp_path / "trace.jsonl"
    message = {"role": "user", "content": "hi", "image": b"\x00"}

    with router_with(TraceExtension(path=path, texts=True)) as router:
        router.route([message])

    assert spans(path)[-2]["messages"][0]["image"] == "b'\\x00'"


def test_the_trace_of_decisions_is_written_when_asked(tmp_path: Path) -> None:
    """A router that only decides is never opened, so nothing closes it either."""
    path = tmp_path / "trace.jsonl"
    trace = TraceExtension(path=path)
    router_with(trace).decide_all(["a", "bb"])
    trace.flush()

    assert [(line["what"], line["n"], line["solve"]) for line in spans(path)] == [
        ("embed", 2, None),
        ("score", 2, None),
        ("select", 2, None),
    ]


def test_a_config_traces_simulated_models(tmp_path: Path) -> None:
    """The path is relative to the config."""
    config = tmp_path / "router.toml"
    config.write_text(
        'selector = "smallest-llm"\ncaller = "sim"\n'
        '[[extension]]\nuse = "trace"\npath = "trace.jsonl"\n'
    )

    with LLMRouter(config) as router:
        answer = router.route("hi")

    call, solve = spans(tmp_path / "trace.jsonl")[-2:]
    assert call["model"] == answer.model
    assert call["cost"] == solve["cost"] == pytest.approx(answer.cost)


def test_a_line_cut_short_by_a_full_disk_does_not_spoil_the_next(tmp_path: Path) -> None:
    """The next line that can be written starts on a line of its own."""

    class Disk(type(tmp_path)):  # type: ignore[misc]
        full = True

        def open(self, *arguments: Any, **options: Any) -> Any:
            file = super().open(*arguments, **options)
            if self.full:
                real = file

                class Full:
                    def __enter__(self) -> Any:
                        return self

                    def __exit__(self, *_: object) -> None:
                        real.close()

                    def write(self, content: bytes) -> None:
                        real.write(content[:4])
                        raise OSError(28, "No space left on device")

                return Full()
            return file

    path, losses = Disk(tmp_path / "trace.jsonl"), writer.Losses()

    torn = writer._append(path, ['{"a": 1}'], losses, torn=False)
    Disk.full = False
    torn = writer._append(path, ['{"b": 2}'], losses, torn=torn)
    writer._append(path, ['{"c": 3}'], losses, torn=torn)

    assert path.read_text().splitlines() == ['{"a"', '{"b": 2}', '{"c": 3}']
    assert losses.dropped == 1


def test_a_path_may_be_a_text_and_may_be_impossible(tmp_path: Path) -> None:
    """Parts composed in Python take a text for a path; one that no file can have loses spans."""
    good = TraceExtension(path=str(tmp_path / "trace.jsonl"))
    bad = TraceExtension(path="a\0b")

    for trace in (good, bad):
        with router_with(trace, Echo()) as router:
            router.route("hello")

    assert len(spans(tmp_path / "trace.jsonl")) == 4
    assert (good.dropped, bad.dropped) == (0, 4)
