"""Where a request may be processed: what it or its key demands holds on every way to a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import define, field
from click.testing import CliRunner
from llmrouter_core import (
    Chunk,
    Ints,
    LLMRouter,
    LLMRouterError,
    Model,
    Query,
    Refused,
    Request,
    Session,
    Solve,
    hookimpl,
)
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.keeping import Keeper, SqliteStore, new, store_at
from llmrouter_plugin_server.keeping.command import keys
from llmrouter_plugin_server.keeping.records import record_of

from .gateways import HELLO, Reply, Running, ScriptCaller

POOL = (
    Model(name="silent"),
    Model(name="us", tags=("region:us",)),
    Model(name="eu", tags=("tools", "region:eu")),
    Model(name="both", tags=("region:eu", "region:us")),
    Model(name="judge", routable=False),
)
EU = {"llmrouter": {"region": "eu"}}
ORIGIN = ServerOptions(insecure=True, default_model="us")


@define(eq=False, kw_only=True)
class InOrder:
    """Ranks the pool as it is listed, unless it is told to fail."""

    fails: bool = False

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        if self.fails:
            raise ValueError("a bug")
        return np.tile(np.arange(len(models)), (len(queries), 1))


@define(eq=False, kw_only=True)
class Stubborn:
    """Asks one model whatever was decided, or fails before it asks anybody."""

    ask: str | None = None
    seen: list[str] = field(factory=list)

    @hookimpl
    def solve(self) -> Solve:
        async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            if self.ask is None:
                raise ValueError("a bug")
            try:
                async for chunk in session.stream(self.ask, Request(payload=query.payload)):
                    yield chunk
            except Refused as error:
                self.seen.append(str(error))
                raise

        return solve


def gateway(*parts: Any, options: ServerOptions = ORIGIN, **more: Any) -> Running:
    caller = ScriptCaller()
    router = LLMRouter(models=POOL, parts=[*(parts or (InOrder(),)), caller])
    found = Running(router, options, **more)
    found.caller = caller
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["bare", "with the filter"])
def shared(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A gateway, without and with the scorer that vetoes: it holds the region by itself."""
    with gateway(composed=request.param) as found:
        yield found


@pytest.fixture
def served(shared: Running) -> Running:
    shared.behave()
    return shared


def asked(running: Running) -> list[str]:
    return [name for name, _ in running.caller.asked]


def answered(found: Reply) -> str:
    assert found.status == 200, found.body
    return found.headers["x-llmrouter-model"]


def test_only_models_with_the_tag_are_asked(served: Running) -> None:
    """By the field or the header, which must agree; without either, anybody."""
    header = {"x-llmrouter-region": "us"}
    both = {"llmrouter": {"region": "us"}}

    assert answered(served.chat()) == "silent"
    assert answered(served.chat(llmrouter={"region": None})) == "silent"
    assert answered(served.chat(**EU)) == "eu"
    assert answered(served.chat(headers=header)) == "us"
    assert answered(served.chat(headers=header, **both)) == "us"
    assert served.chat(headers=header, **EU).status == 400
    route = served.ask("/v1/route", {"query": "Hi", **EU}).json
    assert route["ranking"] == ["eu", "both"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"messages": HELLO, "max_tokens": 5}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/completions", {"prompt": "Hi"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_it_holds_in_every_protocol(
    served: Running, path: str, body: dict[str, Any], stream: bool
) -> None:
    asks = {**body, "stream": stream}

    assert answered(served.ask(path, {**asks, **EU})) == "eu"
    none = served.ask(path, {**asks, "llmrouter": {"region": "asia"}})
    assert none.status == 400
    assert "no model is in region 'asia'" in none.body.decode()
    assert asked(served) == ["eu"]


@pytest.mark.parametrize("region", ["", " ", "e u", "-eu", "a" * 65, "é", "eu\n", 1, True, ["eu"]])
def test_what_is_no_name_of_a_region_is_refused(served: Running, region: Any) -> None:
    """Never taken for no wish."""
    found = served.chat(llmrouter={"region": region})

    assert (found.status, found.code) == (400, "bad_request")
    assert found.json["error"]["param"] == "llmrouter.region"
    if isinstance(region, str) and region.isascii() and "\n" not in region:
        assert served.chat(headers={"x-llmrouter-region": region}).status == 400
    assert asked(served) == []


def test_nobody_in_the_region_is_a_sentence(served: Running) -> None:
    """Names are compared as they are written."""
    for region in ("asia", "EU", "e", "tools"):
        found = served.chat(llmrouter={"region": region})
        assert (found.status, found.code) == (400, "no_eligible_model")
        assert f"no model is in region '{region}'" in found.json["error"]["message"]
    assert asked(served) == []


def test_a_model_asked_for_by_name_must_be_there(served: Running) -> None:
    assert answered(served.chat(model="both", **EU)) == "both"
    for name in ("us", "silent"):
        found = served.chat(model=name, **EU)
        assert (found.status, found.code) == (400, "model_not_in_region")
        assert f"'{name}' is not in region 'eu'" in found.json["error"]["message"]
    assert asked(served) == ["both"]


def test_fallbacks_stay_there(served: Running) -> None:
    """However many others there would be."""

    async def broken(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        raise RuntimeError("a bug")
        yield

    served.caller.script = broken
    assert served.chat(**EU).status == 502
    assert set(asked(served)) == {"eu", "both"}


def test_where_the_router_fails_somebody_there_answers() -> None:
    """Not the default model, which is elsewhere: before a decision, and after."""
    for parts in ((InOrder(fails=True),), (InOrder(), Stubborn())):
        with gateway(*parts) as running:
            assert answered(running.chat()) == "us"
            assert answered(running.chat(**EU)) == "eu"
            assert running.chat(llmrouter={"region": "asia"}).code == "no_eligible_model"
            assert asked(running) == ["us", "eu"]


@pytest.mark.parametrize("name", ["us", "silent", "judge"])
def test_a_solver_cannot_get_around_it(name: str) -> None:
    """Helpers such as judges read the request, so they have to be there as well."""
    stubborn = Stubborn(ask=name)
    with gateway(InOrder(), stubborn) as running:
        assert running.chat().status == 200
        assert running.chat(**EU).status == 502
        assert asked(running) == [name]
    assert len(stubborn.seen) == 1


# ---------------------------------------------------------------------------- keys


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, Any]]]:
    """A gateway with keys: of `eu`, of `eu` but for the model `us`, and of anywhere."""
    path = tmp_path_factory.mktemp("keys") / "keys.db"
    made = {
        "eu": new("eu", region="eu"),
        "both": new("both", region="eu", models=["us", "both"]),
        "nobody": new("nobody", region="eu", models=["us"]),
        "free": new("free"),
    }

    async def keep() -> None:
        store = store_at(str(path))
        await store.open()
        for record, _ in made.values():
            await store.add(record)
        await store.aclose()

    asyncio.run(keep())
    heads = {name: {"Authorization": f"Bearer {token}"} for name, (_, token) in made.items()}
    keeper = Keeper(store=store_at(str(path)))
    with gateway(options=ServerOptions(default_model="us"), keeper=keeper) as running:
        yield running, heads


def test_a_key_demands_its_region(tokens: tuple[Running, dict[str, Any]]) -> None:
    """Of whoever asks for it, for nothing or for another one."""
    running, heads = tokens
    running.behave()

    assert answered(running.chat(headers=heads["eu"])) == "eu"
    assert answered(running.chat(headers=heads["eu"], **EU)) == "eu"
    assert answered(running.chat(headers=heads["both"])) == "both"
    assert answered(running.chat(headers=heads["free"])) == "silent"
    assert answered(running.chat(headers=heads["free"], **EU)) == "eu"
    other = running.chat(headers=heads["eu"], llmrouter={"region": "us"})
    assert (other.status, other.code) == (403, "region_not_allowed")
    header = {**heads["eu"], "x-llmrouter-region": "us"}
    assert running.chat(headers=header).code == "region_not_allowed"
    assert running.ask("/v1/route", {"query": "Hi"}, headers=header).status == 403
    pinned = running.chat(model="us", headers=heads["eu"])
    assert (pinned.status, pinned.code) == (403, "model_not_in_region")
    assert running.chat(model="eu", headers=heads["both"]).code == "model_not_allowed"
    nobody = running.chat(headers=heads["nobody"])
    assert (nobody.status, nobody.code) == (400, "no_eligible_model")
    assert "that this key may use is in region 'eu'" in nobody.json["error"]["message"]
    assert asked(running) == ["eu", "eu", "both", "silent", "eu"]


def test_a_key_sees_the_models_of_its_region(tokens: tuple[Running, dict[str, Any]]) -> None:
    running, heads = tokens

    def listed(name: str) -> list[str]:
        found = running.ask("/v1/models", headers=heads[name]).json["data"]
        return [model["id"] for model in found if not model["id"].startswith("auto")]

    assert listed("eu") == ["eu", "both"]
    assert listed("both") == ["both"]
    assert listed("free") == ["silent", "us", "eu", "both"]


def test_a_key_of_an_older_store_is_for_anywhere() -> None:
    """Its record says nothing of a region."""
    record, _ = new("ada", region="eu")
    table = json.loads(record.text())
    assert table.pop("region") == "eu"
    old = record_of(record.id, "ada", record.digest, None, json.dumps(table))

    assert old.region is None
    assert record_of(record.id, "ada", record.digest, None, record.text()).region == "eu"


def test_keys_are_made_for_a_region(tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "keys.db")]

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(keys, [*arguments, *store], standalone_mode=False)

    assert invoke("add", "ada", "--region", "eu").exception is None
    assert invoke("add", "bob").exception is None
    rows = json.loads(invoke("list", "--json").stdout)
    assert [row["region"] for row in rows] == ["eu", None]
    assert " eu " in invoke("list").stdout
    failure = invoke("add", "eve", "--region", "e u").exception
    assert isinstance(failure, LLMRouterError)
    assert failure.exit_code == 2

    async def look() -> list[str | None]:
        opened = SqliteStore(tmp_path / "keys.db")
        await opened.open()
        found = [record.region for record in await opened.records()]
        await opened.aclose()
        return found

    assert asyncio.run(look()) == ["eu", None]
