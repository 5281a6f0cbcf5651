"""Policies side by side: the columns of their figures, and the rows these become."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrouter_core.evaluation.policies import Outcome, expected
from llmrouter_core.evaluation.report import Point, Report, Row
from llmrouter_core.evaluation.resampling import Means
from llmrouter_core.types import Floats

if TYPE_CHECKING:
    from llmrouter_core.training import Dataset

BEST = "best single"
ORACLE = "oracle"


def compare(
    policies: Mapping[str, Floats | Outcome],
    test: Dataset,
    costs: Floats,
    names: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Report:
    """Return the figures of *policies*, each an outcome or the share it gives models, (n, m).

    A query whose chosen model has no recorded outcome counts for neither side of a comparison.
    *policies* holds a `best single`, from which gains are counted; regret needs an `oracle`.
    """
    outcomes = {
        name: policy if isinstance(policy, Outcome) else expected(policy, test.quality, costs)
        for name, policy in policies.items()
    }
    means = Means(columns(outcomes), test.groups, resamples, seed)
    return Report(
        rows=rows(outcomes, means, names), queries=len(test), resamples=resamples, seed=seed
    )


def columns(outcomes: Mapping[str, Outcome]) -> dict[Hashable, Floats]:
    """Return the columns whose means are the figures of *outcomes*."""
    found: dict[Hashable, Floats] = {}
    for name, outcome in outcomes.items():
        found.update(place(name, outcome))
        found[name, "gain"] = outcome.quality - outcomes[BEST].quality
        if ORACLE in outcomes:
            found[name, "regret"] = outcomes[ORACLE].quality - outcome.quality
    return found


def rows(outcomes: Mapping[str, Outcome], means: Means, names: Sequence[str]) -> tuple[Row, ...]:
    """Return one row for each of *outcomes*, from the *means* of their columns."""
    found = []
    for name, outcome in outcomes.items():
        where = point(name, name, means)
        gain = means.figure((name, "gain"))
        regret = means.figure((name, "regret")) if ORACLE in outcomes else None
        found.append(
            Row(
                policy=name,
                quality=where.quality,
                quality_interval=where.quality_interval,
                cost=where.cost,
                cost_interval=where.cost_interval,
                gain=gain.value,
                gain_interval=gain.interval,
                shares=dict(zip(names, map(float, outcome.shares.mean(axis=0)), strict=True)),
                answered=int((~np.isnan(outcome.quality)).sum()),
                regret=None if regret is None else regret.value,
                regret_interval=None if regret is None else regret.interval,
            )
        )
    return tuple(found)


def place(name: Hashable, outcome: Outcome) -> dict[Hashable, Floats]:
    """Return the columns of a point: quality and cost."""
    return {(name, "quality"): outcome.quality, (name, "cost"): outcome.cost}


def point(name: Hashable, label: str, means: Means) -> Point:
    """Return the point whose columns are those of *name*."""
    quality, cost = means.figure((name, "quality")), means.figure((name, "cost"))
    priced = not np.isnan(cost.value)
    return Point(
        label=label,
        quality=quality.value,
        quality_interval=quality.interval,
        cost=cost.value if priced else None,
        cost_interval=cost.interval if priced else None,
    )
