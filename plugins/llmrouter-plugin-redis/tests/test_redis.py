"""The same contract as every store, kept by a real Redis, and what is special about that."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import ConfigError
from llmrouter_plugin_redis import RedisStore
from llmrouter_plugin_server.keeping import (
    UNITS,
    Balance,
    Bounds,
    Charge,
    Hold,
    Holder,
    Keeper,
    Limits,
    OverLimit,
    Record,
    SqliteStore,
    Store,
    StoreDown,
    Unauthorized,
    new,
    store_at,
)
from llmrouter_plugin_server.keeping.contract import CHECKS, Check
from llmrouter_plugin_server.keeping.limits import key_account
from llmrouter_plugin_server.keeping.racing import passed, racers

HUNDRED_CALLS = Limits(key=Bounds(calls=100))
ONE_DOLLAR = Limits(key=Bounds(dollars=1.0))
HOUR = 3_600_000_000

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="redis-server is not installed; install it to test: apt-get install redis-server",
)


class Server:
    """A Redis on loopback that writes all it is told to the disk."""

    def __init__(self, folder: Path, *more: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.more = more
        self.address = f"redis://127.0.0.1:{self.port}/0"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--appendonly", "yes", "--save", ""]
        self.process = subprocess.Popen([*command, *self.more], stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.005)
            else:
                return self.process
        raise TimeoutError("redis-server did not start")

    def stop(self, how: int = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        self.process.wait()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def server(one: Server) -> Server:
    """The server of all tests, emptied."""
    asyncio.run(tell(one, "FLUSHALL"))
    return one


async def tell(server: Server, *command: Any) -> Any:
    from redis.asyncio import Redis

    async with Redis.from_url(server.address, decode_responses=True) as redis:
        return await redis.execute_command(*command)


def run(server: Server, test: Callable[[Keeper], Awaitable[None]], **options: Any) -> None:
    """Run *test* with a keeper of *server*."""
    store = options.pop("store", None) or RedisStore(server.address)

    async def main() -> None:
        async with Keeper(store=store, **options) as keeper:
            await test(keeper)

    asyncio.run(main())


def mover(server: Server) -> Callable[[float], Awaitable[None]]:
    """Return what moves the server's clock of leases on."""

    async def forward(seconds: float) -> None:
        microseconds = round(seconds * 1e6)
        await tell(server, "HINCRBY", "{llmrouter}:clock", "ahead", microseconds)

    return forward


async def balance(keeper: Keeper, key: str) -> Balance:
    charge = Charge(account=key_account(key))
    return (await keeper.store.balances([charge]))[charge]


def prepare(server: Server, limits: Limits | None) -> tuple[Record, str]:
    """Make a key and return it with its token."""
    record, token = new("ada", limits=limits)
    run(server, lambda keeper: keeper.store.add(record))
    return record, token


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_redis_keeps_the_contract(check: Check, server: Server) -> None:
    """As every store does."""
    run(server, lambda keeper: check(keeper.store, mover(server)))


steps = st.one_of(
    st.tuples(st.just("reserve"), st.integers(0, 5), st.integers(0, 6), st.integers(0, 3)),
    st.tuples(st.just("settle"), st.integers(0, 6), st.integers(0, 9), st.integers(0, 1)),
    st.tuples(st.just("renew"), st.lists(st.integers(0, 6), max_size=3)),
    st.tuples(st.just("forward"), st.sampled_from([25.0, 45.0, 70.0])),
)


def test_redis_and_sqlite_are_the_same(server: Server, tmp_path: Path) -> None:
    """Whatever is asked of them, in whatever order: the Lua is what the Python is."""
    nanoseconds, examples, forward = time.monotonic_ns(), itertools.count(), mover(server)
    stores: list[Store] = [
        RedisStore(server.address),
        SqliteStore(tmp_path / "keys.db", monotonic=lambda: nanoseconds),
    ]

    async def play(story: list[tuple[Any, ...]]) -> None:
        nonlocal nanoseconds
        name = f"key:{next(examples)}"
        wide = Charge(account=name, dollars=5 * UNITS, calls=6, calls_at_once=3)
        day = Charge(account=name, daily=True, dollars=3 * UNITS, calls=4)
        user = Charge(account=f"user:{name}", dollars=2 * UNITS)
        choices = ((wide,), (wide, day), (wide, user), (wide, day, user))
        for what, *rest in story:
            if what == "forward":
                nanoseconds += round(rest[0] * 10**9)
                await forward(rest[0])
                continue
            found = []
            for store in stores:
                if what == "reserve":
                    refused = await store.reserve(
                        Hold(
                            lease=f"{name}-{rest[0]}",
                            amount=rest[1] * UNITS // 2,
                            charges=choices[rest[2]],
                            seconds=60.0,
                            lost="book" if rest[0] % 2 else "return",
                        )
                    )
                    wait = None if refused is None else refused.retry_after
                    found.append(refused and evolve(refused, retry_after=wait and 1.0))
                elif what == "settle":
                    await store.settle(f"{name}-{rest[0]}", rest[1] * UNITS // 4, rest[2])
                else:
                    await store.renew([f"{name}-{lease}" for lease in rest[0]], 60.0)
            found += [await store.balances((wide, day, user)) for store in stores]
            assert found[0::2] == found[1::2], (what, rest)

    with asyncio.Runner() as runner:
        for store in stores:
            runner.run(store.open())

        @settings(max_examples=40, deadline=None, database=None)
        @given(st.lists(steps, max_size=25))
        def stories(story: list[tuple[Any, ...]]) -> None:
            runner.run(play(story))

        try:
            stories()
        finally:
            for store in stores:
                runner.run(store.aclose())


@pytest.mark.parametrize("limits", [HUNDRED_CALLS, ONE_DOLLAR], ids=["calls", "dollars"])
def test_four_processes_pass_a_budget_of_a_hundred_calls_exactly(
    limits: Limits, server: Server
) -> None:
    """1,000 attempts; 100 pass, and a hundred cents are a dollar."""
    record, token = prepare(server, limits)
    with racers(server.address, token, 4, 250, 0.01) as started:
        shares = [passed(process) for process in started]

    async def look(keeper: Keeper) -> None:
        assert await balance(keeper, record.id) == Balance(spent=UNITS, calls=100)

    assert sum(shares) == 100, shares
    run(server, look)


def test_a_killed_process_never_overspends_and_its_leases_return(server: Server) -> None:
    """kill -9 between reserve and settle: its part stays reserved, then others may have it."""
    record, token = prepare(server, ONE_DOLLAR)

    async def attempts(keeper: Keeper, holder: Holder, count: int) -> int:
        done = 0
        for _ in range(count):
            try:
                await keeper.settle(await keeper.reserve(holder, 0.01), 0.01)
            except OverLimit:
                continue
            done += 1
        return done

    async def survive(keeper: Keeper) -> None:
        holder = await keeper.identify(token)
        held = Balance(reserved=30 * UNITS // 100, under_way=30)
        assert await balance(keeper, record.id) == held
        assert await attempts(keeper, holder, 100) == 70
        await mover(server)(61.0)
        assert await attempts(keeper, holder, 100) == 30
        assert await balance(keeper, record.id) == Balance(spent=UNITS, calls=100)

    with racers(server.address, token, 1, 30, 0.01, hold=True) as [process]:
        assert process.stdout is not None
        while process.stdout.readline() != "holding\n":
            pass
        process.kill()
        process.wait()
    run(server, survive)


def test_a_clock_set_back_expires_nothing_early_or_late(server: Server) -> None:
    """Neither the gateway's, which is not asked, nor the server's: leases go on from there."""
    charge = Charge(account="key:a", dollars=UNITS)

    async def set_back() -> None:
        """Let the server have seen a clock that is an hour ahead of the one it has now."""
        last = int(await tell(server, "HGET", "{llmrouter}:clock", "last"))
        await tell(server, "HSET", "{llmrouter}:clock", "last", last + HOUR)
        ahead = int(await tell(server, "HGET", "{llmrouter}:clock", "ahead") or 0)
        await tell(server, "HSET", "{llmrouter}:clock", "ahead", ahead - HOUR)

    async def test(keeper: Keeper) -> None:
        forward = mover(server)
        hold = Hold(lease="1", amount=UNITS, charges=(charge,), seconds=60.0)
        assert await keeper.store.reserve(hold) is None
        await set_back()
        await forward(55.0)
        await keeper.store.renew([], 60.0)
        assert (await keeper.store.balances([charge]))[charge].under_way == 1, "early"
        await forward(5.0)
        await keeper.store.renew([], 60.0)
        assert (await keeper.store.balances([charge]))[charge].under_way == 0, "late"

    run(server, test)


def test_the_account_of_a_day_ends_with_it_and_is_dropped_later(server: Server) -> None:
    """Days later, in which a clock may be set back."""
    record, token = prepare(server, Limits(key=Bounds(dollars_per_day=1.0)))

    async def test(keeper: Keeper) -> None:
        holder = await keeper.identify(token)
        await keeper.settle(await keeper.reserve(holder, 1.0), 1.0)
        with pytest.raises(OverLimit) as caught:
            await keeper.reserve(holder, 0.1)
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 86_400
        [name] = [key for key in await tell(server, "KEYS", "*") if f":key:{record.id}:" in key]
        assert 3 * 86_400 < int(await tell(server, "TTL", name)) <= 4 * 86_400
        today = int(name.rpartition(":")[2])
        await tell(server, "RENAME", name, f"{name.rpartition(':')[0]}:{today - 1}")
        await keeper.settle(await keeper.reserve(holder, 1.0), 1.0)

    run(server, test)


def test_nothing_is_left_of_calls_but_their_accounts(server: Server) -> None:
    """And a lost lease is forgotten after a day."""
    record, token = prepare(server, ONE_DOLLAR)

    async def test(keeper: Keeper) -> None:
        holder = await keeper.identify(token)
        for _ in range(20):
            await keeper.settle(await keeper.reserve(holder, 0.01), 0.01)
        rest = {"account:key:" + record.id, "clock", "keys", "names"}
        assert set(await tell(server, "KEYS", "*")) == {f"{{llmrouter}}:{one}" for one in rest}
        lost = await keeper.reserve(holder, 0.01)
        await mover(server)(61.0)
        await keeper.store.renew([], 60.0)
        left = int(await tell(server, "TTL", f"{{llmrouter}}:lease:{lost.id}"))
        assert 0 < left <= 86_400

    run(server, test)


def test_no_token_is_in_redis(server: Server) -> None:
    """Only its digest."""
    record, token = prepare(server, ONE_DOLLAR)

    async def look() -> str:
        kept = await tell(server, "HGETALL", "{llmrouter}:keys")
        return json.dumps(kept)

    text = asyncio.run(look())
    assert record.digest.hex() in text
    assert token.removeprefix("lr-") not in text


def test_a_revoked_key_is_refused_by_another_replica(server: Server) -> None:
    """Once what that believes is no longer fresh."""
    _, token = prepare(server, None)

    async def test(keeper: Keeper) -> None:
        await keeper.identify(token)
        other = RedisStore(server.address)
        await other.open()
        await other.revoke("ada")
        await other.aclose()
        with pytest.raises(Unauthorized):
            await keeper.identify(token)

    run(server, test, fresh=0.0)


def test_a_redis_that_dies_refuses_budgets_and_forgets_none(tmp_path: Path) -> None:
    """503 for who has a budget, service for who has none; then all is booked, once."""
    server = Server(tmp_path, "--appendfsync", "always")
    now = 1_000.0
    (rich, rich_token), (_, free_token) = prepare(server, ONE_DOLLAR), new("free")
    free = new("free")

    async def test(keeper: Keeper) -> None:
        nonlocal now
        await keeper.store.add(free[0])
        holder = await keeper.identify(rich_token)
        await keeper.identify(free[1])
        lease = await keeper.reserve(holder, 0.5)
        server.stop()
        await keeper.settle(lease, 0.4)
        assert keeper.unsettled == 1
        now += 60.0
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            with pytest.raises(StoreDown) as caught:
                await keeper.reserve(await keeper.identify(rich_token), 0.1)
            seconds.append(time.perf_counter() - started)
            assert caught.value.status == 503
            anyone = await keeper.identify(free[1])
            await keeper.settle(await keeper.reserve(anyone, 0.1), 0.1)
        assert min(seconds) < 0.005, "nobody waits for what is known to be down"
        with pytest.raises(StoreDown):
            await keeper.identify(free_token)
        server.start()
        now += 1.0
        await keeper._pulse()
        assert keeper.unsettled == 0
        assert await balance(keeper, rich.id) == Balance(spent=4 * UNITS // 10, calls=1)
        await keeper.settle(await keeper.reserve(holder, 0.6), 0.6)
        with pytest.raises(OverLimit):
            await keeper.reserve(holder, 0.01)

    try:
        run(server, test, clock=lambda: now)
    finally:
        server.stop()


def test_a_redis_that_hangs_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second at most; what it reserved without an answer is given back."""
    monkeypatch.setattr("llmrouter_plugin_redis.store._PATIENCE", 0.05)
    server = Server(tmp_path)
    now = 1_000.0
    record, token = prepare(server, ONE_DOLLAR)

    async def test(keeper: Keeper) -> None:
        nonlocal now
        holder = await keeper.identify(token)
        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreDown):
            await keeper.reserve(holder, 1.0)
        while not keeper.unsettled:
            await asyncio.sleep(0)
        server.process.send_signal(signal.SIGCONT)
        while keeper.unsettled:
            now += 1.0
            await keeper._pulse()
        now += 1.0
        assert await balance(keeper, record.id) == Balance()
        await keeper.settle(await keeper.reserve(holder, 1.0), 1.0)

    try:
        run(server, test, clock=lambda: now)
    finally:
        server.stop()


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    """Right or wrong, in what is printed or raised."""
    server = Server(tmp_path, "--requirepass", "right-canary")
    address = f"redis://:{{}}@127.0.0.1:{server.port}/0"

    async def main(password: str) -> None:
        store = RedisStore(address.format(password))
        assert repr(store) == f"RedisStore('127.0.0.1:{server.port}')"
        await store.open()
        await store.aclose()

    try:
        asyncio.run(main("right-canary"))
        with pytest.raises(StoreDown) as caught:
            asyncio.run(main("wrong-canary"))
    finally:
        server.stop()
    assert "AuthenticationError" in str(caught.value)
    assert "canary" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


@pytest.mark.parametrize(
    "address",
    ["redis://", "redis:///0", "http://host", "redis://:canary@host:none", "redis://h/0?a=canary"],
)
def test_a_wrong_address_is_a_sentence(address: str) -> None:
    """Without the address, which may hold a password."""

    async def main() -> None:
        await RedisStore.at(address).open()

    with pytest.raises((ConfigError, StoreDown)) as caught:
        asyncio.run(main())
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_the_house_is_found_by_the_address(scheme: str) -> None:
    """Through the entry point."""
    assert isinstance(store_at(f"{scheme}://127.0.0.1:1"), RedisStore)
