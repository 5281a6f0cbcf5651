"""Routers against each other, on the same queries and the same resamples."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, evolve, frozen

from llmrouter_core.evaluation import curves
from llmrouter_core.evaluation.deciding import answer_costs
from llmrouter_core.evaluation.judging import refuse_leaks
from llmrouter_core.evaluation.policies import baselines, expected
from llmrouter_core.evaluation.replay import Replay, replay
from llmrouter_core.evaluation.report import Figure, Row, plain
from llmrouter_core.evaluation.resampling import Means, figure
from llmrouter_core.evaluation.rows import BEST, ORACLE, columns, place, rows
from llmrouter_core.types import Floats

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset

_LEVELS = 5  # costs at which two curves are compared


@frozen(kw_only=True)
class Level:
    """Two routers at the same cost, each on the hull of its curve.

    Attributes:
        cost: US dollars per query.
        quality: Quality of the first minus that of the second there.
        better: Name of the better one, or None where the interval includes zero.
    """

    cost: float
    quality: Figure
    better: str | None


@frozen(kw_only=True)
class Duel:
    """Two routers, paired.

    Attributes:
        first: Name of the first.
        second: Name of the second.
        quality: Mean score of the first minus that of the second, as each is set.
        cost: The same of US dollars per query, or None where unknown.
        aiq: The same of AIQ over the costs of the single models, or None where unknown.
        better: Name of the one with the higher quality, or None if that may be chance.
        levels: The two along their knobs, from cheap to dear.
    """

    first: str
    second: str
    quality: Figure
    cost: Figure | None
    aiq: Figure | None
    better: str | None
    levels: tuple[Level, ...]


@frozen(kw_only=True)
class Comparison:
    """Routers side by side.

    Attributes:
        rows: One per router, then best single and the oracle.
        duels: One per pair of routers.
        queries: How many queries were replayed.
        resamples: How many bootstrap resamples the intervals rest on.
        seed: Seed of the resampling.
    """

    rows: tuple[Row, ...]
    duels: tuple[Duel, ...]
    queries: int
    resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data, ready for JSON; unknown numbers are None."""
        return asdict(self, value_serializer=lambda _, __, value: plain(value))


def versus(
    routers: Mapping[str, LLMRouter],
    test: Dataset,
    *,
    train: Dataset,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    texts: Mapping[tuple[str, str], str] | None = None,
) -> Comparison:
    """Replay *routers* over the outcomes in *test* and return their paired differences.

    Args:
        routers: Two or more by name, over the same pool.
        test: Outcomes none of them has learned from.
        train: The outcomes that say which single model is best.
        resamples: Bootstrap resamples.
        seed: Seed of the resampling.
        progress: Called with the share done, from 0 to 1.
        texts: Recorded answers by query id and model, for solvers that read them.

    Raises:
        DatasetError: A model has no outcomes, or train and test share a group.
        ValueError: There are fewer than two routers, or their pools differ.
    """
    if len(routers) < 2:
        raise ValueError("a comparison needs at least two routers")
    tell = progress or (lambda share: None)
    pool = next(iter(routers.values())).pipeline.models
    names = [model.name for model in pool]
    for name, router in routers.items():
        if sorted(model.name for model in router.pipeline.models) != sorted(names):
            raise ValueError(f"'{name}' chooses among other models; compare routers of one pool")
    whole, test, train = test, test.for_models(names), train.for_models(names)
    refuse_leaks(test, train)
    costs = answer_costs(test, pool)
    runs: dict[str, Replay] = {}
    for done, (name, router) in enumerate(routers.items()):

        def go_on(share: float, done: int = done) -> None:
            tell(0.8 * (done + share) / len(routers))

        runs[name] = replay(router, whole, go_on, texts)
    shares = baselines(test, train, costs)
    outcomes = {}
    for name, run in runs.items():
        own = [model.name for model in routers[name].pipeline.models]  # in an order of its own
        shown = run.own.shares[:, [own.index(model) for model in names]]
        outcomes[name] = evolve(run.own, shares=shown)
    for name in (BEST, ORACLE):
        outcomes[name] = expected(shares[name], test.quality, costs)
    found = columns(outcomes)
    for name, run in runs.items():
        for label, outcome in run.curve.items():
            found.update(place(("curve", name, label), outcome))
    for j in range(len(pool)):
        found["single", j] = costs[:, j]
    for one, other in combinations(runs, 2):
        for what in ("quality", "cost"):
            found["duel", one, other, what] = getattr(runs[one].own, what) - getattr(
                runs[other].own, what
            )
    drawn = Means(found, test.groups, resamples, seed)
    tell(1.0)
    return Comparison(
        rows=rows(outcomes, drawn, names),
        duels=tuple(
            _duel(one, other, runs, drawn, len(pool)) for one, other in combinations(runs, 2)
        ),
        queries=len(test),
        resamples=resamples,
        seed=seed,
    )


def _duel(one: str, other: str, runs: Mapping[str, Replay], drawn: Means, models: int) -> Duel:
    quality, cost = (drawn.figure(("duel", one, other, what)) for what in ("quality", "cost"))
    lines = [_curve(name, runs[name], drawn) for name in (one, other)]
    prices = drawn.stack([("single", j) for j in range(models)])
    aiq: Figure | None = None
    levels: tuple[Level, ...] = ()
    if not np.isnan(prices[0]).all() and not any(np.isnan(costs[0]).all() for costs, _ in lines):
        low, high = np.fmin.reduce(prices, axis=1), np.fmax.reduce(prices, axis=1)
        areas = [curves.each(curves.area, *line, low, high) for line in lines]
        points = min(len(runs[name].curve) for name in (one, other))
        if points > 1 and not np.isnan(areas[0][0] - areas[1][0]):
            aiq = figure(areas[0] - areas[1])
        levels = _levels((one, other), lines)
    return Duel(
        first=one,
        second=other,
        quality=quality,
        cost=None if np.isnan(cost.value) else cost,
        aiq=aiq,
        better=_better(quality, one, other),
        levels=levels,
    )


def _curve(name: str, run: Replay, drawn: Means) -> tuple[Floats, Floats]:
    labels: list[Hashable] = [("curve", name, label) for label in run.curve]
    costs, quality = (
        drawn.stack([(label, what) for label in labels]) for what in ("cost", "quality")
    )
    return costs, quality


def _levels(names: tuple[str, str], lines: list[tuple[Floats, Floats]]) -> tuple[Level, ...]:
    """Return the two at costs that both can spend, evenly on a logarithmic scale."""
    ends = [curves.hull(costs[0], quality[0])[0] for costs, quality in lines]
    low, high = max(x[0] for x in ends), max(x[-1] for x in ends)
    if not 0 < low < high:
        places = [float(low)]
    else:
        places = [float(place) for place in np.geomspace(low, high, _LEVELS)]
    found = []
    for spent in places:
        here = np.full(len(lines[0][0]), spent)
        one, other = (curves.each(curves.height, *line, here) for line in lines)
        gap = figure(one - other)
        found.append(Level(cost=spent, quality=gap, better=_better(gap, *names)))
    return tuple(found)


def _better(gap: Figure, one: str, other: str) -> str | None:
    low, high = gap.interval
    return one if low > 0 else other if high < 0 else None
