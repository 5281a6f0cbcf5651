"""What every store must do, as checks that the tests of each run.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        asyncio.run(check(store, forward))

Each takes a store that is open and empty, and `forward`, which moves the store's clock on.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

from llmrouter_plugin_server.keeping.amounts import UNITS
from llmrouter_plugin_server.keeping.errors import KeyTaken, UnknownKey
from llmrouter_plugin_server.keeping.limits import Bounds, Charge, Limits
from llmrouter_plugin_server.keeping.records import new
from llmrouter_plugin_server.keeping.store import Balance, Hold, Refusal, Store

Forward = Callable[[float], Awaitable[None]]
Check = Callable[[Store, Forward], Awaitable[None]]

_CENT = UNITS // 100
_PLAIN = Charge(account="key:a")


def _hold(
    lease: str, amount: int, *charges: Charge, seconds: float = 60.0, book: bool = False
) -> Hold:
    return Hold(
        lease=lease,
        amount=amount,
        charges=charges or (_PLAIN,),
        seconds=seconds,
        lost="book" if book else "return",
    )


async def _balance(store: Store, charge: Charge = _PLAIN) -> Balance:
    return (await store.balances([charge]))[charge]


def _why(refused: Refusal | None) -> str | None:
    return None if refused is None else refused.reason


async def a_key_is_found_by_its_digest_alone(store: Store, forward: Forward) -> None:
    """All of it comes back, and nothing comes for another digest."""
    limits = Limits(key=Bounds(dollars=0.1, calls_at_once=3), user=Bounds(calls_per_day=7))
    record, _ = new("ada", models=["small", "large"], region="eu", limits=limits)
    await store.add(record)

    assert await store.find(record.digest) == record
    assert await store.find(bytes(32)) is None
    assert await store.records() == [record]


async def a_name_is_free_again_once_its_key_is_revoked(store: Store, forward: Forward) -> None:
    """Find a revoked key as such, and revoke it by name or id, once."""
    first, second = new("ada")[0], new("ada")[0]
    await store.add(first)
    try:
        await store.add(second)
    except KeyTaken as error:
        assert "'ada'" in str(error)  # noqa: PT017 - this module needs no pytest
    else:
        raise AssertionError("two valid keys have one name")
    assert (await store.revoke("ada")).id == first.id
    await store.add(second)
    found = await store.find(first.digest)
    assert found is not None
    assert found.revoked is not None
    assert (await store.revoke(second.id)).name == "ada"
    for gone in ("ada", first.id, "nobody"):
        try:
            await store.revoke(gone)
        except UnknownKey:
            continue
        raise AssertionError(f"'{gone}' was revoked twice")


async def dollars_are_exact_to_the_last(store: Store, forward: Forward) -> None:
    """Amounts above 2^53 picodollars too, where a float would let one too many pass."""
    most = 900_000 * UNITS + 1
    charge = Charge(account="key:a", dollars=most)
    assert await store.reserve(_hold("1", most - 1, charge)) is None
    refused = await store.reserve(_hold("2", 2, charge))
    assert refused == Refusal(
        charge=charge, reason="dollars", retry_after=1.0, spent=0, reserved=most - 1
    )
    assert await store.reserve(_hold("3", 1, charge)) is None
    assert _why(await store.reserve(_hold("4", 1, charge))) == "dollars"
    assert await store.reserve(_hold("5", 0, charge)) is None, "nothing always fits"
    await store.settle("1", most - 3)
    await store.settle("3", 2)
    assert await store.reserve(_hold("6", 1, charge)) is None
    refused = await store.reserve(_hold("7", 2, charge))
    assert refused is not None
    assert refused.retry_after is None, "what is spent does not come back"
    balance = await _balance(store)
    assert balance == Balance(spent=most - 1, reserved=1, calls=2, under_way=2)


async def a_call_that_does_not_fit_one_account_is_on_none(store: Store, forward: Forward) -> None:
    """Name the first limit that it does not fit, and leave the others as before."""
    wide = Charge(account="key:a", dollars=UNITS, calls_per_minute=1)
    tight = Charge(account="user:a", dollars=_CENT)
    refused = await store.reserve(_hold("1", 2 * _CENT, wide, tight))
    assert refused is not None
    assert (refused.charge, refused.reason) == (tight, "dollars")
    assert refused.retry_after is None, "it never fits"
    assert await store.balances([wide, tight]) == {wide: Balance(), tight: Balance()}
    assert await store.reserve(_hold("2", _CENT, wide, tight)) is None, "the rate was not used"


async def calls_are_counted_while_under_way_and_after(store: Store, forward: Forward) -> None:
    """Count no call that is released."""
    charge = Charge(account="key:a", calls=2)
    assert await store.reserve(_hold("1", 0, charge)) is None
    assert await store.reserve(_hold("2", 0, charge)) is None
    refused = await store.reserve(_hold("3", 0, charge))
    assert refused is not None
    assert (refused.reason, refused.retry_after) == ("calls", 1.0)
    await store.settle("1", 0, calls=0)
    assert await store.reserve(_hold("3", 0, charge)) is None
    await store.settle("2", 0)
    await store.settle("3", 0)
    refused = await store.reserve(_hold("4", 0, charge))
    assert refused is not None
    assert refused.retry_after is None


async def calls_at_once_end_when_they_are_settled(store: Store, forward: Forward) -> None:
    """Whatever they cost."""
    charge = Charge(account="key:a", calls_at_once=2)
    for lease in "12":
        assert await store.reserve(_hold(lease, _CENT, charge)) is None
    assert _why(await store.reserve(_hold("3", 0, charge))) == "calls_at_once"
    await store.settle("1", 5 * _CENT)
    assert await store.reserve(_hold("3", 0, charge)) is None


async def a_rate_is_a_bucket_that_fills_evenly(store: Store, forward: Forward) -> None:
    """Three a minute: three at once, then one every twenty seconds, never more than three."""
    charge, names = Charge(account="key:a", calls_per_minute=3), itertools.count()

    async def passed() -> int:
        for count in range(10):
            refused = await store.reserve(_hold(str(next(names)), 0, charge))
            if refused is not None:
                assert refused.reason == "calls_per_minute"
                assert refused.retry_after is not None
                assert 18.0 < refused.retry_after <= 20.0, refused.retry_after
                return count
        return 10

    assert await passed() == 3
    await forward(20.0)
    assert await passed() == 1
    await forward(40.0)
    assert await passed() == 2
    await forward(3600.0)
    assert await passed() == 3


async def a_day_has_an_account_of_its_own(store: Store, forward: Forward) -> None:
    """Beside that of the key's life; at its end one may try again."""
    ever = Charge(account="key:a", dollars=UNITS)
    today = Charge(account="key:a", daily=True, dollars=_CENT, calls=5)
    assert await store.reserve(_hold("1", _CENT, ever, today)) is None
    await store.settle("1", _CENT)
    refused = await store.reserve(_hold("2", 1, ever, today))
    assert refused is not None
    assert refused.charge == today
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 86_400
    balances = await store.balances([ever, today])
    assert balances[ever] == balances[today] == Balance(spent=_CENT, calls=1)


async def settling_books_what_it_cost_and_once(store: Store, forward: Forward) -> None:
    """Less or more than was reserved; a second time, or a lease that never was, books nothing."""
    assert await store.reserve(_hold("1", 5 * _CENT)) is None
    assert await store.reserve(_hold("2", _CENT)) is None
    for lease, amount in (("1", _CENT), ("1", _CENT), ("2", 3 * _CENT), ("nothing", _CENT)):
        await store.settle(lease, amount)
    assert await _balance(store) == Balance(spent=4 * _CENT, calls=2)


async def reserving_twice_reserves_once(store: Store, forward: Forward) -> None:
    """As a client does that did not hear the answer."""
    charge = Charge(account="key:a", dollars=_CENT)
    for _ in range(3):
        assert await store.reserve(_hold("1", _CENT, charge)) is None
    assert await _balance(store) == Balance(reserved=_CENT, under_way=1)


async def a_lease_that_runs_out_returns(store: Store, forward: Forward) -> None:
    """Not before its time, and with its call."""
    charge = Charge(account="key:a", dollars=_CENT, calls=1)
    assert await store.reserve(_hold("1", _CENT, charge, seconds=60.0)) is None
    await forward(59.0)
    assert _why(await store.reserve(_hold("2", _CENT, charge))) == "dollars"
    await forward(1.5)
    assert await store.reserve(_hold("2", _CENT, charge)) is None
    assert await _balance(store) == Balance(reserved=_CENT, under_way=1)


async def a_lost_lease_may_count_as_spent(store: Store, forward: Forward) -> None:
    """Where nobody knows what the provider billed."""
    charge = Charge(account="key:a", dollars=_CENT)
    assert await store.reserve(_hold("1", _CENT, charge, book=True)) is None
    await forward(61.0)
    assert _why(await store.reserve(_hold("2", 1, charge))) == "dollars"
    assert await _balance(store) == Balance(spent=_CENT, calls=1)
    await store.settle("1", _CENT // 4)
    assert await _balance(store) == Balance(spent=_CENT // 4, calls=1)


async def a_call_that_ends_after_its_lease_is_booked(store: Store, forward: Forward) -> None:
    """Once, too."""
    assert await store.reserve(_hold("1", _CENT)) is None
    await forward(61.0)
    await store.renew([], 60.0)
    assert await _balance(store) == Balance()
    await store.settle("1", 2 * _CENT)
    await store.settle("1", 2 * _CENT)
    assert await _balance(store) == Balance(spent=2 * _CENT, calls=1)


async def a_lease_that_is_renewed_lives_on(store: Store, forward: Forward) -> None:
    """From the moment it is renewed; others, and lost ones, are not."""
    for lease in "12":
        assert await store.reserve(_hold(lease, _CENT)) is None
    await forward(40.0)
    await store.renew(["1", "unknown"], 60.0)
    await forward(40.0)
    await store.renew([], 60.0)
    assert await _balance(store) == Balance(reserved=_CENT, under_way=1)
    await store.renew(["2"], 60.0)
    await forward(25.0)
    await store.renew([], 60.0)
    assert await _balance(store) == Balance()


CHECKS: tuple[Check, ...] = (
    a_key_is_found_by_its_digest_alone,
    a_name_is_free_again_once_its_key_is_revoked,
    dollars_are_exact_to_the_last,
    a_call_that_does_not_fit_one_account_is_on_none,
    calls_are_counted_while_under_way_and_after,
    calls_at_once_end_when_they_are_settled,
    a_rate_is_a_bucket_that_fills_evenly,
    a_day_has_an_account_of_its_own,
    settling_books_what_it_cost_and_once,
    reserving_twice_reserves_once,
    a_lease_that_runs_out_returns,
    a_lost_lease_may_count_as_spent,
    a_call_that_ends_after_its_lease_is_booked,
    a_lease_that_is_renewed_lives_on,
)
