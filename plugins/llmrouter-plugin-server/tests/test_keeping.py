"""Keys at rest, budgets between processes, and what happens when the store or a process dies."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import ConfigError, LLMRouterError
from llmrouter_plugin_server.keeping import (
    UNITS,
    Balance,
    Bounds,
    Charge,
    Hold,
    Holder,
    Keeper,
    Lease,
    Limits,
    NotAllowed,
    OverLimit,
    Record,
    Refusal,
    SqliteStore,
    StoreDown,
    Unauthorized,
    new,
    store_at,
    units,
)
from llmrouter_plugin_server.keeping.command import keys
from llmrouter_plugin_server.keeping.contract import CHECKS, Check
from llmrouter_plugin_server.keeping.limits import key_account
from llmrouter_plugin_server.keeping.racing import passed, racers
from llmrouter_plugin_server.keeping.tokens import digest, well_formed

SECOND = 10**9
HUNDRED_CALLS = Limits(key=Bounds(calls=100))
ONE_DOLLAR = Limits(key=Bounds(dollars=1.0))


class Clocks:
    """A monotonic clock and a wall clock that a test moves."""

    def __init__(self, wall: float = 1_760_000_000.0) -> None:
        self.nanoseconds = time.monotonic_ns()
        self.wall = wall

    async def forward(self, seconds: float) -> None:
        self.nanoseconds += round(seconds * SECOND)
        self.wall += seconds

    def store(self, path: Path) -> SqliteStore:
        return SqliteStore(path, monotonic=lambda: self.nanoseconds, wall=lambda: self.wall)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


def run(path: Path, test: Callable[[Keeper], Awaitable[None]], **options: Any) -> None:
    """Run *test* with a keeper of the file *path*."""
    store = options.pop("store", None) or SqliteStore(path)

    async def main() -> None:
        async with Keeper(store=store, **options) as keeper:
            await test(keeper)

    asyncio.run(main())


async def made(keeper: Keeper, limits: Limits | None = None, name: str = "ada") -> Holder:
    record, token = new(name, limits=limits)
    await keeper.store.add(record)
    return await keeper.identify(token)


async def balance(keeper: Keeper, holder: Holder) -> Balance:
    charge = Charge(account=key_account(holder.id))
    return (await keeper.store.balances([charge]))[charge]


class Fickle:
    """A store that can be down, and counts what it is asked."""

    def __init__(self, inner: SqliteStore) -> None:
        self.inner = inner
        self.down = False
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.inner, name)
        if name in ("open", "aclose", "at"):
            return verb

        async def ask(*arguments: Any) -> Any:
            self.asked[name] += 1
            if self.down:
                raise StoreDown("down")
            return await verb(*arguments)

        return ask


# ---------------------------------------------------------------------------- the store


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_sqlite_keeps_the_contract(check: Check, path: Path, clocks: Clocks) -> None:
    """As every store does."""

    async def main() -> None:
        store = clocks.store(path)
        await store.open()
        try:
            await check(store, clocks.forward)
        finally:
            await store.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("limits", [HUNDRED_CALLS, ONE_DOLLAR], ids=["calls", "dollars"])
def test_four_processes_pass_a_budget_of_a_hundred_calls_exactly(
    limits: Limits, path: Path
) -> None:
    """1,000 attempts; 100 pass, and a hundred cents are a dollar."""

    async def prepare(keeper: Keeper) -> None:
        record, token = new("ada", limits=limits)
        await keeper.store.add(record)
        tokens.append(token)

    async def look(keeper: Keeper) -> None:
        [record] = await keeper.store.records()
        holder = Holder(name="ada", id=record.id)
        assert await balance(keeper, holder) == Balance(spent=UNITS, calls=100)

    tokens: list[str] = []
    run(path, prepare)
    with racers(str(path), tokens[0], 4, 250, 0.01) as started:
        shares = [passed(process) for process in started]
    assert sum(shares) == 100, shares
    run(path, look)


def test_a_killed_process_never_overspends_and_its_leases_return(path: Path) -> None:
    """kill -9 between reserve and settle: its part stays reserved, then others may have it."""
    clocks = Clocks()
    tokens: list[str] = []

    async def prepare(keeper: Keeper) -> None:
        record, token = new("ada", limits=ONE_DOLLAR)
        await keeper.store.add(record)
        tokens.append(token)

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
        holder = await keeper.identify(tokens[0])
        assert await balance(keeper, holder) == Balance(reserved=30 * UNITS // 100, under_way=30)
        assert await attempts(keeper, holder, 250) == 70
        await clocks.forward(61.0)
        assert await attempts(keeper, holder, 250) == 30
        assert await balance(keeper, holder) == Balance(spent=UNITS, calls=100)

    run(path, prepare)
    with racers(str(path), tokens[0], 1, 30, 0.01, hold=True) as [process]:
        assert process.stdout is not None
        while process.stdout.readline() != "holding\n":
            pass
        process.kill()
        process.wait()
    clocks.nanoseconds = time.monotonic_ns()
    run(path, survive, store=clocks.store(path))


def test_a_process_killed_in_the_middle_of_a_race_never_overspends(path: Path) -> None:
    """Whatever it was doing: what passed elsewhere and what it booked fit the budget together."""
    tokens: list[str] = []

    async def prepare(keeper: Keeper) -> None:
        record, token = new("ada", limits=ONE_DOLLAR)
        await keeper.store.add(record)
        tokens.append(token)

    async def look(keeper: Keeper) -> None:
        [record] = await keeper.store.records()
        found = await balance(keeper, Holder(name="ada", id=record.id))
        assert found.spent + found.reserved == UNITS
        assert found.calls + found.under_way == 100
        assert survived <= found.calls <= 100

    run(path, prepare)
    with racers(str(path), tokens[0], 4, 250, 0.01) as started:
        victim = started[0]
        assert victim.stdout is not None
        victim.stdout.readline()
        victim.kill()
        survived = sum(passed(process) for process in started[1:])
    run(path, look)


def test_a_clock_set_back_expires_nothing_early_or_late(path: Path, clocks: Clocks) -> None:
    """Leases and rates do not look at it, and the account of a day is found again."""
    limits = Limits(key=Bounds(dollars_per_day=1.0, calls_per_minute=3))
    clocks.wall = 20_000 * 86_400 + 1_800.0  # half past midnight

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, limits)
        await keeper.reserve(holder, 1.0)
        clocks.wall -= 3_600.0  # yesterday again
        lease = await keeper.reserve(holder, 1.0)
        await keeper.settle(lease, 1.0)
        with pytest.raises(OverLimit) as caught:
            await keeper.reserve(holder, 0.01)
        assert caught.value.reason == "dollars"
        assert caught.value.retry_after == 1_800.0
        await keeper.settle(await keeper.reserve(holder, 0.0), 0.0)
        with pytest.raises(OverLimit) as caught:
            await keeper.reserve(holder, 0.0)
        assert caught.value.reason == "calls_per_minute"
        assert caught.value.retry_after == 20.0
        await clocks.forward(59.0)
        await keeper.store.renew([], 60.0)
        assert keeper.under_way == 1
        assert (await balance(keeper, holder)).under_way == 1, "early"
        await clocks.forward(1.0)
        await keeper.store.renew([], 60.0)
        assert (await balance(keeper, holder)).under_way == 0, "late"
        clocks.wall = 20_000 * 86_400 + 1_800.0
        await keeper.reserve(holder, 1.0)

    run(path, test, store=clocks.store(path))


def test_leases_from_before_the_machine_started_return(path: Path, clocks: Clocks) -> None:
    """The clock begins again then, and so do the rates."""
    limits = Limits(key=Bounds(dollars=1.0, calls_per_minute=1))
    record, token = new("ada", limits=limits)

    async def before(keeper: Keeper) -> None:
        await keeper.store.add(record)
        await keeper.reserve(await keeper.identify(token), 1.0)

    async def after(keeper: Keeper) -> None:
        await keeper.reserve(await keeper.identify(token), 1.0)

    run(path, before, store=clocks.store(path))
    clocks.nanoseconds = SECOND
    run(path, after, store=clocks.store(path))


def test_accounts_of_old_days_are_dropped(path: Path, clocks: Clocks) -> None:
    """After three days, in which a clock may be set back."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, Limits(key=Bounds(dollars_per_day=1.0)))
        await keeper.settle(await keeper.reserve(holder, 0.5), 0.5)
        with sqlite3.connect(path) as other:
            count = "SELECT count(*) FROM account"
            await clocks.forward(2 * 86_400.0)
            await keeper.store.renew([], 60.0)
            assert other.execute(count).fetchone() == (2,)
            await clocks.forward(86_400.0)
            await keeper.store.renew([], 60.0)
            assert other.execute(count).fetchone() == (1,)
        other.close()

    run(path, test, store=clocks.store(path))


def test_a_write_waits_for_another_process(path: Path) -> None:
    """In a thread: the loop goes on meanwhile."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, ONE_DOLLAR)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(keeper.reserve(holder, 0.5))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        await waiting

    run(path, test)


def test_the_file_is_its_owners_and_holds_no_token(path: Path) -> None:
    """Nor does the log beside it."""
    tokens: list[str] = []

    async def test(keeper: Keeper) -> None:
        record, token = new("ada", limits=ONE_DOLLAR)
        await keeper.store.add(record)
        await keeper.reserve(await keeper.identify(token), 0.5)
        tokens.append(token)
        assert sorted(one.name for one in path.parent.iterdir()) == [
            "keys.db",
            "keys.db-shm",
            "keys.db-wal",
        ]
        for one in path.parent.iterdir():
            assert token.encode() not in one.read_bytes()
            if os.name == "posix":
                assert stat.S_IMODE(one.stat().st_mode) == 0o600, one

    run(path, test)
    assert digest(tokens[0]) in path.read_bytes()
    assert [one.name for one in path.parent.iterdir()] == ["keys.db"]


def test_a_full_disk_refuses_and_books_no_half(path: Path) -> None:
    """What has limits is refused; once there is room, all goes on."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, Limits(key=Bounds(dollars=1e5), user=Bounds(dollars=1e5)))
        connection = store._quick
        assert connection is not None
        lease = await keeper.reserve(holder, 1.0)
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        passed = 1

        async def fill() -> None:
            nonlocal passed
            for number in range(10_000):
                await keeper.reserve(holder, 1.0, f"user {number}")
                passed += 1

        with pytest.raises(StoreDown, match="full"):
            await fill()
        found = await balance(keeper, holder)
        assert found == Balance(reserved=passed * UNITS, under_way=passed)
        connection.execute("PRAGMA max_page_count = 1000000")
        await keeper._pulse()
        await keeper.settle(lease, 1.0)
        await keeper.reserve(holder, 1.0, "user 10000")

    store = SqliteStore(path)
    run(path, test, store=store, rest=0.0)


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"not a database, but a text" * 100, ConfigError), (None, StoreDown)],
    ids=["foreign", "folder"],
)
def test_what_is_no_store_is_refused(
    content: bytes | None, error: type[Exception], path: Path
) -> None:
    """And left as it is."""
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    async def main() -> None:
        await SqliteStore(path).open()

    with pytest.raises(error, match=r"keys\.db"):
        asyncio.run(main())
    assert content is None or path.read_bytes() == content


def test_another_program_s_database_is_refused(path: Path) -> None:
    """One that has tables, but not ours."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE key (id TEXT)")
    other.close()

    async def main() -> None:
        await SqliteStore(path).open()

    with pytest.raises(ConfigError, match="not a store of keys"):
        asyncio.run(main())


# ---------------------------------------------------------------------------- who asks


def test_a_key_is_random_and_kept_as_its_digest() -> None:
    """256 bits behind a prefix that scanners know; what is kept shows neither."""
    record, token = new("ada")

    assert well_formed(token)
    assert len(token) == len("lr-") + 43
    assert record.digest == digest(token)
    assert token not in repr(record) + record.text()
    assert record.digest.hex() not in repr(record)
    assert len({new("ada")[1] for _ in range(100)}) == 100


def test_only_valid_keys_are_let_in(path: Path) -> None:
    """Everything else is refused, and what could be no key is not even looked up."""

    async def test(keeper: Keeper) -> None:
        record, token = new("ada")
        await store.add(record)
        for wrong in (None, "", "lr-", token[:-1], token + "=", token.upper(), f" {token}", "é"):
            with pytest.raises(Unauthorized) as caught:
                await keeper.identify(wrong)
            assert not wrong or wrong not in str(caught.value)
        assert store.asked["find"] == 0
        with pytest.raises(Unauthorized):
            await keeper.identify(new("eve")[1])
        assert (await keeper.identify(token)).name == "ada"
        assert store.asked["find"] == 2

    store = Fickle(SqliteStore(path))
    run(path, test, store=store)


def test_a_store_cannot_answer_with_another_key(path: Path) -> None:
    """Since digests are compared."""

    class Confused(SqliteStore):
        async def find(self, digest: bytes) -> Record | None:
            return (await self.records())[0]

    async def test(keeper: Keeper) -> None:
        await keeper.store.add(new("ada")[0])
        with pytest.raises(Unauthorized):
            await keeper.identify(new("eve")[1])

    run(path, test, store=Confused(path))


def test_a_look_up_is_believed_for_a_while(path: Path) -> None:
    """Then a revoked key is refused, and a wrong one is looked up again."""
    now = 1_000.0

    async def test(keeper: Keeper) -> None:
        nonlocal now
        (record, token), (_, wrong) = new("ada"), new("eve")
        await store.add(record)
        for _ in range(10):
            await keeper.identify(token)
            with pytest.raises(Unauthorized):
                await keeper.identify(wrong)
        assert store.asked["find"] == 2
        await store.revoke("ada")
        await keeper.identify(token)
        now += 5.0
        with pytest.raises(Unauthorized):
            await keeper.identify(token)
        assert store.asked["find"] == 3

    store = Fickle(SqliteStore(path))
    run(path, test, store=store, clock=lambda: now)


def test_a_crowd_asks_the_store_in_turn(path: Path) -> None:
    """One look-up for all of one key, few reservations at once: none waits out its patience."""
    finds, now, most = 0, 0, 0

    class Watched(SqliteStore):
        async def find(self, wanted: bytes) -> Record | None:
            nonlocal finds
            finds += 1
            await asyncio.sleep(0)
            return await super().find(wanted)

        async def reserve(self, hold: Hold) -> Refusal | None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return await super().reserve(hold)

    async def main() -> None:
        record, token = new("ada", limits=Limits(key=Bounds(calls=100)))
        async with Keeper(store=Watched(path)) as keeper:
            await keeper.store.add(record)

            async def attempt() -> bool:
                try:
                    await keeper.reserve(await keeper.identify(token), 0.0)
                except OverLimit:
                    return False
                return True

            passed = await asyncio.gather(*(attempt() for _ in range(500)))
            assert sum(passed) == 100
            wrong = [keeper.identify(new("other")[1]) for _ in range(3)]
            told = await asyncio.gather(*wrong, return_exceptions=True)
            assert all(isinstance(one, Unauthorized) for one in told)

    asyncio.run(main())
    assert finds == 1 + 3
    assert 1 < most <= 24


def test_without_keys_someone_may_be_let_in(path: Path) -> None:
    """Only who sends none, and only where that was asked for."""

    async def test(keeper: Keeper) -> None:
        assert await keeper.identify(None) is anyone
        with pytest.raises(Unauthorized):
            await keeper.identify("lr-wrong")

    anyone = Holder(name="anyone")
    run(path, test, anonymous=anyone)


def test_models_are_allowed_by_name(path: Path) -> None:
    """All that may be called must be."""

    async def test(keeper: Keeper) -> None:
        holder = Holder(name="ada", models=("small", "auto"))
        assert holder.allows("small")
        assert not holder.allows("large")
        await keeper.reserve(holder, 0.0, models=["small", "auto"])
        with pytest.raises(NotAllowed, match=r"'large'.*small, auto"):
            await keeper.reserve(holder, 0.0, models=["small", "large"])
        with pytest.raises(NotAllowed, match="none"):
            await keeper.reserve(evolve(holder, models=()), 0.0, models=["small"])

    run(path, test)


def test_no_secret_is_in_anything_that_is_shown(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in what is printed nor in errors nor in logs."""
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    async def test(keeper: Keeper) -> None:
        record, token = new("ada", limits=ONE_DOLLAR)
        await store.add(record)
        holder = await keeper.identify(token)
        lease = await keeper.reserve(holder, 0.5)
        shown.extend(map(repr, (record, holder, lease, keeper, store.inner)))
        for act in (
            lambda: keeper.reserve(holder, 0.6),
            lambda: keeper.identify(new("eve")[1]),
            lambda: keeper.identify(token + token),
        ):
            with pytest.raises((OverLimit, Unauthorized)) as caught:
                await act()
            shown.append(str(caught.value))
        store.down = True
        await keeper.settle(lease, 0.5)
        with pytest.raises(StoreDown) as down:
            await keeper.reserve(holder, 0.1)
        shown.extend([str(down.value), caplog.text])
        for secret in (token, token.removeprefix("lr-"), record.digest.hex(), repr(record.digest)):
            assert secret not in "\n".join(shown)
        store.down = False

    store = Fickle(SqliteStore(path))
    run(path, test, store=store)


# ---------------------------------------------------------------------------- limits


def test_who_has_no_limits_costs_the_store_nothing(path: Path) -> None:
    """Not a single question, for as long as the look-up is believed."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper)
        store.asked.clear()
        for _ in range(5):
            lease = await keeper.reserve(holder, 1e9, user="bob", models=["any"])
            await keeper.settle(lease, 1e9)
        assert not store.asked

    store = Fickle(SqliteStore(path))
    run(path, test, store=store)


def test_users_have_limits_of_their_own_within_the_key_s(path: Path) -> None:
    """One account for all who are not named; no name is in the store."""
    limits = Limits(key=Bounds(dollars=1.3), user=Bounds(dollars=0.4))

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, limits)
        for user in ("bob", "eve", None):
            if user is not None:
                await keeper.settle(await keeper.reserve(holder, 0.4, user), 0.4)
            with pytest.raises(OverLimit) as caught:
                await keeper.reserve(holder, 0.41, user)
            assert "a user of key 'ada' may spend $0.4" in str(caught.value)
            assert "bob" not in str(caught.value)
        await keeper.reserve(holder, 0.3)
        with pytest.raises(OverLimit, match=r"^key 'ada' may spend \$1\.3"):
            await keeper.reserve(holder, 0.3, "new")
        with sqlite3.connect(path) as other:
            names = [name for [name] in other.execute("SELECT name FROM account")]
        other.close()
        assert len(names) == 4
        assert not any("bob" in name or len(name) > 80 for name in names)

    run(path, test)


def test_what_users_spend_is_summed_where_only_they_have_limits(path: Path) -> None:
    """So that the list of keys can say it."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, Limits(user=Bounds(calls=1)))
        for user in ("bob", "eve"):
            await keeper.settle(await keeper.reserve(holder, 0.1, user), 0.1)
        assert await balance(keeper, holder) == Balance(spent=UNITS // 5, calls=2)

    run(path, test)


@pytest.mark.parametrize(
    ("limits", "said", "code"),
    [
        (Bounds(dollars=0.1), "may spend $0.1: $0.1 is spent", "insufficient_quota"),
        (Bounds(dollars_per_day=0.1), "$0.1 a day", "insufficient_quota"),
        (Bounds(calls=1), "1 calls, and they are used up", "insufficient_quota"),
        (Bounds(calls_per_day=1), "1 calls a day", "insufficient_quota"),
        (Bounds(calls_per_minute=1), "1 calls a minute", "rate_limit_exceeded"),
    ],
)
def test_a_refusal_says_which_limit_and_when(
    limits: Bounds, said: str, code: str, path: Path, clocks: Clocks
) -> None:
    """With OpenAI's code for it."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, Limits(key=limits))
        await keeper.settle(await keeper.reserve(holder, 0.1), 0.1)
        with pytest.raises(OverLimit) as caught:
            await keeper.reserve(holder, 0.1)
        assert said in str(caught.value)
        assert (caught.value.status, caught.value.code) == (429, code)
        wait = caught.value.retry_after
        assert (wait is None) == (limits in (Bounds(dollars=0.1), Bounds(calls=1)))
        if wait is not None:
            await clocks.forward(wait)
            await keeper.reserve(holder, 0.1)

    run(path, test, store=clocks.store(path))


@given(st.lists(st.floats(0, 1e4), max_size=30))
def test_sums_do_not_depend_on_the_order(amounts: Sequence[float]) -> None:
    """As sums of floats do."""
    forth, back = sum(map(units, amounts)), sum(map(units, reversed(amounts)))

    assert forth == back
    assert abs(forth - UNITS * sum(amounts)) <= len(amounts) * UNITS / 1e6


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [
        (0.01, 10**10),
        (0.1 + 0.2, 3 * 10**11),
        (-1.0, 0),
        (4.9e-13, 0),
        (float("inf"), 10**18),
        (float("nan"), 10**18),
    ],
)
def test_dollars_become_whole_picodollars(dollars: float, expected: int) -> None:
    """What is no number is more than anyone may spend."""
    assert units(dollars) == expected


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), 1e7])
def test_limits_are_sensible(wrong: float) -> None:
    """A budget of nothing, or of more than 64 bits hold, is a mistake."""
    with pytest.raises(ValueError, match="dollars"):
        Bounds(dollars=wrong)


# ---------------------------------------------------------------------------- calls that end oddly


def test_a_call_is_settled_once(path: Path) -> None:
    """At its cost; at what it reserved where that is not known; released, not at all."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, ONE_DOLLAR)
        first, second, third, fourth = [await keeper.reserve(holder, 0.1) for _ in range(4)]
        assert keeper.under_way == 4
        for _ in range(3):
            await keeper.settle(first, 0.02)
            await keeper.settle(second)
            await keeper.settle(third, float("nan"))
            await keeper.release(fourth)
        assert keeper.under_way == 0
        assert await balance(keeper, holder) == Balance(spent=22 * UNITS // 100, calls=3)
        await keeper.settle(Lease(id="foreign", holder=holder, amount=5), 1.0)
        assert (await balance(keeper, holder)).calls == 3

    run(path, test)


def test_a_task_that_is_cancelled_anywhere_leaves_nothing(path: Path) -> None:
    """Cancelled at its n-th step, for every n: it is reserved and settled, or neither."""

    class Slow(SqliteStore):
        async def reserve(self, hold: Hold) -> Refusal | None:
            await asyncio.sleep(0)
            refused = await super().reserve(hold)
            await asyncio.sleep(0)
            return refused

        async def settle(self, lease: str, amount: int, calls: int = 1) -> None:
            await asyncio.sleep(0)
            await super().settle(lease, amount, calls)
            await asyncio.sleep(0)

    async def request(keeper: Keeper, holder: Holder) -> None:
        lease = await keeper.reserve(holder, 0.1)
        try:
            await asyncio.sleep(0)
        finally:
            await keeper.settle(lease, 0.05)

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, Limits(key=Bounds(dollars=1e5)))
        finished = 0
        for steps in range(1, 40):
            task = asyncio.create_task(request(keeper, holder))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            for _ in range(20):
                await asyncio.sleep(0)
            finished += not task.cancelled()
            found = await balance(keeper, holder)
            assert (keeper.under_way, found.reserved, found.under_way) == (0, 0, 0), steps
            assert found.spent == found.calls * 5 * UNITS // 100
        assert finished > 5
        assert found.calls > finished, "some were cancelled while they were called"

    run(path, test, store=Slow(path))


def test_living_processes_renew_their_leases(path: Path, clocks: Clocks) -> None:
    """Three times in their life, so that no long answer loses its own."""

    async def test(keeper: Keeper) -> None:
        holder = await made(keeper, ONE_DOLLAR)
        lease = await keeper.reserve(holder, 1.0)
        for _ in range(10):
            await clocks.forward(50.0)
            await keeper._pulse()
        with pytest.raises(OverLimit):
            await keeper.reserve(holder, 0.1)
        await keeper.settle(lease, 0.2)
        assert await balance(keeper, holder) == Balance(spent=UNITS // 5, calls=1)

    run(path, test, store=clocks.store(path))


def test_the_pulse_beats_by_itself(path: Path) -> None:
    """From `open` to `aclose`."""

    async def test(keeper: Keeper) -> None:
        while not store.asked["renew"]:
            await asyncio.sleep(0.001)

    store = Fickle(SqliteStore(path))
    run(path, test, store=store, lease_seconds=0.003)


# ---------------------------------------------------------------------------- a store that is down


def test_who_has_limits_is_refused_while_the_store_is_down(path: Path) -> None:
    """Quickly: it is asked once a second, and by one request."""
    now = 1_000.0

    async def test(keeper: Keeper) -> None:
        nonlocal now
        holder = await made(keeper, ONE_DOLLAR)
        store.down = True
        store.asked.clear()
        for _ in range(50):
            with pytest.raises(StoreDown) as caught:
                await keeper.reserve(holder, 0.1)
            assert caught.value.status == 503
            assert 0 < caught.value.retry_after <= 1.0
        assert store.asked == {"reserve": 1}
        assert keeper.under_way == 0
        now += 1.0
        with pytest.raises(StoreDown):
            await keeper.reserve(holder, 0.1)
        assert store.asked == {"reserve": 2}
        store.down = False
        now += 1.0
        await keeper.settle(await keeper.reserve(holder, 1.0), 1.0)
        await keeper._pulse()
        assert keeper.unsettled == 0
        assert await balance(keeper, holder) == Balance(spent=UNITS, calls=1)

    store = Fickle(SqliteStore(path))
    run(path, test, store=store, clock=lambda: now)


@pytest.mark.parametrize("grace", [0.0, 300.0])
def test_who_has_none_is_served_for_as_long_as_configured(grace: float, path: Path) -> None:
    """A key that was known; one that was not cannot be told from a wrong one."""
    now = 1_000.0

    async def test(keeper: Keeper) -> None:
        nonlocal now
        (record, token), (_, unknown) = new("ada"), new("eve")
        await store.add(record)
        await keeper.identify(token)
        store.down = True
        now += 5.0 + max(grace - 0.001, 0.0)
        if grace:
            holder = await keeper.identify(token)
            await keeper.settle(await keeper.reserve(holder, 1.0), 1.0)
            now += 0.001
        for key in (token, unknown):
            with pytest.raises(StoreDown):
                await keeper.identify(key)
        store.down = False
        now += 1.0
        assert (await keeper.identify(token)).name == "ada"
        with pytest.raises(Unauthorized):
            await keeper.identify(unknown)

    store = Fickle(SqliteStore(path))
    run(path, test, store=store, clock=lambda: now, grace=grace)


def test_a_call_that_ends_meanwhile_is_booked_afterwards(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, even where its lease ran out; the request notices nothing."""
    clocks = Clocks()
    now = 1_000.0

    async def test(keeper: Keeper) -> None:
        nonlocal now
        holder = await made(keeper, ONE_DOLLAR)
        lease = await keeper.reserve(holder, 0.5)
        store.down = True
        await keeper.settle(lease, 0.4)
        await keeper.settle(lease, 0.4)
        assert (keeper.under_way, keeper.unsettled) == (0, 1)
        await clocks.forward(61.0)
        await keeper._pulse()
        store.down = False
        await store.inner.renew([], 60.0)  # as another process does
        assert await balance(keeper, holder) == Balance()
        now += 1.0
        await keeper._pulse()
        assert keeper.unsettled == 0
        assert await balance(keeper, holder) == Balance(spent=4 * UNITS // 10, calls=1)

    store = Fickle(clocks.store(path))
    run(path, test, store=store, clock=lambda: now)
    assert "booked when it is back" in caplog.text


# ---------------------------------------------------------------------------- the command


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(keys, list(arguments), standalone_mode=False)


def test_a_key_is_made_listed_and_revoked(path: Path) -> None:
    """It is shown once, alone on stdout, and the limits are those that were asked for."""
    store = ["--store", f"sqlite:{path}"]
    done = invoke(
        *("add", "ada", *store, "--model", "small", "--dollars", "5", "--calls-per-minute", "60"),
        *("--user-dollars-per-day", "0.1"),
    )
    assert done.exception is None, done.exception
    token = done.stdout.strip()
    assert well_formed(token)
    assert token not in done.stderr

    async def look(keeper: Keeper) -> None:
        holder = await keeper.identify(token)
        assert holder == Holder(
            name="ada",
            id=holder.id,
            models=("small",),
            limits=Limits(
                key=Bounds(dollars=5.0, calls_per_minute=60), user=Bounds(dollars_per_day=0.1)
            ),
        )
        await keeper.settle(await keeper.reserve(holder, 0.1), 0.25)

    run(path, look)
    [row] = json.loads(invoke("list", *store, "--json").stdout)
    assert row["limits"] == {"dollars": 5.0, "calls_per_minute": 60, "user_dollars_per_day": 0.1}
    assert (row["spent"], row["reserved"], row["calls"]) == (0.25, 0.0, 1)
    listed = invoke("list", *store).stdout
    for word in ("ada", row["id"], "valid", "small", "user-dollars-per-day 0.1", "$0.25"):
        assert word in listed
    assert token not in listed
    assert invoke("revoke", "ada", *store).exception is None
    assert "revoked" in invoke("list", *store).stdout

    async def refuse(keeper: Keeper) -> None:
        with pytest.raises(Unauthorized):
            await keeper.identify(token)

    run(path, refuse)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "a b"], "a name is"),
        (["add", "ada"], "already"),
        (["revoke", "bob"], "no valid key 'bob'"),
        (["revoke", "lr-secret"], "looks like a key"),
    ],
)
def test_mistakes_are_sentences(arguments: list[str], said: str, path: Path) -> None:
    """And show no secret."""
    store = ["--store", str(path)]
    invoke("add", "ada", *store)
    failure = invoke(*arguments, *store).exception
    assert isinstance(failure, LLMRouterError)
    error = str(failure)

    assert failure.exit_code == 2
    assert said in error
    assert "lr-secret" not in error


def test_an_address_names_its_house(tmp_path: Path) -> None:
    """A path alone is a file."""
    for address in (f"{tmp_path}/a.db", f"sqlite:{tmp_path}/a.db", f"sqlite://{tmp_path}/a.db"):
        store = store_at(address)
        assert isinstance(store, SqliteStore)
        assert store.path == tmp_path / "a.db"
    with pytest.raises(ConfigError, match="names no file"):
        store_at("sqlite:")
