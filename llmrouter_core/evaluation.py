"""How good is a router? Replayed over recorded outcomes, beside the policies it must beat.

Baselines are always there: *cheapest*, *best single* (the model with the best mean score on
the training outcomes), *random* (the expectation over the pool, not a draw) and *oracle* (the
best model for each query, the cheaper of equals). Intervals are percentile bootstrap intervals
over queries (Efron 1979), resampled by group; gains are paired: the same resamples for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, frozen

from llmrouter_core.errors import DatasetError
from llmrouter_core.types import Floats, Model

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset

Interval = tuple[float, float]

_BATCH = 1024  # queries decided at a time
_RESAMPLES = 128  # resamples weighed at a time, which bounds the memory


@frozen(kw_only=True)
class Row:
    """One policy's figures; intervals are 95 %.

    Attributes:
        policy: Name of the policy.
        quality: Mean score.
        quality_interval: Its interval.
        cost: Mean US dollars per query, or None where costs are unknown.
        cost_interval: Its interval.
        gain: Mean score minus that of *best single*, on the same queries.
        gain_interval: Its interval, paired.
        shares: Share of the queries each model got.
        answered: Queries for which the outcome of the chosen model is recorded.
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


@frozen(kw_only=True)
class Report:
    """The rows of an evaluation, the router's first.

    Attributes:
        rows: One per policy.
        queries: How many queries were replayed.
        resamples: How many bootstrap resamples the intervals rest on.
        seed: Seed of the resampling.
    """

    rows: tuple[Row, ...]
    queries: int
    resamples: int
    seed: int

    def row(self, policy: str) -> Row:
        """Return the row of *policy*."""
        return next(row for row in self.rows if row.policy == policy)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, ready for JSON; unknown numbers are None."""
        return asdict(self, value_serializer=lambda _, __, value: _plain(value))


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def evaluate(
    router: LLMRouter,
    test: Dataset,
    *,
    train: Dataset,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Report:
    """Replay *router* over the outcomes in *test* and return its figures beside the baselines.

    Args:
        router: A router whose pool the outcomes cover.
        test: Outcomes the router has not learned from.
        train: The outcomes that say which single model is best; never *test*, which would
            flatter that baseline.
        resamples: Bootstrap resamples.
        seed: Seed of the resampling.
        progress: Called with the share done, from 0 to 1.

    Raises:
        DatasetError: A model of the pool has no outcomes, or train and test share a group.
        ValueError: There is not one resample.
    """
    pool = router.pipeline.models
    names = [model.name for model in pool]
    test, train = test.for_models(names), train.for_models(names)
    shared = set(test.groups) & set(train.groups)
    if shared:
        raise DatasetError(
            f"{len(shared)} of the test groups are also in the training outcomes, such as "
            f"'{sorted(shared)[0]}'; split by group: llmrouter train --help"
        )
    if resamples < 1:
        raise ValueError(f"'resamples' must be at least 1: {resamples}")
    tell = progress or (lambda share: None)
    chosen = np.empty(len(test), np.intp)
    for start in range(0, len(test), _BATCH):
        rows = slice(start, start + _BATCH)
        known = None if test.embeddings is None else test.embeddings[rows]
        ranking, _ = router.pipeline.rank(test.queries[rows], known)
        chosen[rows] = ranking[:, 0]
        tell(0.8 * min(1.0, (start + _BATCH) / len(test)))
    costs = expected_costs(test, pool)
    policies = {"router": _one_hot(chosen, len(pool)), **baselines(test, train, costs)}
    report = compare(policies, test, costs, names, resamples=resamples, seed=seed)
    tell(1.0)
    return report


def expected_costs(dataset: Dataset, pool: Sequence[Model]) -> Floats:
    """Return US dollars per call, (n, m): as recorded, else price x tokens, else NaN."""
    prices = np.array(
        [
            [np.nan, np.nan] if model.price is None else [model.price.input, model.price.output]
            for model in pool
        ]
    )  # (m, 2)
    priced = (dataset.input_tokens * prices[:, 0] + dataset.output_tokens * prices[:, 1]) / 1e6
    return np.where(np.isnan(dataset.cost), priced, dataset.cost)


def baselines(test: Dataset, train: Dataset, costs: Floats) -> dict[str, Floats]:
    """Return each baseline policy as the share it gives each model, (n, m)."""
    n, m = test.quality.shape
    policies = {}
    if not np.isnan(costs).all():
        policies["cheapest"] = _one_hot(np.full(n, np.nanargmin(_means(costs))), m)
    best = int(np.nanargmax(_means(train.quality)))
    policies["best single"] = _one_hot(np.full(n, best), m)
    known = ~np.isnan(test.quality)
    policies["random"] = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, test.quality, -np.inf)
    dear = np.where(np.isnan(costs), np.inf, costs)
    policies["oracle"] = _one_hot(np.lexsort((dear, -filled), axis=1)[:, 0], m)
    return policies


def _means(values: Floats) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _one_hot(columns: Any, m: int) -> Floats:
    shares: Floats = np.eye(m)[columns]  # (n, m)
    return shares


def compare(
    policies: dict[str, Floats],
    test: Dataset,
    costs: Floats,
    names: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Report:
    """Return the figures of *policies*, each the share it gives every model, (n, m).

    A query whose chosen model has no recorded outcome counts for neither side of a comparison.
    """
    values = {name: _expected(share, test.quality) for name, share in policies.items()}
    spent = {name: _expected(share, costs) for name, share in policies.items()}
    reference = values["best single"]
    columns = []
    for name in policies:
        columns += [values[name], spent[name], values[name] - reference]
    figures, lows, highs = _bootstrap(np.stack(columns, axis=1), test.groups, resamples, seed)
    rows = []
    for i, (name, share) in enumerate(policies.items()):
        quality, cost, gain = range(3 * i, 3 * i + 3)
        priced = not np.isnan(figures[cost])
        rows.append(
            Row(
                policy=name,
                quality=float(figures[quality]),
                quality_interval=(float(lows[quality]), float(highs[quality])),
                cost=float(figures[cost]) if priced else None,
                cost_interval=(float(lows[cost]), float(highs[cost])) if priced else None,
                gain=float(figures[gain]),
                gain_interval=(float(lows[gain]), float(highs[gain])),
                shares=dict(zip(names, map(float, share.mean(axis=0)), strict=True)),
                answered=int((~np.isnan(values[name])).sum()),
            )
        )
    return Report(rows=tuple(rows), queries=len(test), resamples=resamples, seed=seed)


def _expected(share: Floats, values: Floats) -> Floats:
    """Return each query's expected value under *share*; NaN where a used cell is unknown.

    A query that no model gets, because none has an outcome, is NaN too: nothing is no zero.
    """
    used = share > 0
    total = np.where(used, share * np.where(np.isnan(values), 0.0, values), 0.0).sum(axis=1)
    unknown = (used & np.isnan(values)).any(axis=1) | ~used.any(axis=1)
    return np.where(unknown, np.nan, total)  # (n,)


def _bootstrap(
    columns: Floats, groups: Sequence[str], resamples: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return mean, 2.5 % and 97.5 % point of each of (n, c) *columns*, resampling groups."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    known = ~np.isnan(columns)
    sums, counts = np.zeros((count, columns.shape[1])), np.zeros((count, columns.shape[1]))
    np.add.at(sums, index, np.where(known, columns, 0.0))
    np.add.at(counts, index, known.astype(float))
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, columns.shape[1]))
    for start in range(0, resamples, _RESAMPLES):
        size = min(_RESAMPLES, resamples - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(float)
        means[start : start + size] = _ratio(weights @ sums, weights @ counts)
    figures = _ratio(sums.sum(axis=0), counts.sum(axis=0))
    low, high = np.full_like(figures, np.nan), np.full_like(figures, np.nan)
    usable = ~np.isnan(figures)  # a column without any value has no interval either
    low[usable], high[usable] = np.nanpercentile(means[:, usable], [2.5, 97.5], axis=0)
    return figures, low, high


def _ratio(total: Floats, count: Floats) -> Floats:
    return np.where(count > 0, total / np.maximum(count, 1e-12), np.nan)
