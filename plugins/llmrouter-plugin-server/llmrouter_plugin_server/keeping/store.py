"""What keeps keys and accounts: a protocol, so that another machine's memory will do as well.

An account holds what was spent, what is reserved, and how many calls have ended and are under way.
A *lease* is what one call has reserved on all its accounts. Every verb is one transaction, exact
between threads, processes and, where the store is shared, machines.

Time is the store's: leases and rates run on a clock that never goes back, and days are days of the
calendar in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, Self

from attrs import frozen

from llmrouter_plugin_server.keeping.limits import Charge
from llmrouter_plugin_server.keeping.records import Record

Reason = Literal["dollars", "calls", "calls_at_once", "calls_per_minute"]

TOMBSTONE = 86_400.0
"""Seconds for which a lease that ran out is remembered, so that its call can still be booked."""

DAYS = 3
"""Days for which the account of a day is kept: a clock set back must find it again."""


@frozen(kw_only=True)
class Hold:
    """What a call wants to reserve.

    Attributes:
        lease: A new random name for it.
        amount: Picodollars, on each account.
        charges: The accounts with their limits.
        seconds: After which it counts as lost, unless it is renewed.
        lost: What becomes of a lost lease: `return` gives the amount back, `book` takes it as
            spent and the call as made.
    """

    lease: str
    amount: int
    charges: tuple[Charge, ...]
    seconds: float
    lost: Literal["return", "book"] = "return"


@frozen(kw_only=True)
class Refusal:
    """Why nothing was reserved: the first limit that a call does not fit.

    Attributes:
        charge: The account and its limits.
        reason: Which of the limits.
        retry_after: Seconds after which it may fit; None where waiting does not help.
        spent: Picodollars spent on the account.
        reserved: Picodollars reserved on it.
    """

    charge: Charge
    reason: Reason
    retry_after: float | None
    spent: int = 0
    reserved: int = 0


@frozen(kw_only=True)
class Balance:
    """What is on an account.

    Attributes:
        spent: Picodollars of calls that ended.
        reserved: Picodollars of calls under way.
        calls: Calls that ended.
        under_way: Calls that did not.
    """

    spent: int = 0
    reserved: int = 0
    calls: int = 0
    under_way: int = 0


class Store(Protocol):
    """Keys and accounts. Every verb may raise `StoreDown`."""

    @classmethod
    def at(cls, address: str) -> Self:
        """Return the store at *address*, not opened yet.

        Raises:
            ConfigError: The address cannot be one.
        """

    async def open(self) -> None:
        """Get ready, and make what is missing."""

    async def aclose(self) -> None:
        """Let go of files and connections."""

    async def add(self, record: Record) -> None:
        """Keep a new key.

        Raises:
            KeyTaken: A valid key has its name.
        """

    async def find(self, digest: bytes) -> Record | None:
        """Return the key whose token has *digest*, revoked or not."""

    async def records(self) -> Sequence[Record]:
        """Return all keys, oldest first."""

    async def revoke(self, key: str) -> Record:
        """End the valid key of that name or id, and return what it was.

        Raises:
            UnknownKey: There is none.
        """

    async def reserve(self, hold: Hold) -> Refusal | None:
        """Reserve on every account of *hold*, or on none and say why.

        Nothing at all fits the dollars of every account, even of one that is used up. Asking
        twice for the same lease reserves once.
        """

    async def settle(self, lease: str, amount: int, calls: int = 1) -> None:
        """End *lease*: give back what it reserved and book *amount* and *calls*.

        A lease that ran out meanwhile is booked all the same. Asking twice books once.
        """

    async def renew(self, leases: Sequence[str], seconds: float) -> None:
        """Let *leases* run for *seconds* from now; drop what is too old to be asked for."""

    async def balances(self, charges: Sequence[Charge]) -> Mapping[Charge, Balance]:
        """Return what is on the accounts of *charges*, those of a day for today."""
