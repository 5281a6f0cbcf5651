"""What a gateway adds to a config that leaves it out: retries, circuits, and who can answer."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import define, evolve
from llmrouter_core import (
    Chunk,
    Ints,
    LLMRouter,
    Model,
    Query,
    RateLimited,
    Request,
    Unavailable,
    hookimpl,
)
from llmrouter_plugin_breaker import BreakerExtension
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_rules import RulesScorer
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.composing import composed

from .gateways import POOL, KnobScorer, KnobSelector, Running, ScriptCaller, polite

OPTIONS = ServerOptions(insecure=True)
CONFIG = {"selector": "smallest-llm", "caller": "sim"}
KNOWN = {"model": {"a": {"id": "sim-tiny", "context": 1000}}}


def names(router: LLMRouter, kind: str = "extension") -> list[str]:
    return [part.name for part in router.config.parts if part.kind == kind]


@define(eq=False, kw_only=True)
class OnlySelector:
    """Ranks the one model there is."""

    @hookimpl
    def select(self, queries: Sequence[Query]) -> Ints:
        return np.zeros((len(queries), 1), dtype=np.intp)


def one_model() -> Running:
    """A gateway of one deployment, without waits between attempts."""
    parts = [OnlySelector(), caller := ScriptCaller(), RetryExtension(base=0.0)]
    running = Running(LLMRouter(models=POOL[:1], parts=parts), OPTIONS, composed=True)
    running.caller = caller
    return running


async def down(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
    raise Unavailable(f"{model.name} is down")
    yield Chunk()


# ---------------------------------------------------------------------------- what is added


@pytest.mark.parametrize(
    ("listed", "order", "added"),
    [
        ([], ["retry", "breaker"], ("retry", "breaker")),
        (["trace"], ["trace", "retry", "breaker"], ("retry", "breaker")),
        (["cache", "budget"], ["cache", "retry", "budget", "breaker"], ("retry", "breaker")),
        (["breaker"], ["retry", "breaker"], ("retry",)),
        (["retry"], ["retry", "breaker"], ("breaker",)),
        (["breaker", "retry"], ["breaker", "retry"], ()),
    ],
)
def test_what_a_config_leaves_out_is_put_where_it_belongs(
    listed: list[str], order: list[str], added: tuple[str, ...]
) -> None:
    """The first is outermost: retries are around circuits and budgets, circuits innermost."""
    extensions: list[Any] = [{"use": name} for name in listed]
    for table in extensions:
        if table["use"] == "budget":
            table["dollars"] = 1.0
    router = LLMRouter({**CONFIG, "extension": extensions, "model": {"a": {"id": "sim-tiny"}}})
    found, names_added = composed(router, OPTIONS)

    assert (names(found), names_added) == (order, added)
    assert names(router) == listed


def test_each_can_be_left_out() -> None:
    router = LLMRouter({**CONFIG, **KNOWN})
    assert composed(router, OPTIONS)[1] == ("retry", "breaker", "capabilities")
    for field in ("retry", "breaker", "capabilities"):
        _, added = composed(router, evolve(OPTIONS, **{field: False}))
        assert field not in added
        assert len(added) == 2
    none = evolve(OPTIONS, retry=False, breaker=False, capabilities=False)
    assert composed(router, none) == (router, ())


def test_what_is_listed_keeps_its_options_and_what_was_learned_is_kept() -> None:
    own = BreakerExtension(failures=2)
    parts = [KnobScorer(), KnobSelector(), ScriptCaller(), own, RulesScorer(context=False)]
    router = LLMRouter(models=[evolve(POOL[0], context=9)], parts=parts)
    found, added = composed(router, OPTIONS)

    assert added == ("retry",)
    assert set(map(id, parts)) <= {id(part.plugin) for part in found.config.parts}


@pytest.mark.parametrize(
    ("table", "added"),
    [
        ({}, False),
        ({"context": 10}, True),
        ({"tags": ["vision"]}, True),
        ({"tags": ["region:eu"]}, True),
        ({"tags": ["fast"]}, False),
        ({"tags": ["vision"], "routable": False}, False),
    ],
)
def test_the_filter_is_added_where_something_is_known(table: dict[str, Any], added: bool) -> None:
    pool = {"a": {"id": "sim-tiny", **table}, "b": {"id": "sim-large"}}
    _, found = composed(LLMRouter({**CONFIG, "model": pool}), OPTIONS)
    assert ("capabilities" in found) == added


def test_a_scorer_of_that_name_stays() -> None:
    parts = [KnobScorer(), KnobSelector(), ScriptCaller()]
    router = LLMRouter(models=[evolve(model, context=9) for model in POOL], parts=parts)
    config = router.config
    renamed = tuple(evolve(p, name="capable") if p.kind == "scorer" else p for p in config.parts)
    found, _ = composed(LLMRouter.of(evolve(config, parts=renamed)), OPTIONS)
    assert names(found, "scorer") == ["capable", "capable-too"]


# ---------------------------------------------------------------------------- circuits, retries


def test_one_deployment_that_is_down_is_left_alone() -> None:
    """Five failures in a row, and the next requests fail at once and know when to come back."""
    with one_model() as served:
        served.caller.script = down
        before = [served.chat() for _ in range(5)]
        asked = len(served.caller.asked)
        began = time.perf_counter()
        found = [served.chat() for _ in range(10)]
        seconds = time.perf_counter() - began
        text = served.ask("/metrics").body.decode()

    assert {reply.status for reply in before} <= {502, 503}
    assert asked == len(served.caller.asked) == 5
    assert {(r.status, r.code, r.headers["retry-after"]) for r in found} == {
        (503, "unavailable", "1")
    }
    assert seconds < 0.5
    assert 'llmrouter_circuits{circuit="model.small",state="open"} 1.0' in text
    assert 'llmrouter_circuits{circuit="model.small",state="closed"} 0.0' in text


def test_the_last_model_is_asked_again_and_twice_at_most() -> None:
    with one_model() as served:
        left = [Unavailable("blip"), RateLimited("busy")]

        async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
            if left:
                raise left.pop()
            async for chunk in polite(model, request):
                yield chunk

        served.caller.script = script
        assert served.chat().status == 200
        assert len(served.caller.asked) == 3
    with one_model() as served:
        served.caller.script = down
        assert served.chat().status == 502
        assert len(served.caller.asked) == 3


def test_the_next_model_is_asked_at_once_and_then_first() -> None:
    """A model that rests stands behind the others, so it costs a request nothing."""
    caller = ScriptCaller()
    router = LLMRouter(models=POOL, parts=[KnobScorer(), KnobSelector(), caller])

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        if model.name == "small":
            raise Unavailable("down")
        async for chunk in polite(model, request):
            yield chunk

    with Running(router, OPTIONS, composed=True) as served:
        caller.script = script
        found = [served.chat().json["llmrouter"] for _ in range(7)]

    assert [note["model"] for note in found] == ["large"] * 7
    assert [note["reason"] for note in found] == ["fallback"] * 5 + ["routed"] * 2
    assert [name for name, _ in caller.asked].count("small") == 5


def test_circuits_of_an_earlier_router_leave_the_metrics() -> None:
    with one_model() as served:
        served.chat()
        served.ask("/metrics")
        served.gateway.metrics.circuits({"model.other": "half-open"})
        text, _ = served.gateway.metrics.page()
    found = re.findall(r'_circuits\{circuit="([^"]+)",state="([^"]+)"\} 1\.0', text.decode())

    assert found == [("model.other", "half-open")]
    assert b'{circuit="model.small",state="closed"} 0.0' in text


# ---------------------------------------------------------------------------- who can answer

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def text_of(words: str, *more: Any) -> Sequence[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": words}, *more]}]


@pytest.fixture(scope="module")
def filtered() -> Iterator[Running]:
    """A small model of a small window that can nothing else, and a large one that can all."""
    pool = [
        evolve(POOL[0], context=100),
        evolve(POOL[1], context=1000, tags=("tools", "vision", "json")),
    ]
    router = LLMRouter(models=pool, parts=[KnobScorer(), KnobSelector(), ScriptCaller()])
    with Running(router, OPTIONS, composed=True) as running:
        yield running


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, "small"),
        ({"max_tokens": 50}, "small"),
        ({"max_tokens": 500}, "large"),
        ({"messages": text_of("word " * 200)}, "large"),
        ({"messages": text_of("What is it?", PICTURE)}, "large"),
        ({"tools": [TOOL]}, "large"),
        ({"tools": [TOOL], "tool_choice": "none"}, "small"),
        ({"response_format": {"type": "json_object"}}, "large"),
        ({"response_format": {"type": "text"}}, "small"),
    ],
)
def test_who_cannot_take_a_request_is_not_asked(
    filtered: Running, fields: dict[str, Any], model: str
) -> None:
    note = filtered.chat(**fields).json["llmrouter"]

    assert (note["model"], note["reason"]) == (model, "routed")
    vetoed = {"small": None, "large": 0.0}
    assert note["scores"].get("capable") == (vetoed if model == "large" else None)


def test_a_request_that_nobody_can_take_is_told_so(filtered: Running) -> None:
    found = filtered.chat(max_tokens=5000)

    assert (found.status, found.code) == (400, "no_eligible_model")
    assert "'capable'" in found.json["error"]["message"]
    assert filtered.chat(max_tokens=5000, model="large").status == 200  # asked for by name


def test_other_protocols_are_filtered_too(filtered: Running) -> None:
    body = {"model": "auto", "max_tokens": 500, "messages": [{"role": "user", "content": "Hi"}]}
    found = filtered.ask("/v1/messages", body)
    assert found.headers["x-llmrouter-model"] == "large"
    asked = filtered.ask("/v1/route", {"query": "word " * 200}).json
    assert asked["ranking"] == ["large"]
