"""The router: composed from parts or a config, used from threads and loops at once."""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from attrs import define, field

from llmrouter_core import (
    Chunk,
    ConfigError,
    Dataset,
    DatasetError,
    LLMRouter,
    Model,
    Query,
    Request,
    Scores,
    Unavailable,
    hookimpl,
)


@define(eq=False, kw_only=True)
class First:
    """Rank the pool as it is listed."""

    @hookimpl
    def select(self, queries: Any, models: Any) -> Any:
        return np.tile(np.arange(len(models)), (len(queries), 1))


@define(eq=False, kw_only=True)
class Echo:
    """Say the model's name and the text, and count openings and open calls."""

    name: str = "echo"
    words: int = 1
    waits: bool = False
    failure: Exception | None = None
    opened: int = field(init=False, default=0)
    closed: int = field(init=False, default=0)
    running: int = field(init=False, default=0)
    started: threading.Event = field(init=False, factory=threading.Event)

    @hookimpl
    def call(self, model: Model) -> Any:
        if model.caller not in (None, self.name):
            return None

        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            self.running += 1
            self.started.set()
            try:
                if self.waits:
                    await asyncio.Event().wait()
                for _ in range(self.words):
                    yield Chunk(text=f"{model.name}:{request.text}")
                    await asyncio.sleep(0)
                yield Chunk(kind="note", text="aside")
                yield Chunk(finish="stop")
            finally:
                self.running -= 1

        return stream

    @hookimpl
    def lifespan(self) -> Any:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None, None]:
        if self.failure is not None:
            raise self.failure
        self.opened += 1
        try:
            yield
        finally:
            self.closed += 1


MODELS = [Model(name="a"), Model(name="b")]


def build(echo: Any, *parts: Any) -> LLMRouter:
    return LLMRouter(models=MODELS, parts=[First(), echo, *parts])


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llmrouter"]


# ---------------------------------------------------------------------------- composing


def test_deciding_opens_nothing() -> None:
    """No thread, no lifespan, no event loop."""
    echo = Echo()
    router = build(echo)

    decision = router.decide("Hello")
    router.close()

    assert [model.name for model in decision.ranking] == ["a", "b"]
    assert echo.opened == 0
    assert [
        d.query.text for d in router.decide_all(["x", [{"role": "user", "content": "y"}]])
    ] == ["x", "y"]
    assert repr(router) == "LLMRouter('parts', models=[a, b])"


def test_a_router_is_composed_from_a_dictionary() -> None:
    """Installed plugins go by their names."""
    config = {
        "model": {"small": {"size": 1.0}, "large": {"size": 9.0}},
        "selector": "smallest-llm",
        "caller": "sim",
    }

    with pytest.raises(ConfigError, match="no caller serves model 'small'"):
        LLMRouter(config)
    router = LLMRouter({"selector": "smallest-llm", "caller": "sim"})

    assert router.decide("Hello").model in router.models


def test_a_caller_may_bring_its_own_pool() -> None:
    """Where none is listed; one that is listed wins."""

    @define(eq=False, kw_only=True)
    class Offering(Echo):
        def pool(self) -> tuple[Model, ...]:
            return (Model(name="mine"), Model(name="judge", routable=False))

    with LLMRouter(parts=[First(), Offering()]) as router:
        assert [model.name for model in router.models] == ["mine", "judge"]
        assert router.route("?").model == "mine"
    assert build(Offering()).models == tuple(MODELS)


def test_a_class_is_not_an_instance() -> None:
    """The commonest slip has its own sentence."""
    with pytest.raises(TypeError, match="First is a class; did you forget the parentheses"):
        LLMRouter(models=MODELS, parts=[First])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give a config, or models and parts"),
        ({"source": {}, "parts": []}, "give a config, or models and parts"),
        (
            {"source": {"selector": "smallest-llm", "caller": "sim"}, "models": MODELS},
            "lists its own models",
        ),
    ],
)
def test_a_config_or_parts_but_not_both(arguments, message) -> None:
    """Two sources of one truth are refused."""
    with pytest.raises(TypeError, match=message):
        LLMRouter(**arguments)


@pytest.mark.parametrize(
    ("models", "parts", "message"),
    [
        ([], [First(), Echo()], "the pool is empty"),
        ([MODELS[0], MODELS[0]], [First(), Echo()], "two models have the same name"),
        ([Model(name="judge", routable=False)], [First(), Echo()], "no model is routable"),
        (MODELS, [Echo()], "no selector"),
        ([*MODELS, Model(name="c", caller="other")], [First(), Echo()], "serves model 'c'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(models, parts, message) -> None:
    """Before any query, with a next step."""
    with pytest.raises(ConfigError, match=message):
        LLMRouter(models=models, parts=parts)


def test_without_any_caller_it_decides_but_does_not_answer() -> None:
    """Asking it names what is missing."""
    with LLMRouter(models=MODELS, parts=[First()]) as router:
        assert router.decide("?").model.name == "a"
        with pytest.raises(ConfigError, match=r"no caller serves model 'a'; add a .caller.NAME."):
            router.route("?")


# ---------------------------------------------------------------------------- answering


def test_every_form_of_a_prompt_is_answered() -> None:
    """Text, messages, payload and query; notes are not part of the answer."""
    with build(Echo()) as router:
        for prompt in (
            "?",
            [{"role": "user", "content": "?"}],
            Query(text="?"),
            {"messages": [{"role": "user", "content": "?"}]},
        ):
            answer = router.route(prompt)
            assert str(answer) == "a:?"
        assert [chunk.text for chunk in router.stream("?")] == ["a:?", "aside", ""]
        assert answer.decision.model.name == answer.model == "a"


def test_it_works_inside_a_running_loop_too() -> None:
    """As in a notebook: the home is another thread's loop."""

    async def notebook() -> None:
        with build(Echo(words=3)) as router:
            assert router.route("?").text == "a:?" * 3
            assert len(list(router.stream("?"))) == 5
            assert (await router.aroute("?")).text == "a:?" * 3

    asyncio.run(notebook())


def test_many_threads_share_one_router() -> None:
    """32 threads ask 20 times each; one lifespan is opened, and every answer is right."""
    echo = Echo()
    router = build(echo)
    gate = threading.Barrier(32)

    def ask(thread: int) -> list[str]:
        gate.wait()
        return [str(router.route(f"{thread}.{turn}")) for turn in range(20)]

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(ask, range(32)))
    router.close()

    assert found == [[f"a:{thread}.{turn}" for turn in range(20)] for thread in range(32)]
    assert (echo.opened, echo.closed, echo.running) == (1, 1, 0)
    assert threads() == []


def test_two_loops_share_one_router() -> None:
    """Each in its own thread, one of them the router's home."""
    echo = Echo(words=40)
    router = build(echo)

    async def other() -> list[str]:
        answers = await asyncio.gather(*(router.aroute(str(turn)) for turn in range(10)))
        async with aclosing(router.astream("s")) as chunks:
            streamed = [chunk.text async for chunk in chunks if chunk.kind == "text"]
        return [*(answer.text for answer in answers), "".join(streamed)]

    async def home() -> None:
        async with router:
            elsewhere = asyncio.to_thread(lambda: asyncio.run(other()))
            mine, theirs, sync = await asyncio.gather(
                other(), elsewhere, asyncio.to_thread(lambda: str(router.route("t")))
            )
            assert mine == theirs == [*(f"a:{turn}" * 40 for turn in range(10)), "a:s" * 40]
            assert sync == "a:t" * 40

    asyncio.run(home())

    assert (echo.opened, echo.closed) == (1, 1)
    assert threads() == []


def test_one_router_serves_one_loop_after_another() -> None:
    """`asyncio.run` twice on the same router, with and without `async with`."""
    echo = Echo()
    router = build(echo)

    async def inside() -> str:
        async with router:
            return str(await router.aroute("?"))

    async def outside() -> str:
        return str(await router.aroute("?"))

    assert [asyncio.run(use()) for use in (inside, outside, outside)] == ["a:?"] * 3
    router.close()
    assert asyncio.run(inside()) == "a:?"
    assert echo.opened == echo.closed == 3


def test_blocking_the_loop_the_router_lives_on_is_refused() -> None:
    """`route` would wait for itself; the message says what to await."""

    async def use() -> None:
        async with build(Echo()) as router:
            with pytest.raises(RuntimeError, match="await aroute"):
                router.route("?")
            with pytest.raises(RuntimeError, match="iterate astream"):
                next(router.stream("?"))
            assert (await router.aroute("?")).text == "a:?"

    asyncio.run(use())


@pytest.mark.parametrize("inside", [True, False])
def test_cancelling_aroute_cancels_the_call(inside) -> None:
    """Whether the router lives on this loop or elsewhere."""
    echo = Echo(waits=True)
    router = build(echo)

    async def use() -> None:
        task = asyncio.create_task(router.aroute("?"))
        await asyncio.to_thread(echo.started.wait, 5)
        assert echo.running == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if not echo.running:
                break
            await asyncio.sleep(0.01)
        assert echo.running == 0

    async def live() -> None:
        async with router:
            await use()

    asyncio.run(live() if inside else use())
    router.close()


def test_closing_an_iterator_early_stops_the_call() -> None:
    """`break` is enough in sync code."""
    echo = Echo(words=10_000)
    with build(echo) as router:
        for _ in router.stream("?"):
            break
        assert echo.running == 0


def test_a_part_that_cannot_open_says_why_and_leaves_nothing() -> None:
    """Its own error, from every way of answering."""
    echo = Echo(failure=Unavailable("no such socket"))
    router = build(echo)

    async def enter() -> None:
        async with router:
            raise AssertionError("it must not open")

    with pytest.raises(Unavailable, match="no such socket"):
        router.route("?")
    with pytest.raises(Unavailable, match="no such socket"):
        asyncio.run(enter())
    assert threads() == []

    echo.failure = None
    assert router.route("?").text == "a:?"
    router.close()


def test_a_router_thrown_away_leaves_no_thread() -> None:
    """Used in one line, many times, and never closed; no warning, no wait, no thread."""
    echoes = [Echo() for _ in range(30)]

    for echo in echoes:
        assert build(echo).route("?").text == "a:?"
    gc.collect()
    for thread in threads():
        thread.join(5)

    assert threads() == []
    assert [echo.closed for echo in echoes] == [1] * 30


def test_a_session_asks_chosen_models() -> None:
    """Without any decision, inside `async with`."""

    async def use() -> None:
        async with build(Echo()) as router:
            step = await router.session().ask("b", Request.of("?"))
            assert step.text == "b:?"

    asyncio.run(use())


# ---------------------------------------------------------------------------- learning


@define(eq=False, kw_only=True)
class Mean:
    """Predict each model's mean score; reads embeddings so that they are computed."""

    name: str = "quality"
    means: Any = field(init=False, default=None)
    seen: Any = field(init=False, default=None)

    @hookimpl
    def score(self, queries: Any, models: Any, embeddings: Any) -> Any:
        if self.means is None:
            return None
        return Scores(self.name, np.tile(self.means, (len(queries), 1)))

    def fit(self, dataset: Dataset) -> "Mean":
        return self.restore({"means": dataset.quality.mean(axis=0), "seen": dataset.embeddings})

    def state(self) -> Any:
        return {"means": self.means, "seen": self.seen}

    def restore(self, state: Any) -> "Mean":
        fitted = Mean(name=self.name)
        fitted.means, fitted.seen = state["means"], state["seen"]
        return fitted


@define(eq=False, kw_only=True)
class Lengths:
    """Embed a text as its length."""

    batches: list[int] = field(init=False, factory=list)

    @hookimpl
    def embed(self, queries: Any) -> Any:
        self.batches.append(len(queries))
        return np.array([[len(query.text)] for query in queries], np.float32)


def outcomes(n: int = 3000) -> Dataset:
    return Dataset(
        queries=tuple(Query(text="x" * (1 + i % 7)) for i in range(n)),
        models=("b", "extra", "a"),
        quality=np.tile([0.2, 0.0, 0.8], (n, 1)),
        ids=tuple(map(str, range(n))),
    )


def test_fitting_returns_another_router_and_leaves_this_one() -> None:
    """Columns follow the pool, queries are embedded in batches, progress runs to the end."""
    lengths, shares = Lengths(), []
    router = build(Echo(), lengths, Mean())

    fitted = router.fit(outcomes(), progress=shares.append)

    assert router.decide("?").scores == {}
    assert fitted.decide("?").scores["quality"].values.tolist() == pytest.approx([0.8, 0.2])
    assert max(lengths.batches) <= 1024
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    fitted.route("?")
    fitted.close()


def test_a_model_without_outcomes_is_named() -> None:
    """Before anything is embedded."""
    lengths = Lengths()
    router = LLMRouter(
        models=[*MODELS, Model(name="new")], parts=[First(), Echo(), lengths, Mean()]
    )

    with pytest.raises(
        DatasetError, match="no outcomes for new; the data has scores of: b, extra, a"
    ):
        router.fit(outcomes())

    assert lengths.batches == []


def test_an_interrupted_route_ends_its_call() -> None:
    """Who presses Ctrl-C pays for no answer that nobody will read."""
    caller = Echo(waits=True)

    def interrupt() -> None:
        caller.started.wait(5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with LLMRouter(models=[Model(name="a")], parts=[First(), caller]) as router:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            router.route("hi")
        thread.join()
        assert asyncio.run(_settled(caller))


async def _settled(caller: Echo) -> bool:
    """Return whether no call of *caller* is running any more, soon at the latest."""
    for _ in range(500):
        if not caller.running:
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LLMRouter(3), "a config is a path or a dictionary, not int"),
        (lambda: LLMRouter(models=MODELS, parts=[3]), "int has no method marked @hookimpl"),
        (lambda: build(Echo()).decide_all("abc"), "decide_all takes a list of prompts"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(make: Any, message: str) -> None:
    """A text is no list of prompts, a number no part and no config."""
    with pytest.raises(TypeError, match=message):
        make()
