"""The whole evaluation of one router: every figure, from one set of resamples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from llmrouter_core.dataset import means
from llmrouter_core.errors import DatasetError
from llmrouter_core.evaluation import curves
from llmrouter_core.evaluation.calibrating import calibration
from llmrouter_core.evaluation.calibrating import columns as calibration_columns
from llmrouter_core.evaluation.card import card as card_of
from llmrouter_core.evaluation.deciding import answer_costs, batches
from llmrouter_core.evaluation.noise import perturbed
from llmrouter_core.evaluation.policies import (
    Outcome,
    baselines,
    best_single,
    expected,
    one_hot,
)
from llmrouter_core.evaluation.recovering import Pair, pair_of
from llmrouter_core.evaluation.replay import Replay, replay
from llmrouter_core.evaluation.report import Report, Slice
from llmrouter_core.evaluation.resampling import Means, figure
from llmrouter_core.evaluation.rows import BEST, ORACLE, columns, place, point, rows
from llmrouter_core.types import Floats, Model

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset

ROUTER = "router"
ZERO = "zero router"

_NOISED = 1000  # queries asked again with noise in them
_TASKS = 100  # tasks shown, the largest first


def evaluate(
    router: LLMRouter,
    test: Dataset,
    *,
    train: Dataset,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    weak: str | None = None,
    strong: str | None = None,
    texts: Mapping[tuple[str, str], str] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Report:
    """Replay *router* over the outcomes in *test* and return its figures beside the baselines.

    Args:
        router: A router whose pool the outcomes cover.
        test: Outcomes the router has not learned from.
        train: The outcomes that say which single model is best; never *test*, which would
            flatter that baseline.
        resamples: Bootstrap resamples.
        seed: Seed of the resampling and of the noise.
        progress: Called with the share done, from 0 to 1.
        weak: The weak model of RouteLLM's figures; the cheapest by default.
        strong: The strong model of RouteLLM's figures; the best single one by default.
        texts: Recorded answers by query id and model, for solvers that read them.
        card: What the report's card should say besides.

    Raises:
        DatasetError: A model of the pool has no outcomes, or train and test share a group.
        ValueError: There is not one resample, or *weak* or *strong* is no model of the pool.
    """
    tell = progress or (lambda share: None)
    pool = router.pipeline.models
    names = [model.name for model in pool]
    whole, test, train = test, test.for_models(names), train.for_models(names)
    refuse_leaks(test, train)
    if resamples < 1:
        raise ValueError(f"'resamples' must be at least 1: {resamples}")
    costs = answer_costs(test, pool)
    pair = pair_of(pool, means(costs), best_single(train), weak, strong)
    run = replay(router, whole, lambda share: tell(0.6 * share), texts)
    flips = _flips(router, test, run, seed)
    tell(0.7)
    evidence = _Evidence(pool=pool, test=test, costs=costs, run=run, pair=pair, flips=flips)
    outcomes = evidence.outcomes(train)
    found = evidence.columns(outcomes)
    drawn = Means(found, test.groups, resamples, seed, lambda share: tell(0.7 + 0.25 * share))
    report = evidence.report(outcomes, drawn, resamples, seed)
    tell(1.0)
    return evolve(report, card=card_of(router, test, train, report, card or {}))


def refuse_leaks(test: Dataset, train: Dataset) -> None:
    """Raise `DatasetError` if a group of queries is on both sides."""
    shared = set(test.groups) & set(train.groups)
    if shared:
        raise DatasetError(
            f"{len(shared)} of the test groups are also in the training outcomes, such as "
            f"'{sorted(shared)[0]}'; split by group: llmrouter dataset split"
        )


def _flips(router: LLMRouter, test: Dataset, run: Replay, seed: int) -> Floats:
    """Return where noise in the wording changes the first choice, (n,); NaN where not tried."""
    flips = np.full(len(test), np.nan)
    rng = np.random.default_rng(seed)
    tried = np.sort(rng.permutation(len(test))[:_NOISED])
    noisy = [one.query for one in perturbed([test.queries[i] for i in tried], seed)]
    for part in batches(len(tried)):
        ranking, _ = router.pipeline.rank(noisy[part])
        flips[tried[part]] = ranking[:, 0] != run.decisions.ranking[tried[part], 0]
    return flips


@frozen(kw_only=True, eq=False)
class _Evidence:
    """What is known of each query, before anything is averaged."""

    pool: tuple[Model, ...]
    test: Dataset
    costs: Floats
    run: Replay
    pair: Pair | None
    flips: Floats

    def outcomes(self, train: Dataset) -> dict[str, Outcome]:
        """Return what the router and each baseline get."""
        shares = baselines(self.test, train, self.costs, self.pool)
        spent = float(np.nanmean(self.run.own.cost)) if self._priced() else float("nan")
        oracle = shares.pop(ORACLE)
        if not np.isnan(spent):
            mixed = curves.mixture(means(self.costs), means(self.test.quality), spent)
            shares[ZERO] = np.tile(mixed, (len(self.test), 1))
        shares[ORACLE] = oracle
        found = {
            name: expected(share, self.test.quality, self.costs) for name, share in shares.items()
        }
        return {ROUTER: self.run.own, **found}

    def _priced(self) -> bool:
        return not np.isnan(self.run.own.cost).all()

    def columns(self, outcomes: Mapping[str, Outcome]) -> dict[Hashable, Floats]:
        """Return every column of which the report needs the mean."""
        found = columns(outcomes)
        for label, outcome in self.run.curve.items():
            found.update(place(("curve", label), outcome))
        for j, outcome in enumerate(self._singles()):
            found.update(place(("single", j), outcome))
        if self.pair is not None:
            found.update(self.pair.columns(self.test, self.run))
        for j, predicted in enumerate(self._predictions()):
            name = self.pool[j].name
            found.update(calibration_columns(name, predicted, self.test.quality[:, j]))
        for task in self._tasks():
            inside = np.array([own == task for own in self.test.tasks])
            for name in (ROUTER, BEST, ORACLE):
                found["task", task, name] = np.where(inside, outcomes[name].quality, np.nan)
            found["task", task, "gain"] = np.where(inside, found[ROUTER, "gain"], np.nan)
        found["flips"] = self.flips
        return found

    def _singles(self) -> list[Outcome]:
        m = len(self.pool)
        return [
            expected(one_hot(np.full(len(self.test), j), m), self.test.quality, self.costs)
            for j in range(m)
        ]

    def _predictions(self) -> list[Floats]:
        predicted = self.run.decisions.quality
        if predicted is None:
            return []
        finite = np.where(np.isfinite(predicted), predicted, np.nan)
        return [finite[:, j] for j in range(len(self.pool))]

    def _tasks(self) -> list[str]:
        count = Counter(self.test.tasks)
        return [task for task, _ in count.most_common(_TASKS)] if len(count) > 1 else []

    def report(
        self, outcomes: Mapping[str, Outcome], drawn: Means, resamples: int, seed: int
    ) -> Report:
        """Return every figure, from the means that were *drawn*."""
        names = [model.name for model in self.pool]
        flipped = drawn.figure("flips")
        return Report(
            rows=rows(outcomes, drawn, names),
            queries=len(self.test),
            resamples=resamples,
            seed=seed,
            curve=tuple(point(("curve", label), label, drawn) for label in self.run.curve),
            singles=tuple(point(("single", j), name, drawn) for j, name in enumerate(names)),
            flip_rate=None if np.isnan(flipped.value) else flipped,
            calibration=tuple(
                calibration(names[j], predicted, self.test.quality[:, j], drawn)
                for j, predicted in enumerate(self._predictions())
                if not np.isnan(drawn["brier", names[j]][0])
            ),
            tasks=tuple(self._slice(task, drawn) for task in self._tasks()),
            **self._areas(drawn),
            **({} if self.pair is None else self.pair.figures(drawn, self.run)),
        )

    def _slice(self, task: str, drawn: Means) -> Slice:
        gain = drawn.figure(("task", task, "gain"))
        mine, best, oracle = (
            float(drawn["task", task, name][0]) for name in (ROUTER, BEST, ORACLE)
        )
        return Slice(
            task=task,
            queries=self.test.tasks.count(task),
            router=mine,
            best_single=best,
            oracle=oracle,
            gain=gain.value,
            gain_interval=gain.interval,
        )

    def _areas(self, drawn: Means) -> dict[str, Any]:
        """Return the figures of curves, where costs are known."""
        labels = [("curve", label) for label in self.run.curve]
        singles = [("single", j) for j in range(len(self.pool))]
        mine = [drawn.stack([(name, what) for name in labels]) for what in ("cost", "quality")]
        zero = [drawn.stack([(name, what) for name in singles]) for what in ("cost", "quality")]
        if np.isnan(mine[0][0]).all() or np.isnan(zero[0][0]).all():
            return {}
        low, high = np.fmin.reduce(zero[0], axis=1), np.fmax.reduce(zero[0], axis=1)
        aiq, floor = (curves.each(curves.area, *points, low, high) for points in (mine, zero))
        if len(labels) == 1:  # a point is no curve
            aiq = np.full_like(aiq, np.nan)
        spent, best = drawn[BEST, "cost"], drawn[BEST, "quality"]
        paid = np.where(spent > 0, spent, np.nan)  # of nothing there is no share to save
        found = {
            "aiq": aiq,
            "zero_aiq": floor,
            "aiq_gain": aiq - floor,
            "quality_at_cost": curves.each(curves.height, *mine, spent) - best,
            "cost_at_quality": curves.each(curves.price, *mine, best) / paid,
        }
        return {name: figure(values) for name, values in found.items() if not np.isnan(values[0])}
