"""What a router saves in a month, and between which bounds."""

from __future__ import annotations

from attrs import evolve, frozen
from llmrouter_core.evaluation.report import Row

from llmrouter_plugin_report.figures import Interval, known, whole
from llmrouter_plugin_report.runs import Run

DAYS = 30
"""Days of a month."""

AGAINST = ("best single", "largest")
"""The fixed choices that a router is compared with."""


@frozen(kw_only=True)
class Saving:
    """The bill of a fixed choice minus that of the router.

    Attributes:
        policy: The fixed choice, or two that always ask the same model.
        model: The model it always asks, or None if nobody says.
        other: Dollars a month of the fixed choice, or None where its prices are unknown.
        router: Dollars a month of the router, or None where its prices are unknown.
        month: Dollars a month saved, or None where prices are unknown.
        interval: Bounds that hold *month* in at least 95 % of cases.
        quality: Mean score of the router minus that of the fixed choice, or None if unknown.
    """

    policy: str
    model: str | None
    other: float | None
    router: float | None
    month: float | None
    interval: Interval | None
    quality: float | None


def savings(run: Run, per_day: int) -> list[Saving]:
    """Return what the router of *run* saves at *per_day* queries, against each fixed choice."""
    found: list[Saving] = []
    for policy in AGAINST:
        row = run.row(policy)
        if row is None:
            continue
        same = next((one for one in found if one.model and one.model == run.model(policy)), None)
        if same:
            found[found.index(same)] = evolve(same, policy=f"{same.policy}, also the {policy}")
            continue
        saved, bounds = cheaper(run.router, row)
        found.append(
            Saving(
                policy=policy,
                model=run.model(policy),
                other=_month(row.cost, per_day),
                router=_month(run.router.cost, per_day),
                month=_month(saved, per_day),
                interval=bounds and (bounds[0] * per_day * DAYS, bounds[1] * per_day * DAYS),
                quality=_minus(run.router.quality, row.quality),
            )
        )
    return found


def cheaper(router: Row, other: Row) -> tuple[float | None, Interval | None]:
    """Return the dollars a query by which *router* is cheaper than *other*, and their bounds.

    The report has an interval for each cost and none for their difference. The ends of the two
    are subtracted crosswise, which is never too narrow: however two figures hang together, the
    standard error of their difference is at most the sum of theirs.
    """
    mine, theirs = whole(router.cost_interval), whole(other.cost_interval)
    saved = _minus(other.cost, router.cost)
    if saved is None or mine is None or theirs is None:
        return saved, None
    return saved, (theirs[0] - mine[1], theirs[1] - mine[0])


def _month(value: float | None, per_day: int) -> float | None:
    return value * per_day * DAYS if known(value) else None


def _minus(left: float | None, right: float | None) -> float | None:
    return left - right if known(left) and known(right) else None
