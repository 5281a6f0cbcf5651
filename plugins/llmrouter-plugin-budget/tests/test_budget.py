"""What the budget extension refuses, and what it books."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from threading import Barrier, Thread
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import (
    AllModelsFailed,
    BudgetExceeded,
    Call,
    Chunk,
    ConfigError,
    LLMRouter,
    Model,
    Price,
    Request,
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_plugin_budget import BudgetExtension
from llmrouter_plugin_budget.ledger import Ledger
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

MILLION = 1_000_000.0  # a price of a dollar per token keeps the sums readable
DEAR = Model(name="dear", size=1, price=Price(output=MILLION))
THREE = Usage(output_tokens=3)
CHEAP = Model(name="cheap", size=2, price=Price(output=MILLION / 100))


@define(eq=False, kw_only=True)
class Scripted:
    """A caller that says "word " a number of times, then reports its usage, or fails."""

    words: int = 1
    usage: Usage | None = THREE
    fails_after: int | None = None
    asked: list[str] = field(factory=list)

    @hookimpl
    def call(self, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked.append(model.name)
            for word in range(self.words):
                if word == self.fails_after:
                    raise Unavailable("it went away", model=model.name)
                await asyncio.sleep(0)
                yield Chunk(text="word ")
            yield Chunk(finish="stop", usage=self.usage)

        return call


def router_with(budget: BudgetExtension, caller: Scripted, *models: Model) -> LLMRouter:
    return LLMRouter(models=models or (DEAR,), parts=[SmallestLlmSelector(), caller, budget])


def ask(limit: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": limit}


def test_a_call_that_fits_is_booked_at_what_it_really_used() -> None:
    """Ten tokens are reserved, three are used, and three are spent."""
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted()) as router:
        router.route(ask(10))

    assert (budget.spent, budget.reserved, budget.remaining) == (3, 0, 7)


def test_a_call_that_could_cost_more_than_is_left_is_never_sent() -> None:
    """The error names the limit, what is spent and what is needed."""
    budget, caller = BudgetExtension(dollars=10), Scripted()

    with router_with(budget, caller) as router:
        router.route(ask(10))
        with pytest.raises(BudgetExceeded, match=r"could cost \$8, but of the \$10 .* \$3 is sp"):
            router.route(ask(8))

    assert caller.asked == ["dear"]
    assert budget.spent == 3


def test_a_cheaper_model_may_still_fit() -> None:
    """The router falls back to the next model of the ranking."""
    caller = Scripted()

    with router_with(BudgetExtension(dollars=1), caller, DEAR, CHEAP) as router:
        answer = router.route(ask(50))

    assert answer.model == "cheap"
    assert caller.asked == ["cheap"]


def test_a_request_without_a_limit_reserves_the_expected_output() -> None:
    """The option, not the answer, decides whether such a call may start."""
    tight = BudgetExtension(dollars=10, expected_output=11)
    roomy = BudgetExtension(dollars=10, expected_output=10)

    with router_with(roomy, Scripted()) as router:
        router.route("hi")
    with router_with(tight, Scripted()) as router, pytest.raises(BudgetExceeded):
        router.route("hi")

    assert roomy.spent == 3


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none_reserves_the_expected_output(limit: int) -> None:
    """Some servers write "no limit" as 0 or -1, which must not free any money."""
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted()) as router, pytest.raises(BudgetExceeded):
        router.route(ask(limit))


def test_several_answers_need_several_reservations() -> None:
    """A request for n answers of a stated length can cost n times as much."""
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted()) as router, pytest.raises(BudgetExceeded, match=r"\$12"):
        router.route({**ask(6), "n": 2})


def test_the_billed_cost_counts_before_the_price() -> None:
    """Where the provider states dollars, those are booked, even beyond the reservation."""
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted(usage=Usage(output_tokens=3, cost=11.5))) as router:
        router.route(ask(5))

    assert (budget.spent, budget.remaining) == (11.5, 0)


def test_a_call_that_fails_before_its_first_chunk_costs_nothing() -> None:
    """Its whole reservation is released."""
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted(fails_after=0)) as router, pytest.raises(Unavailable):
        router.route(ask(10))

    assert (budget.spent, budget.reserved) == (0, 0)


def test_a_call_that_fails_midway_is_booked_by_estimate() -> None:
    """Four words of five characters are about five tokens."""
    budget = BudgetExtension(dollars=10)

    caller = Scripted(words=9, fails_after=4)

    with router_with(budget, caller) as router, pytest.raises(Unavailable):
        router.route(ask(10))

    assert (budget.spent, budget.reserved) == (5, 0)


def test_an_abandoned_call_is_booked_by_estimate() -> None:
    """Whoever stops reading pays for the input and for what was received."""
    model = Model(name="priced", price=Price(input=MILLION, output=MILLION))
    budget = BudgetExtension(dollars=100)

    async def read_two() -> None:
        router = router_with(budget, Scripted(words=9), model)
        async with router, aclosing(router.astream(ask(10))) as chunks:
            await anext(chunks)
            await anext(chunks)
            assert budget.reserved == 15  # 5 input tokens, 10 output tokens

    asyncio.run(read_two())

    assert (budget.spent, budget.reserved) == (7, 0)


def test_an_answer_without_usage_is_booked_by_estimate() -> None:
    """A provider that reports nothing is still paid."""
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted(words=4, usage=None)) as router:
        router.route(ask(10))

    assert budget.spent == 5


def test_a_model_without_a_price_is_refused_unless_allowed() -> None:
    """Its cost cannot be known beforehand, so only an explicit option lets it pass."""
    model = Model(name="unpriced")
    strict = BudgetExtension(dollars=1)
    lax = BudgetExtension(dollars=1, allow_unpriced=True)

    refused = pytest.raises(BudgetExceeded, match="has no price")
    with router_with(strict, Scripted(), model) as router, refused:
        router.route("hi")
    with router_with(lax, Scripted(usage=Usage(cost=2.0)), model) as router:
        router.route("hi")
        with pytest.raises(BudgetExceeded):  # what it billed used the budget up
            router.route("hi")

    assert (strict.spent, lax.spent) == (0, 2)


def test_a_free_model_fits_into_a_budget_that_is_used_up() -> None:
    """A local model goes on answering when the money is gone."""
    free = Model(name="free", size=9, price=Price())
    budget = BudgetExtension(dollars=10)

    with router_with(budget, Scripted(usage=Usage(cost=99.0)), DEAR) as router:
        router.route(ask(1))
    with router_with(budget, Scripted(), free) as router:
        answer = router.route("hi")

    assert answer.model == "free"


def test_tasks_at_the_same_time_cannot_overspend_together() -> None:
    """Of twenty calls that need three dollars each, three fit into ten."""
    budget, caller = BudgetExtension(dollars=10), Scripted(words=3)

    async def together() -> list[Any]:
        async with router_with(budget, caller) as router:
            calls = (router.aroute(ask(3)) for _ in range(20))
            return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(together())

    assert sum(isinstance(result, BudgetExceeded) for result in results) == 17
    assert len(caller.asked) == 3
    assert (budget.spent, budget.reserved) == (9, 0)


def test_threads_at_the_same_time_cannot_overspend_together() -> None:
    """The ledger is exact from any number of threads."""
    ledger, start = Ledger(0.5), Barrier(8)

    def spend() -> None:
        start.wait()
        for _ in range(500):
            if ledger.reserve(0.002):
                ledger.settle(0.002, 0.001)

    threads = [Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0.498 <= ledger.spent <= 0.5
    assert ledger.reserved == 0


@settings(max_examples=200, deadline=None)
@given(
    limit=st.floats(0.001, 10),
    calls=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=30),
    order=st.randoms(use_true_random=False),
)
def test_no_interleaving_passes_the_limit(
    limit: float, calls: list[tuple[float, float]], order: Any
) -> None:
    """While no call costs more than it reserved, spent and reserved stay within the limit."""
    ledger = Ledger(limit)
    waiting, under_way = list(calls), []
    allowed = round(limit * 1e12) / 1e12
    while waiting or under_way:
        if waiting and (not under_way or order.random() < 0.5):
            reserved, share = waiting.pop()
            if ledger.reserve(reserved):
                under_way.append((reserved, reserved * share))
        else:
            ledger.settle(*under_way.pop(order.randrange(len(under_way))))

        assert ledger.spent <= allowed
        assert ledger.spent + ledger.reserved <= allowed * (1 + 1e-12)

    assert ledger.reserved == 0


def test_a_budget_must_be_a_positive_sum() -> None:
    """Nothing, or infinitely much, is not a budget."""
    for dollars in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="dollars"):
            BudgetExtension(dollars=dollars)


def test_a_config_sets_the_limit_of_simulated_models() -> None:
    """A budget must be stated; a tiny one refuses every model, and an ample one is booked."""
    config: dict[str, Any] = {"selector": "smallest-llm", "caller": "sim", "extension": "budget"}

    with pytest.raises(ConfigError, match=r"'dollars' is missing @ extension\.budget"):
        LLMRouter(config)
    config["extension"] = {"use": "budget", "dollars": 1e-9}
    with LLMRouter(config) as router, pytest.raises(AllModelsFailed, match="could cost"):
        router.route("hi")
    config["extension"] = {"use": "budget", "dollars": 1}
    with LLMRouter(config) as router:
        answer = router.route("hi")
        [budget] = [p.plugin for p in router.config.parts if p.kind == "extension"]

    assert budget.spent == pytest.approx(answer.cost)


def test_no_number_is_too_large_to_be_held_against_a_budget() -> None:
    """Whatever a payload, a price or a bill says, the ledger stays a ledger."""
    budget = BudgetExtension(dollars=1e300)
    for unaffordable in (Model(name="dear", price=Price(output=1e308)), DEAR):
        small = BudgetExtension(dollars=5)
        caller = Scripted()

        with router_with(small, caller, unaffordable) as router, pytest.raises(BudgetExceeded):
            router.route(ask(10**400) | {"n": 10**400})

        assert (caller.asked, small.reserved) == ([], 0)

    with router_with(budget, Scripted(usage=Usage(cost=1e300))) as router:
        router.route(ask(1))

    assert budget.spent > 1e20
    assert budget.reserved == 0


def test_a_provider_cannot_pay_into_the_budget() -> None:
    """Less than nothing is booked as nothing."""
    budget = BudgetExtension(dollars=5)

    with router_with(budget, Scripted(usage=Usage(output_tokens=-3))) as router:
        router.route(ask(1))

    assert budget.spent == 0
