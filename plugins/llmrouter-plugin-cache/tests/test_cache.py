"""What the cache extension keeps, and what it never does."""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from attrs import define, evolve, field
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
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_plugin_cache import CacheExtension
from llmrouter_plugin_cache.store import Store
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

MODEL = Model(name="small", price=Price(input=1e6, output=1e6))
USAGE = Usage(input_tokens=5, output_tokens=2, cost=7.0, seconds=3.0)
HELLO = (
    Chunk(text="hel", event=MappingProxyType({"delta": "hel"})),
    Chunk(text="lo"),
    Chunk(finish="stop", usage=USAGE),
)


@define(eq=False, kw_only=True)
class Scripted:
    """A caller that streams the same chunks each time and counts how often."""

    chunks: Sequence[Chunk] = HELLO
    fails: bool = False
    asked: int = 0

    @hookimpl
    def call(self, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked += 1
            for chunk in self.chunks:
                yield chunk
            if self.fails:
                raise Unavailable("it went away", model=model.name)

        return call


@define(eq=False, kw_only=True)
class Letters:
    """An embedder that counts letters, and records the batches it was given."""

    batches: list[list[str]] = field(factory=list)

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        self.batches.append([query.text for query in queries])
        rows = [[len(query.text), query.text.count("a")] for query in queries]
        return np.array(rows, dtype=np.float32)


@define(eq=False, kw_only=True)
class Reader:
    """A scorer that reads embeddings."""

    name: str = "quality"

    @hookimpl
    def score(self, models: Sequence[Model], embeddings: Floats) -> Scores:
        return Scores(self.name, np.repeat(embeddings[:, :1], len(models), axis=1))


def router_with(cache: CacheExtension, *parts: Any, models: Sequence[Model] = ()) -> LLMRouter:
    return LLMRouter(models=models or (MODEL,), parts=[cache, SmallestLlmSelector(), *parts])


def test_the_same_request_is_answered_from_memory_and_costs_nothing() -> None:
    """Text, tokens and finish are the same; cost and time are those of the second call."""
    cache, caller = CacheExtension(), Scripted()

    with router_with(cache, caller) as router:
        first, second = router.route("hi"), router.route("hi")

    assert caller.asked == 1
    assert (first.text, first.cost, first.seconds) == ("hello", 7.0, 3.0)
    assert (second.text, second.cost, second.finish) == ("hello", 0.0, "stop")
    assert (second.usage.input_tokens, second.usage.output_tokens) == (5, 2)
    assert second.seconds < 1
    assert (cache.hits["answers"], cache.misses["answers"]) == (1, 1)


def test_chunks_are_replayed_as_they_came() -> None:
    """The pieces of text and the provider's events are kept."""
    with router_with(CacheExtension(), Scripted()) as router:
        first, second = list(router.stream("hi")), list(router.stream("hi"))

    assert second[:2] == first[:2]
    assert second[0].event == {"delta": "hel"}
    assert second[2] == evolve(first[2], usage=evolve(USAGE, cost=0.0, seconds=None))


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.5},
        {"seed": 2},
        {"tools": [{"type": "function"}]},
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi"},
            ]
        },
    ],
)
def test_any_difference_in_the_payload_is_another_request(other: dict[str, Any]) -> None:
    """Nothing that a provider reads is left out of the key."""
    caller = Scripted()
    payload = {"messages": [{"role": "user", "content": "hi"}]}

    with router_with(CacheExtension(), caller) as router:
        router.route(payload)
        router.route({**payload, **other})

    assert caller.asked == 2


def test_the_order_of_keys_makes_no_difference() -> None:
    """Equal payloads are equal however they were written."""
    caller = Scripted()
    messages = [{"role": "user", "content": "hi"}]

    with router_with(CacheExtension(), caller) as router:
        router.route({"messages": messages, "seed": 1})
        router.route(
            {"seed": 1, "messages": [MappingProxyType({"content": "hi", "role": "user"})]}
        )

    assert caller.asked == 1


def test_models_do_not_share_answers() -> None:
    """The same request to another model is another call."""
    caller = Scripted()

    async def ask_both() -> None:
        models = [MODEL, Model(name="large")]
        async with router_with(CacheExtension(), caller, models=models) as router:
            session = router.session()
            for name in ("small", "large", "small"):
                await session.ask(name, Request.of("hi"))

    asyncio.run(ask_both())

    assert caller.asked == 2


def test_a_name_that_means_another_model_shares_no_answers() -> None:
    """Two routers with one cache may call different models by the same name."""
    cache, caller = CacheExtension(), Scripted()

    for model in (MODEL, evolve(MODEL, id="lab/small-2")):
        with router_with(cache, caller, models=[model]) as router:
            router.route("hi")

    assert caller.asked == 2


def test_a_payload_that_is_not_json_goes_straight_through() -> None:
    """It has no identity, so it is neither kept nor looked up."""
    cache, caller = CacheExtension(), Scripted()
    payload = {"messages": [{"role": "user", "content": "hi"}], "image": b"\x00"}

    with router_with(cache, caller) as router:
        router.route(payload)
        answer = router.route(payload)

    assert (answer.text, caller.asked) == ("hello", 2)
    assert cache.misses["answers"] == 0


def test_a_failed_answer_is_never_kept() -> None:
    """Not even if its last chunk looked complete."""
    caller = Scripted(fails=True)

    with router_with(CacheExtension(), caller) as router:
        for _ in range(2):
            with pytest.raises(Unavailable):
                router.route("hi")

    assert caller.asked == 2


def test_an_abandoned_answer_is_never_kept() -> None:
    """Whoever stops reading early leaves nothing behind."""
    caller = Scripted()

    async def read_one() -> None:
        async with router_with(CacheExtension(), caller) as router:
            async with aclosing(router.astream("hi")) as chunks:
                await anext(chunks)
            assert (await router.aroute("hi")).text == "hello"

    asyncio.run(read_one())

    assert caller.asked == 2


@pytest.mark.parametrize(("finish", "calls"), [("length", 2), ("stop", 1), ("tool_calls", 1)])
def test_only_a_complete_answer_is_kept(finish: str, calls: int) -> None:
    """An answer that was cut off by its limit is asked for again."""
    caller = Scripted(chunks=(Chunk(text="hello"), Chunk(finish=finish, usage=USAGE)))

    with router_with(CacheExtension(), caller) as router:
        router.route("hi")
        router.route("hi")

    assert caller.asked == calls


def test_an_answer_without_usage_is_not_priced_again() -> None:
    """Its tokens are estimated once, and cost nothing from memory."""
    caller = Scripted(chunks=(Chunk(text="hello you"), Chunk(finish="stop")))

    with router_with(CacheExtension(), caller) as router:
        first, second = router.route("hi"), router.route("hi")

    assert first.cost == 7.0  # 5 input tokens, 2 output tokens
    assert second.cost == 0.0
    assert second.usage == first.usage
    assert second.usage.estimated


def test_an_answer_ages() -> None:
    """After its time it is asked for again."""
    caller = Scripted()

    async def ask_thrice() -> None:
        async with router_with(CacheExtension(seconds=0.1), caller) as router:
            await router.aroute("hi")
            await router.aroute("hi")
            await asyncio.sleep(0.15)
            await router.aroute("hi")

    asyncio.run(ask_thrice())

    assert caller.asked == 2


def test_answers_can_be_switched_off() -> None:
    """Then the caller's own function is used."""
    caller = Scripted()

    with router_with(CacheExtension(answers=False), caller) as router:
        router.route("hi")
        router.route("hi")

    assert caller.asked == 2


def test_the_least_recently_used_goes_first() -> None:
    """Reading counts as use."""
    store: Store[int] = Store(2)
    store.put("a", 1)
    store.put("b", 2)
    store.get(["a"])
    store.put("c", 3)

    assert store.get(["a"]) == [1]
    assert store.get(["b"]) is None
    assert store.get(["c"]) == [3]


def test_a_store_holds_no_more_than_its_room() -> None:
    """Old values make room for a new one; one that is too large is not kept at all."""
    store: Store[str] = Store(100, math.inf, 10)
    for key in "abc":
        store.put(key, key, 4)
    store.put("b", "larger", 11)

    assert len(store) == 1
    assert store.get(["c"]) == ["c"]


def test_a_store_forgets_at_the_exact_time() -> None:
    """A value lives for less than its seconds."""
    now = [0.0]
    store: Store[int] = Store(2, 5.0, clock=lambda: now[0])
    store.put("a", 1)
    now[0] = 4.9

    assert store.get(["a"]) == [1]
    now[0] = 5.0
    assert store.get(["a"]) is None


def test_known_queries_are_not_embedded_again() -> None:
    """The embedder sees a text once, in whatever order it comes back."""
    cache, embedder = CacheExtension(), Letters()
    router = router_with(cache, embedder, Reader(), Scripted())
    first = router.pipeline.embed([Query(text="a"), Query(text="bb"), Query(text="banana")])
    second = router.pipeline.embed([Query(text="banana"), Query(text="a"), Query(text="a")])

    assert embedder.batches == [["a", "bb", "banana"]]
    assert second.dtype == np.float32
    assert second.tolist() == [first[2].tolist(), first[0].tolist(), first[0].tolist()]
    assert (cache.hits["embeddings"], cache.misses["embeddings"]) == (3, 3)


def test_a_batch_with_an_unknown_query_is_embedded_whole() -> None:
    """A wrapper cannot ask for the unknown ones alone."""
    embedder = Letters()
    router = router_with(CacheExtension(), embedder, Reader(), Scripted())
    router.decide("a")
    decisions = router.decide_all(["a", "bb"])

    assert embedder.batches == [["a"], ["a", "bb"]]
    assert [decision.scores["quality"].values[0] for decision in decisions] == [1, 2]


def test_changing_a_result_does_not_change_the_memory() -> None:
    """Every result is a new array."""
    router = router_with(CacheExtension(), Letters(), Reader(), Scripted())
    queries = [Query(text="a")]
    for _ in range(3):
        found = router.pipeline.embed(queries)
        found += 100

    assert router.pipeline.embed(queries).tolist() == [[1, 1]]


def test_embeddings_can_be_switched_off() -> None:
    """Then every query reaches the embedder."""
    embedder = Letters()
    router = router_with(CacheExtension(embeddings=0), embedder, Reader(), Scripted())
    router.decide("a")
    router.decide("a")

    assert embedder.batches == [["a"], ["a"]]


def test_a_cache_is_not_taken_for_an_embedder() -> None:
    """It is an extension, although it answers for the embedder what it knows."""
    router = router_with(CacheExtension(), Letters(), Reader(), Scripted())

    assert [part.kind for part in router.config.parts][:2] == ["extension", "selector"]


def test_a_config_caches_simulated_models() -> None:
    """The second answer is the first one, without its price and its time."""
    config = {"selector": "smallest-llm", "caller": "sim", "extension": "cache"}

    with LLMRouter(config) as router:
        first, second = router.route("hi"), router.route("hi")

    assert second.text == first.text
    assert first.cost
    assert second.cost == 0
