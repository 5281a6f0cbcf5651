"""Rules for what answers or stands around answers: callers, solvers, extensions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

from attrs import define, field

from llmrouter_core.catalogue import VERBS
from llmrouter_core.hooks import Call, hookimpl
from llmrouter_core.testing.checks_part import manager_of
from llmrouter_core.testing.recording import RecordingSession, toy_part
from llmrouter_core.testing.rules import Unmet, check
from llmrouter_core.testing.subject import QUERIES, Subject, part_of
from llmrouter_core.testing.toys import EchoCaller, toy_dataset, toy_models
from llmrouter_core.types import Chunk, Model, Query, Request

ANSWERING = ("caller", "solver", "extension")
PATIENCE = 5.0  # seconds; a check that waits this long has failed


def calls(subject: Subject) -> bool:
    """Whether it answers calls, or wraps them."""
    return "call" in subject.hooks


def answers(subject: Subject) -> bool:
    """Whether it answers calls or queries, or wraps who does."""
    return bool({"call", "solve"} & subject.hooks.keys())


def decides(subject: Subject) -> bool:
    """Whether it has a say in decisions."""
    return bool({"embed", "score", "select"} & subject.hooks.keys())


def lives(subject: Subject) -> bool:
    """Whether it opens something."""
    return "lifespan" in subject.hooks


@check(("caller",))
def check_refuses_strangers(subject: Subject) -> None:
    """Return None for a model that names another caller."""
    stranger = Model(name="stranger", caller="somebody-else")
    bound = subject.pipeline(subject.build(), toys=False).bind([stranger])

    assert not bound, "it serves a model that belongs to another caller"


@check(("caller", "extension"), calls)
def check_calls_stream(subject: Subject) -> None:
    """Send at least one chunk, a finish reason, and what was used with the last chunk."""
    chunks = _run(_heard(subject, EchoCaller(), "call"))

    assert chunks, "it answered nothing"
    assert any(chunk.finish for chunk in chunks), "no chunk has a finish reason"
    assert chunks[-1].usage is not None, "the last chunk has no usage"


@check(("solver", "extension"), lambda subject: "solve" in subject.hooks)
def check_solving_streams(subject: Subject) -> None:
    """Answer a query with text."""
    caller = EchoCaller(answer="The answer is 42.")
    chunks = _run(_heard(subject, caller, "solve"))

    assert any(chunk.text and chunk.kind == "text" for chunk in chunks), "it answered no text"


@check(("extension",), calls)
def check_events_pass_through(subject: Subject) -> None:
    """Keep the provider's own events in the chunks it relays, in order."""
    bare = EchoCaller()._stream(_query().request)
    expected = _run(_all(bare))
    found = _run(_heard(subject, EchoCaller(), "call"))
    events = [chunk.event for chunk in found if chunk.event is not None]

    assert events == [chunk.event for chunk in expected], "events were lost or changed"


@check(ANSWERING, answers)
def check_early_close_closes_the_inner_stream(subject: Subject) -> None:
    """Close all that is beneath at once when the reader stops; leave no task behind."""

    async def stop_early() -> None:
        caller = EchoCaller()
        async with _streams(subject, caller) as streams:
            before = asyncio.all_tasks()
            for stream in streams:
                await anext(stream, None)
                await stream.aclose()
                assert caller.opened == caller.closed, "the inner stream is still open"
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= before, "a task is still running"

    _run(stop_early())


@check(ANSWERING, answers)
def check_cancellation_propagates(subject: Subject) -> None:
    """End as cancelled, and soon, when it is cancelled in the middle of an answer."""

    async def cancel() -> None:
        caller = _Hanging()
        own = subject.kind == "caller"
        async with _streams(subject, caller, bare=own) as streams:
            for stream in streams:
                ended = await (_thrown(stream) if own else caller.cancelled(stream))
                assert ended, "it went on although it was cancelled"

    _run(cancel())


@check(("extension",), answers)
def check_none_passes_through(subject: Subject) -> None:
    """Return None from a wrapper where nobody answers the call or the query."""
    hooks = manager_of(subject.build()).hook
    served = [hooks.call(model=model) for model in toy_models()]

    assert served == [None] * len(served), "it answers for a model that nobody serves"
    assert hooks.solve() is None, "it solves where there is no solver"


@check(("extension",), decides)
def check_decisions_stay_valid(subject: Subject) -> None:
    """Leave embeddings, scores and rankings in their shapes when it wraps or joins them."""
    decisions = subject.pipeline(subject.fitted()).decide(QUERIES)
    assert len(decisions) == len(QUERIES), f"{len(decisions)} decisions, not {len(QUERIES)}"


@check(("solver",))
def check_uses_only_session_verbs(subject: Subject) -> None:
    """Reach models only by the public verbs of its session."""

    async def solve() -> RecordingSession:
        async with _session(subject, EchoCaller()) as session:
            await _all(session.pipeline.solver()(session, _query()))  # type: ignore[arg-type]
            return session

    session = _run(solve())
    assert not session.strangers, f"it uses {', '.join(session.strangers)} of the session"


@check(tuple(VERBS), lives)
def check_lifespan_opens_twice(subject: Subject) -> None:
    """Open and close its lifespan, and then again; leave no task behind."""

    async def live() -> None:
        pipeline = subject.pipeline(subject.build())
        before = asyncio.all_tasks()
        for _ in range(2):
            async with pipeline.lifespan():
                pass
        assert asyncio.all_tasks() <= before, "a task is still running"

    _run(live())


# ---------------------------------------------------------------------------- helpers


@define(eq=False)
class _Hanging:
    """Sends one chunk, tells that it was reached, and then nothing more."""

    reached: asyncio.Event = field(factory=asyncio.Event)

    @hookimpl
    def call(self, model: Model) -> Call:
        return self._stream

    async def _stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text="well, ")
        self.reached.set()
        await asyncio.Event().wait()

    async def cancelled(self, stream: AsyncGenerator[Chunk, None]) -> bool:
        """Return whether *stream*, cancelled while it waits here, ends as cancelled."""
        self.reached.clear()
        task = asyncio.ensure_future(_all(stream))
        reached = asyncio.ensure_future(self.reached.wait())
        await asyncio.wait({task, reached}, timeout=PATIENCE, return_when="FIRST_COMPLETED")
        reached.cancel()
        if not self.reached.is_set():
            task.cancel()
            raise Unmet("it ended without calling a model")
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)
        return task.cancelled()


def _query() -> Query:
    """Return what callers and solvers are asked: the first query of the toy data set."""
    return toy_dataset().queries[0]


@asynccontextmanager
async def _session(subject: Subject, caller: Any) -> AsyncIterator[RecordingSession]:
    """Return an open session of *subject*'s part over *caller*, if it is not one itself."""
    part = subject.fitted()
    subject.pipeline(part)  # complains of a hook that is misused
    parts, offer = [part_of(subject, part)], getattr(part, "pool", None)
    models = tuple(offer()) if callable(offer) else ()
    if subject.kind != "caller":
        parts.append(toy_part("caller", caller, "inner"))
        known = {model.name for model in toy_models()}
        helpers = [model for model in subject.house.helpers() if model.name not in known]
        models = (*toy_models(), *helpers)
    session = RecordingSession(*parts, models=models or toy_models())
    async with session.pipeline.lifespan():
        yield session


@asynccontextmanager
async def _streams(
    subject: Subject, caller: Any, hook: str | None = None, *, bare: bool = False
) -> AsyncIterator[list[AsyncGenerator[Chunk, None]]]:
    """Return the streams by which *subject* answers, its own or those around *caller*.

    With *bare* a caller's own function is called, without what core wraps around it.
    """
    async with _session(subject, caller) as session:
        streams = []
        if "call" in subject.hooks and hook in (None, "call"):
            [model, *_] = session.models.values()
            if bare:
                call = manager_of(session.pipeline.parts[0].plugin).hook.call(model=model)
            else:
                call = session.pipeline.bind([model]).get(model.name)
            assert call, f"it does not serve the model '{model.name}'"
            streams.append(call(_query().request))
        if "solve" in subject.hooks and hook in (None, "solve"):
            streams.append(session.pipeline.solver()(session, _query()))  # type: ignore[arg-type]
        yield streams


async def _heard(subject: Subject, caller: Any, hook: str) -> list[Chunk]:
    async with _streams(subject, caller, hook) as [stream]:
        return await _all(stream)


async def _all(stream: AsyncGenerator[Chunk, None]) -> list[Chunk]:
    async with aclosing(stream) as chunks:
        return [chunk async for chunk in chunks]


async def _thrown(stream: AsyncGenerator[Chunk, None]) -> bool:
    """Return whether *stream* lets a cancellation through that meets it between two chunks."""
    await anext(stream, None)
    try:
        await stream.athrow(asyncio.CancelledError())
    except asyncio.CancelledError:
        return True
    except StopAsyncIteration:
        pass
    return False


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, timeout=12 * PATIENCE))
