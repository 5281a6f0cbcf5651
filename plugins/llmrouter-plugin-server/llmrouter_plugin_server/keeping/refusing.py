"""Whether a call fits an account: the arithmetic of every limit, in whole numbers."""

from __future__ import annotations

from attrs import frozen

from llmrouter_plugin_server.keeping.limits import Charge
from llmrouter_plugin_server.keeping.store import Reason, Refusal

_MINUTE = 60 * 10**9  # nanoseconds
_MOMENT = 1.0  # seconds after which calls under way may have made room
_DAY = 86_400


@frozen
class Standing:
    """An account before a call.

    Attributes:
        spent: Picodollars of calls that ended.
        reserved: Picodollars of calls under way.
        calls: Calls that ended.
        under_way: Calls that did not.
        free_at: Nanoseconds of the store's clock at which the bucket of calls is full again.
    """

    spent: int = 0
    reserved: int = 0
    calls: int = 0
    under_way: int = 0
    free_at: int = 0


def refusal(
    charge: Charge, amount: int, standing: Standing, now: int, wall: float
) -> Refusal | None:
    """Return why a call over *amount* does not fit, or None where it does.

    Args:
        charge: The account's limits.
        amount: Picodollars that it reserves.
        standing: What is on the account.
        now: Nanoseconds of the store's clock.
        wall: Seconds of the Unix time.
    """
    spent, reserved = standing.spent, standing.reserved
    midnight = _DAY - wall % _DAY if charge.daily else None

    def no(reason: Reason, wait: float | None) -> Refusal:
        return Refusal(
            charge=charge, reason=reason, retry_after=wait, spent=spent, reserved=reserved
        )

    if charge.dollars is not None and amount and spent + reserved + amount > charge.dollars:
        if spent + amount <= charge.dollars:
            return no("dollars", _MOMENT)
        return no("dollars", midnight if amount <= charge.dollars else None)
    if charge.calls is not None and standing.calls + standing.under_way >= charge.calls:
        return no("calls", midnight if standing.calls >= charge.calls else _MOMENT)
    if charge.calls_at_once is not None and standing.under_way >= charge.calls_at_once:
        return no("calls_at_once", _MOMENT)
    late = started(charge, standing, now) - now - _MINUTE
    return no("calls_per_minute", late / 10**9) if late > 0 else None


def started(charge: Charge, standing: Standing, now: int) -> int:
    """Return when the bucket is full again after a call that starts *now*; 0 without a rate.

    This is the generic cell rate algorithm: n calls fit a minute, all of them at once if the
    bucket is full. A bucket that claims to need more than its minute was written on another clock,
    before the machine started.
    """
    if charge.calls_per_minute is None:
        return 0
    full = standing.free_at if standing.free_at <= now + _MINUTE else now
    return max(full, now) + _MINUTE // charge.calls_per_minute
