"""What a key, and each user of it, may spend and how often it may call."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from attrs import asdict, field, fields, frozen, validators

from llmrouter_plugin_server.keeping.amounts import LARGEST, units

_dollars = validators.optional(
    validators.and_(validators.gt(0.0), validators.le(LARGEST), validators.lt(math.inf))
)
_count = validators.optional(validators.and_(validators.ge(1), validators.le(10**9)))
_rate = validators.optional(validators.and_(validators.ge(1), validators.le(10**6)))


@frozen(kw_only=True)
class Charge:
    """One account that a call is booked on, and what may be on it at most.

    Attributes:
        account: Its name; a store adds the day to it where it is *daily*.
        daily: Whether a new account begins each day, at midnight UTC by the store's clock.
        dollars: Picodollars, spent and reserved together.
        calls: Calls, ended and under way together.
        calls_at_once: Calls under way.
        calls_per_minute: Calls that may start: that many at once, and then one every
            60 / n seconds.
    """

    account: str
    daily: bool = False
    dollars: int | None = None
    calls: int | None = None
    calls_at_once: int | None = None
    calls_per_minute: int | None = None


@frozen(kw_only=True)
class Bounds:
    """Limits of one key or of one user; None is no limit.

    Attributes:
        dollars: Over its whole life.
        dollars_per_day: From midnight to midnight, UTC.
        calls: Over its whole life.
        calls_per_day: From midnight to midnight, UTC.
        calls_per_minute: A bucket of that many calls, refilled evenly over a minute.
        calls_at_once: Calls under way at the same time.
    """

    dollars: float | None = field(default=None, validator=_dollars)
    dollars_per_day: float | None = field(default=None, validator=_dollars)
    calls: int | None = field(default=None, validator=_count)
    calls_per_day: int | None = field(default=None, validator=_count)
    calls_per_minute: int | None = field(default=None, validator=_rate)
    calls_at_once: int | None = field(default=None, validator=_count)

    def __bool__(self) -> bool:
        """Return whether there is any limit."""
        return any(getattr(self, one.name) is not None for one in fields(Bounds))

    def charges(self, account: str) -> tuple[Charge, ...]:
        """Return what a call is booked on: the account, and that of the day where it is limited.

        Without any limit there is nothing to book.
        """
        if not self:
            return ()
        ever = Charge(
            account=account,
            dollars=None if self.dollars is None else units(self.dollars),
            calls=self.calls,
            calls_at_once=self.calls_at_once,
            calls_per_minute=self.calls_per_minute,
        )
        if self.dollars_per_day is None and self.calls_per_day is None:
            return (ever,)
        day = Charge(
            account=account,
            daily=True,
            dollars=None if self.dollars_per_day is None else units(self.dollars_per_day),
            calls=self.calls_per_day,
        )
        return (ever, day)

    def table(self) -> dict[str, Any]:
        """Return the limits that there are, by name."""
        return asdict(self, filter=lambda _, value: value is not None)


_UNBOUND = Bounds()


@frozen(kw_only=True)
class Limits:
    """Limits of a key as a whole, and of each of its users on top.

    Attributes:
        key: What all its calls together may do.
        user: What the calls of one user may do; calls that name no user share one account.
    """

    key: Bounds = _UNBOUND
    user: Bounds = _UNBOUND

    def __bool__(self) -> bool:
        """Return whether there is any limit."""
        return bool(self.key) or bool(self.user)

    def table(self) -> dict[str, Any]:
        """Return both as tables that `limits_of` reads."""
        return {"key": self.key.table(), "user": self.user.table()}


NO_LIMITS = Limits()


def limits_of(table: dict[str, Any]) -> Limits:
    """Return what `Limits.table` wrote."""
    return Limits(key=Bounds(**table["key"]), user=Bounds(**table["user"]))


def key_account(key: str) -> str:
    """Return the account of the key with id *key*."""
    return f"key:{key}"


def user_account(key: str, user: str | None) -> str:
    """Return the account of *user* of a key: of bounded length, and without the name in it."""
    named = hashlib.sha256((user or "").encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"user:{key}:{named}"
