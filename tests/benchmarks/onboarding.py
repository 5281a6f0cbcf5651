"""How good a router is whose newest model joined by fifty answers, beside one trained anew.

    python tests/benchmarks/onboarding.py FOLDER… [--routers knn linear auto] [--json FILE]

Folders are as for quality.py. On each set three models are held back in turn: the best, the median
and the cheapest by the train rows. A router learns from the train rows of the others; then the
model joins by its answers to *anchors* chosen by `llmrouter_core.learning.anchors`, or to as many
drawn at *random*, or not at all (*without*). Each row is the mean quality on the test rows minus
that of the router which learned from all answers (*retrained*), quality first, in points; in
brackets the 95 % interval from paired bootstrap resamples over groups of equal queries. Draws of
anchors are averaged, and *worst* is the worst of the single draws.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve
from houses import AUTO, compose
from sets import read, unseen

from llmrouter_core import Dataset, LLMRouter, Model
from llmrouter_core.dataset import MEASURES, means
from llmrouter_core.evaluation import expected_costs
from llmrouter_core.evaluation.resampling import Means, figure
from llmrouter_core.learning import anchors

RESAMPLES = 1000


def held_back(models: list[Model], train: Dataset) -> dict[str, int]:
    """Return the columns of the models that join: best, median, cheapest; fewer if they agree."""
    order = np.argsort(-np.nanmean(train.quality, axis=0), kind="stable")
    costs = np.nan_to_num(means(expected_costs(train, models)), nan=np.inf)
    chosen = {"best": order[0], "median": order[len(order) // 2], "cheapest": np.argmin(costs)}
    return {kind: int(column) for kind, column in chosen.items()}


def asked(train: Dataset, column: int, rows: Sequence[int] | np.ndarray) -> Dataset:
    """Return *train* as it is when the model of *column* was asked *rows* only."""
    unasked = np.ones(len(train), bool)
    unasked[rows] = False
    changes = {name: getattr(train, name).copy() for name in (*MEASURES, "status")}
    for name in MEASURES:
        changes[name][unasked, column] = np.nan
    changes["status"][unasked, column] = 0
    return evolve(train, **changes)


def earned(router: LLMRouter, test: Dataset) -> np.ndarray:
    """Return the quality of the model that *router* ranks first, (n,)."""
    ranking = router.pipeline.rank(test.queries, test.embeddings)[0]
    place = {name: j for j, name in enumerate(test.models)}
    columns = np.array([place[model.name] for model in router.pipeline.models])
    found: np.ndarray = test.quality[np.arange(len(test)), columns[ranking[:, 0]]]
    return found


def measured(folder: Path, name: str, budget: int, draws: int, embeddings: str) -> dict[str, Any]:
    """Return the figures of router *name* on the set in *folder*."""
    models, train, test = read(folder, embeddings)
    test = unseen(train, test)
    retrained = earned(compose(name, models).fit(train), test)
    columns: dict[Any, Any] = {}
    worst: dict[str, list[float]] = {"anchors": [], "random": []}
    kinds = held_back(models, train)
    for column in sorted(set(kinds.values())):
        rest = [model for j, model in enumerate(models) if j != column]
        fitted = compose(name, rest).fit(train)
        others = np.delete(train.quality, column, axis=1)
        tries: dict[str, list[np.ndarray]] = {"anchors": [], "random": []}
        for seed in range(draws):
            drawn = np.random.default_rng(seed).permutation(len(train))[:budget]
            for way, rows in (
                ("anchors", anchors(others, budget, seed=seed)),
                ("random", drawn),
            ):
                more = fitted.onboard(models[column], asked(train, column, rows))
                tries[way].append(earned(more, test) - retrained)
        tries["without"] = [earned(fitted, test) - retrained]
        for way, differences in tries.items():
            columns[way, column] = np.mean(differences, axis=0)
            if way in worst:
                worst[way] += [100 * float(np.nanmean(one)) for one in differences]
    found: dict[str, Any] = {"set": folder.name, "router": name, "queries": len(test)}
    found["retrained"] = 100 * float(np.nanmean(retrained))
    for way in ("anchors", "random", "without"):
        columns[way, "mean"] = np.mean([columns[way, j] for j in kinds.values()], axis=0)
    drawn = Means(columns, test.groups, RESAMPLES, 0)
    for way in ("anchors", "random", "without"):
        found[way] = {}
        for kind, column in {**kinds, "mean": "mean"}.items():
            one = figure(100 * drawn[way, column])
            found[way][kind] = [one.value, *one.interval]
        if way in worst:
            found[way]["worst"] = min(worst[way])
    return found


def _shown(found: dict[str, Any]) -> str:
    """Return the figures as lines."""
    head = f"{found['set']}, {found['router']}: retrained {found['retrained']:.2f} %"
    lines = [f"{head} on {found['queries']:,} queries"]
    for way in ("anchors", "random", "without"):
        cells = [
            f"{kind} {one[0]:+.2f} [{one[1]:+.2f}, {one[2]:+.2f}]"
            for kind, one in found[way].items()
            if kind != "worst"
        ]
        worst = f"; worst {found[way]['worst']:+.2f}" if "worst" in found[way] else ""
        lines.append(f"  {way:8s} {'; '.join(cells)}{worst}")
    return "\n".join(lines)


def main() -> None:
    """Print the figures of every set and router."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--routers", nargs="+", default=["knn", "linear", AUTO])
    parser.add_argument("--budget", type=int, default=50)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--embeddings", default="hashing", choices=["hashing", "minilm"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    with ProcessPoolExecutor(options.workers) as pool:
        tasks = [
            pool.submit(measured, folder, name, options.budget, options.draws, options.embeddings)
            for name in options.routers
            for folder in options.folders
        ]
        for task in tasks:
            results.append(task.result())
            print(_shown(results[-1]), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
