"""A session: the only door to the models, which counts every call."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from attrs import define, field

from llmrouter_core import (
    CallError,
    Chunk,
    ConfigError,
    IncompleteStream,
    LLMRouter,
    Model,
    Price,
    Query,
    Request,
    Session,
    Unavailable,
    Usage,
    hookimpl,
)

PRICE = Price(input=1.0, output=2.0)
REQUEST = Request.of("x" * 40)  # 10 tokens of text and 4 around it
Script = Callable[[Request], AsyncGenerator[Chunk, None]]


@define(eq=False, kw_only=True)
class Scripted:
    """Serve each model by the script of its name, and rank the pool as it is listed."""

    scripts: dict[str, Script]
    closed: list[str] = field(init=False, factory=list)

    @hookimpl
    def select(self, queries: Any, models: Any) -> Any:
        return np.tile(np.arange(len(models)), (len(queries), 1))

    @hookimpl
    def call(self, model: Model) -> Any:
        script = self.scripts.get(model.name)

        async def stream(request: Request) -> AsyncGenerator[Chunk, None]:
            try:
                async with aclosing(script(request)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            finally:
                self.closed.append(model.name)

        return stream if script else None


def says(*chunks: Chunk, error: BaseException | None = None) -> Script:
    async def script(request: Request) -> AsyncGenerator[Chunk, None]:
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk
        if error is not None:
            raise error

    return script


WORDS = (Chunk(text="12345678"), Chunk(kind="note", text="aside"), Chunk(text="9012"))
END = Chunk(finish="stop")


def session(script: Script, *, price: Price | None = PRICE) -> Session:
    models = [Model(name="a", price=price), Model(name="judge", price=price, routable=False)]
    part = Scripted(scripts={"a": script, "judge": script})
    return LLMRouter(models=models, parts=[part]).session()


def ask(found: Session, model: str = "a") -> Any:
    return asyncio.run(found.ask(model, REQUEST))


def test_a_call_becomes_a_step_priced_by_what_the_provider_reports() -> None:
    """Only text chunks are the answer; usage times price is the cost."""
    usage = Usage(input_tokens=1000, output_tokens=500)

    step = ask(session(says(*WORDS, Chunk(finish="length", usage=usage))))

    assert (step.model, step.text, step.finish, step.error) == (
        "a",
        "123456789012",
        "length",
        None,
    )
    assert step.usage == usage
    assert step.cost == pytest.approx(0.002)
    assert step.request is REQUEST
    assert 0 < step.seconds < 5


def test_a_bill_and_a_clock_of_the_provider_win() -> None:
    """What was billed or recorded is not computed again."""
    usage = Usage(input_tokens=1, output_tokens=1, cost=0.25, seconds=9.0)

    step = ask(session(says(END, Chunk(usage=usage))))

    assert (step.cost, step.seconds) == (0.25, 9.0)


def test_tokens_are_estimated_where_none_are_reported() -> None:
    """Four characters a token, and it is marked so."""
    step = ask(session(says(*WORDS, END)))

    assert step.usage == Usage(input_tokens=14, output_tokens=3, estimated=True)
    assert step.cost == pytest.approx((14 * 1 + 3 * 2) / 1e6)


def test_a_model_without_a_price_has_an_unknown_cost() -> None:
    """Unknown is not free."""
    assert ask(session(says(*WORDS, END), price=None)).cost is None


def test_an_answer_without_a_finish_is_incomplete_yet_counted() -> None:
    """The reader learns that the stream was cut, and the tokens are still paid."""
    found = session(says(*WORDS))

    with pytest.raises(IncompleteStream, match="model 'a' ended its answer") as caught:
        ask(found)

    [step] = found.steps
    assert caught.value.model == "a"
    assert step.finish is None
    assert "without a finish reason" in step.error
    assert step.cost == pytest.approx(20e-6)


@pytest.mark.parametrize("price", [PRICE, None])
def test_a_call_that_fails_before_a_word_costs_nothing(price) -> None:
    """Known or unknown price, nothing was delivered."""
    found = session(says(error=Unavailable("it is down", model="a")), price=price)

    with pytest.raises(Unavailable):
        ask(found)

    [step] = found.steps
    assert (step.cost, step.text, step.error) == (0.0, "", "it is down")


def test_a_call_that_fails_half_way_is_paid_for() -> None:
    """The text that came was generated, whatever happened then."""
    found = session(says(Chunk(text="12345678"), error=Unavailable("torn")))

    with pytest.raises(Unavailable):
        ask(found)

    [step] = found.steps
    assert (step.text, step.error, step.finish) == ("12345678", "torn", None)
    assert step.cost == pytest.approx((14 + 2 * 2) / 1e6)


def test_a_call_the_reader_abandons_is_paid_for_and_closed() -> None:
    """Leaving early closes the provider's stream at once."""
    part = Scripted(scripts={"a": says(*WORDS, END)})
    found = LLMRouter(models=[Model(name="a", price=PRICE)], parts=[part]).session()

    async def leave() -> list[str]:
        async with aclosing(found.stream("a", REQUEST)) as chunks:
            async for _ in chunks:
                break
        return list(part.closed)

    closed = asyncio.run(leave())

    [step] = found.steps
    assert closed == ["a"]
    assert (step.text, step.error) == ("12345678", "abandoned by the reader")
    assert step.cost == pytest.approx((14 + 2 * 2) / 1e6)


def test_a_cancelled_call_is_counted_too() -> None:
    """A deadline outside still leaves a step."""

    async def never(request: Request) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text="12345678")
        await asyncio.Event().wait()

    found = session(never)

    async def cancel() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await found.ask("a", REQUEST)

    asyncio.run(cancel())

    assert [step.error for step in found.steps] == ["CancelledError"]


def test_helpers_can_be_asked_but_are_never_ranked() -> None:
    """A judge serves a solver, by name or as a model."""
    found = session(says(Chunk(text="yes"), END))

    async def use() -> None:
        decision = await found.decide(Query(text="?"))
        assert [model.name for model in decision.ranking] == ["a"]
        await found.ask(found.models["judge"], REQUEST)
        await found.ask("judge", REQUEST)

    asyncio.run(use())

    assert [step.model for step in found.steps] == ["judge", "judge"]
    assert list(found.models) == ["a", "judge"]


def test_a_stranger_is_refused_with_what_there_is() -> None:
    """A solver's own mistake says what the pool has."""
    with pytest.raises(ConfigError, match="no model 'b'; the pool has: a, judge"):
        ask(session(says(END)), "b")


def test_calls_side_by_side_do_not_mix_their_steps() -> None:
    """Each `ask` returns its own step, however the streams interleave."""

    async def echo(request: Request) -> AsyncGenerator[Chunk, None]:
        for letter in request.text:
            await asyncio.sleep(0)
            yield Chunk(text=letter)
        yield END

    found = session(echo)
    texts = ["a" * n for n in (9, 3, 7, 1, 5)]

    async def together() -> list[Any]:
        return await asyncio.gather(*(found.ask("a", Request.of(text)) for text in texts))

    assert [step.text for step in asyncio.run(together())] == texts
    assert len(found.steps) == 5


def test_the_first_decision_is_kept_and_many_make_one_batch() -> None:
    """What explains the answer is what was decided first."""
    found = session(says(END))

    async def use() -> None:
        assert await found.decide_all([]) == []
        first, _ = await found.decide_all([Query(text="one"), Query(text="two")])
        await found.decide(Query(text="three"))
        assert found.decision is first

    asyncio.run(use())


def test_a_router_without_an_embedder_says_so() -> None:
    """Solvers that cluster need one."""
    with pytest.raises(ConfigError, match="no embedder"):
        asyncio.run(session(says(END)).embed([Query(text="?")]))


def test_call_errors_say_what_may_help() -> None:
    """Every error of a call tells whether to try again, and whether to go elsewhere."""
    assert all(
        isinstance(kind.again, bool) and isinstance(kind.elsewhere, bool)
        for kind in CallError.__subclasses__()
    )
