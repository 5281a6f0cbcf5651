"""What an evaluation found, as plain frozen data that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from attrs import asdict, field, frozen

Interval = tuple[float, float]


@frozen(kw_only=True)
class Figure:
    """One number with its 95 % interval.

    Attributes:
        value: The figure on the outcomes as they are.
        interval: The 2.5 % and 97.5 % points over the resamples.
    """

    value: float
    interval: Interval


@frozen(kw_only=True)
class Row:
    """One policy's figures; intervals are 95 %.

    Attributes:
        policy: Name of the policy.
        quality: Mean score.
        quality_interval: Its interval.
        cost: Mean US dollars per query, every inner call included, or None where unknown.
        cost_interval: Its interval.
        gain: Mean score minus that of *best single*, on the same queries.
        gain_interval: Its interval, paired.
        shares: Share of the queries each model answered.
        answered: Queries for which the outcome of the policy is recorded.
        regret: Mean score of the per-query oracle minus this one, on the same queries, or None
            where no oracle was asked for.
        regret_interval: Its interval, paired.
    """

    policy: str
    quality: float
    quality_interval: Interval
    cost: float | None
    cost_interval: Interval | None
    gain: float
    gain_interval: Interval
    shares: dict[str, float]
    answered: int
    regret: float | None = None
    regret_interval: Interval | None = None


@frozen(kw_only=True)
class Point:
    """A place in the plane of cost and quality.

    Attributes:
        label: The setting of the knob, or the model.
        quality: Mean score.
        quality_interval: Its interval.
        cost: Mean US dollars per query, or None where unknown.
        cost_interval: Its interval.
    """

    label: str
    quality: float
    quality_interval: Interval
    cost: float | None
    cost_interval: Interval | None


@frozen(kw_only=True)
class Calibration:
    """How far the predicted quality of one model can be taken at its word.

    Attributes:
        model: The model.
        ece: Expected calibration error over ten bins of equal count.
        brier: Mean squared difference of predicted and observed quality.
        bins: For each bin the mean prediction, the mean observation and the number of queries.
        ece_interval: The interval of *ece*; the bins stay as they are.
        brier_interval: The interval of *brier*.
    """

    model: str
    ece: float
    brier: float
    bins: tuple[tuple[float, float, int], ...]
    ece_interval: Interval | None = None
    brier_interval: Interval | None = None


@frozen(kw_only=True)
class Slice:
    """The figures of one task.

    Attributes:
        task: The task; `""` holds the queries that name none.
        queries: How many queries it has.
        router: Mean score of the router.
        best_single: Mean score of the model that is best over all training outcomes.
        oracle: Mean score of the per-query oracle.
        gain: Router minus best single, on the same queries.
        gain_interval: Its interval, paired.
    """

    task: str
    queries: int
    router: float
    best_single: float
    oracle: float
    gain: float
    gain_interval: Interval


@frozen(kw_only=True)
class Report:
    """The rows of an evaluation, the router's first, and what follows from them.

    Attributes:
        rows: One per policy.
        queries: How many queries were replayed.
        resamples: How many bootstrap resamples the intervals rest on.
        seed: Seed of the resampling and of every draw.
        curve: The router along its trade-off knob; one point where it has none.
        singles: Each model alone.
        aiq: RouterBench's AIQ of *curve*, over the cost range of *singles*; None where costs are
            unknown and where one point is all there is of a curve.
        zero_aiq: AIQ of the Zero router, the hull of *singles*.
        aiq_gain: *aiq* minus *zero_aiq*, paired.
        pair: Names of the weak and the strong model behind the next four figures.
        pgr: RouteLLM's recovered share of the quality gap between the pair, by the router's row.
        apgr: Its mean over all shares of calls to the strong model; 0.5 is chance.
        cpt50: Share of calls to the strong model that recovers 50 % of the gap.
        cpt80: Share of calls to the strong model that recovers 80 % of the gap.
        quality_at_cost: Quality on the hull of *curve* at the cost of best single, minus the
            quality of best single.
        cost_at_quality: Cost on the hull of *curve* at the quality of best single, over the cost
            of best single; inf where that quality is never reached.
        flip_rate: Share of the queries whose chosen model changes under noise in the wording.
        calibration: One per model of which quality is predicted.
        tasks: One per task, the largest first.
        card: What was evaluated: parts, versions, models, data, counts.
    """

    rows: tuple[Row, ...]
    queries: int
    resamples: int
    seed: int
    curve: tuple[Point, ...] = ()
    singles: tuple[Point, ...] = ()
    aiq: Figure | None = None
    zero_aiq: Figure | None = None
    aiq_gain: Figure | None = None
    pair: tuple[str, str] | None = None
    pgr: Figure | None = None
    apgr: Figure | None = None
    cpt50: Figure | None = None
    cpt80: Figure | None = None
    quality_at_cost: Figure | None = None
    cost_at_quality: Figure | None = None
    flip_rate: Figure | None = None
    calibration: tuple[Calibration, ...] = ()
    tasks: tuple[Slice, ...] = ()
    card: dict[str, Any] = field(factory=dict)

    def row(self, policy: str) -> Row:
        """Return the row of *policy*."""
        return next(row for row in self.rows if row.policy == policy)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, ready for JSON; unknown numbers are None."""
        return asdict(self, value_serializer=lambda _, __, value: plain(value))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the report of which `to_dict` gave *data*.

        Keys it does not know are left out. A number that JSON does not have is NaN.
        """
        from cattrs import Converter

        converter = Converter()
        converter.register_structure_hook(
            float, lambda value, _: math.nan if value is None else float(value)
        )
        return converter.structure(data, cls)


def plain(value: Any) -> Any:
    """Return *value*, or None if it is a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
