"""How good every house is on recorded outcomes, beside fixed choices and the original library.

    python tests/benchmarks/quality.py FOLDER… [--peers peers.json] [--out docs/benchmarks.md]

Each folder holds queries.jsonl.gz, outcomes.csv.gz, models.json and minilm.npz. Every house is
composed as it ships, over the same embeddings, with a quality-first knob, and replayed; nothing is
tuned on what is shown.

- *test*: learned from the train rows with each of five seeds, replayed over the test rows.
- *folds*: five folds over the train rows, grouped by text: every row is decided by a router that
  never saw it, and best single is chosen anew in each fold.
- *unseen tasks*: each task is left out of training in turn, and all of its rows are decided.

All figures of a set come from the same bootstrap resamples over groups of equal queries, so that
differences are paired; averages over sets draw the sets' queries independently. `--peers` is what
`peers/run.py` wrote: decisions of the original library on the same rows and embeddings.
Seconds are those of CPU: what the clock shows on an idle core, for one thread each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen
from houses import AUTO, compose, learns, names
from quality_page import write
from sets import fold_of, joined, read, unseen

from llmrouter_core import Dataset, LLMRouter, Model
from llmrouter_core.evaluation import baselines, curves, expected_costs, pairs
from llmrouter_core.evaluation.policies import Outcome, best_single, expected, one_hot
from llmrouter_core.evaluation.replay import replay
from llmrouter_core.evaluation.resampling import Means

BEST, ZERO = "best single", "zero router"
SHOWN = ("random", "cheapest", "smallest", "largest", "per-task best", "oracle")
SINGLES = 200  # decisions timed one by one
UNSEEN = (AUTO, "knn", "linear")


@define(kw_only=True)
class Policy:
    """What a policy gets on n queries: at its own setting, and along its knob."""

    own: list[Outcome] = field(factory=list)
    curves: list[dict[str, Outcome]] = field(factory=list)
    brier: list[float] = field(factory=list)
    apgr: list[float] = field(factory=list)
    seconds: list[float] = field(factory=list)
    microseconds: float = float("nan")
    bytes: float = float("nan")


@frozen(kw_only=True)
class View:
    """Figures of every policy on some queries, each an array over the resamples.

    Attributes:
        queries: How many queries.
        score: Mean quality by policy, (R + 1,): as it is, then each resample.
        aiq: Area under the curve by policy, where costs are known.
        facts: Brier score, seconds, microseconds, bytes by policy.
    """

    queries: int
    score: dict[str, Any]
    aiq: dict[str, Any]
    facts: dict[str, dict[str, float]]


def follow(policy: Policy, fitted: LLMRouter, test: Dataset) -> None:
    """Replay *fitted* over *test* and add what it gets to *policy*."""
    run = replay(fitted, test)
    policy.own.append(run.own)
    policy.curves.append(dict(run.curve))
    if run.decisions.quality is not None:
        error = np.square(run.decisions.quality - test.quality)
        policy.brier.append(float(np.nanmean(error)))
        if test.quality.shape[1] == 2:
            policy.apgr.append(recovered(run.decisions.quality, test.quality))


def recovered(predicted: np.ndarray, quality: np.ndarray) -> float:
    """Return APGR between the two models of *quality*, (n, 2), by the predicted gap."""
    weak, strong = np.argsort(np.nanmean(quality, axis=0))
    both = ~np.isnan(quality).any(axis=1)
    low, high = quality[both, weak], quality[both, strong]
    shares, scores = [], []
    for moved in pairs.thresholds(predicted[both, strong] - predicted[both, weak]):
        shares.append(np.mean(moved))
        scores.append(np.mean(np.where(moved, high, low)))
    gained = (np.array([scores]) - low.mean()) / (high.mean() - low.mean())
    return float(pairs.apgr(*pairs.curve(np.array([shares]), gained))[0])


def gathered(outcomes: list[Outcome]) -> Outcome:
    """Return the mean of *outcomes* of the same queries."""
    return Outcome(
        quality=np.mean([one.quality for one in outcomes], axis=0),
        cost=np.mean([one.cost for one in outcomes], axis=0),
        shares=np.mean([one.shares for one in outcomes], axis=0),
    )


def scattered(outcomes: list[Outcome], rows: list[np.ndarray], n: int) -> Outcome:
    """Return *outcomes*, each of its *rows*, as one over all n queries."""
    m = outcomes[0].shares.shape[1]
    whole = Outcome(quality=np.full(n, np.nan), cost=np.full(n, np.nan), shares=np.zeros((n, m)))
    for one, place in zip(outcomes, rows, strict=True):
        whole.quality[place], whole.cost[place] = one.quality, one.cost
        whole.shares[place] = one.shares
    return whole


def tested(models: list[Model], train: Dataset, test: Dataset, seeds: int) -> dict[str, Policy]:
    """Return what every house gets on *test*, having learned from *train*, mean over seeds."""
    found = {}
    for name in names():
        policy = Policy()
        for seed in range(seeds):
            router = compose(name, models, seed)
            started = time.process_time()
            fitted = router.fit(train)
            policy.seconds.append(time.process_time() - started)
            follow(policy, fitted, test)
            if not learns(router):
                break
        policy.microseconds = timed(fitted, test)
        policy.bytes = weighed(fitted) if learns(router) else 0.0
        policy.own = [gathered(policy.own)]
        labels = policy.curves[0]
        policy.curves = [{s: gathered([one[s] for one in policy.curves]) for s in labels}]
        found[name] = policy
        say(f"  {name}: {np.mean(policy.seconds):.1f} s a training")
    return found


def timed(fitted: LLMRouter, test: Dataset) -> float:
    """Return the median microseconds of CPU of one decision, its embedding given."""
    spent = []
    for i in np.arange(SINGLES) % len(test):
        queries, embeddings = test.queries[i : i + 1], test.embeddings[i : i + 1]
        started = time.process_time()
        fitted.pipeline.rank(queries, embeddings)
        spent.append(time.process_time() - started)
    return float(np.median(spent)) * 1e6


def weighed(fitted: LLMRouter) -> float:
    """Return the bytes of the artefacts of the scorer of quality."""
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder, "artefacts"))
        files = Path(folder, "artefacts", "scorer.quality").glob("*")
        return float(sum(file.stat().st_size for file in files))


def folded(models: list[Model], train: Dataset, folds: int) -> dict[str, Policy]:
    """Return what every house gets on *train*, each row decided by the other folds."""
    fold = fold_of(train, folds, 0)
    found = {name: Policy() for name in names()}
    rows = [np.flatnonzero(fold == held) for held in range(folds)]
    for held, outside in enumerate(rows):
        taught, rest = train.take(np.flatnonzero(fold != held)), train.take(outside)
        for name, policy in found.items():
            router = compose(name, models, 0)
            follow(policy, router.fit(taught) if learns(router) else router, rest)
    for policy in found.values():
        labels = policy.curves[0]
        policy.own = [scattered(policy.own, rows, len(train))]
        policy.curves = [
            {s: scattered([one[s] for one in policy.curves], rows, len(train)) for s in labels}
        ]
    return found


def fixed(
    models: list[Model], parts: list[tuple[Dataset, Dataset, Any]], n: int
) -> dict[str, Any]:
    """Return the outcomes of the baselines: train and test rows and their places, in turn."""
    found: dict[str, list[Outcome]] = {}
    for taught, rest, _ in parts:
        costs = expected_costs(rest, models)
        shares = baselines(rest, taught, costs, models)
        shares |= {
            f"single {j}": one_hot(np.full(len(rest), j), len(models)) for j in range(len(models))
        }
        for name, share in shares.items():
            found.setdefault(name, []).append(expected(share, rest.quality, costs))
    rows = [place for _, _, place in parts]
    # Some are not defined everywhere, such as the best of a task that was never seen.
    whole = {name: outcomes for name, outcomes in found.items() if len(outcomes) == len(parts)}
    return {name: scattered(outcomes, rows, n) for name, outcomes in whole.items()}


def viewed(
    policies: dict[str, Policy], base: dict[str, Outcome], data: Dataset, resamples: int, seed: int
) -> View:
    """Return the figures of *policies* and of the baselines on the queries of *data*."""
    columns: dict[Any, Any] = {}
    for name, outcome in base.items():
        columns[name, "quality"], columns[name, "cost"] = outcome.quality, outcome.cost
    for name, policy in policies.items():
        columns[name, "quality"] = policy.own[0].quality
        for label, outcome in policy.curves[0].items():
            columns[name, label, "quality"] = outcome.quality
            columns[name, label, "cost"] = outcome.cost
    drawn = Means(columns, data.groups, resamples, seed)
    singles = [name for name in base if name.startswith("single ")]
    cost = drawn.stack([(name, "cost") for name in singles])
    aiq: dict[str, Any] = {}
    if not np.isnan(cost[0]).all():
        low, high = np.fmin.reduce(cost, axis=1), np.fmax.reduce(cost, axis=1)
        zero = drawn.stack([(name, "quality") for name in singles])
        aiq[ZERO] = curves.each(curves.area, cost, zero, low, high)
        for name, policy in policies.items():
            labels = list(policy.curves[0])
            if len(labels) > 1:
                points = [
                    drawn.stack([(name, s, what) for s in labels]) for what in ("cost", "quality")
                ]
                aiq[name] = curves.each(curves.area, *points, low, high)
    shown = [*policies, BEST, *(name for name in SHOWN if name in base)]
    return View(
        queries=len(data),
        score={name: drawn[name, "quality"] for name in shown},
        aiq=aiq,
        facts={
            name: {
                "brier": float(np.mean(policy.brier)) if policy.brier else float("nan"),
                "apgr": float(np.mean(policy.apgr)) if policy.apgr else float("nan"),
                "seconds": float(np.mean(policy.seconds)) if policy.seconds else float("nan"),
                "microseconds": policy.microseconds,
                "bytes": policy.bytes,
            }
            for name, policy in policies.items()
        },
    )


def left_out(models: list[Model], train: Dataset, test: Dataset, resamples: int) -> View | None:
    """Return what routers get on tasks that they never learned from; None for under three tasks.

    Tasks such as `mmlu/law` and `mmlu/virology` are one, by what stands before the slash.
    """
    data = joined(train, test)
    kinds = np.array([task.partition("/")[0] for task in data.tasks])
    learned = np.arange(len(data)) < len(train)
    if len(set(kinds)) < 3:
        return None
    policies = {name: Policy() for name in UNSEEN}
    parts, rows = [], []
    for task in sorted(set(kinds)):
        outside = np.flatnonzero(kinds == task)
        away = {data.groups[i] for i in outside}
        inside = [
            i for i in np.flatnonzero(learned & (kinds != task)) if data.groups[i] not in away
        ]
        taught, rest = data.take(inside), data.take(outside)
        parts.append((taught, rest, outside))
        rows.append(outside)
        for name, policy in policies.items():
            follow(policy, compose(name, models, 0).fit(taught), rest)
    for policy in policies.values():
        policy.own = [scattered(policy.own, rows, len(data))]
        policy.curves = [{}]
    return viewed(policies, fixed(models, parts, len(data)), data, resamples, 0)


def peers_of(found: dict[str, Any], test: Dataset, models: list[Model]) -> dict[str, Policy]:
    """Return the original library's routers, from the models they chose for the test queries.

    Their curve is that of its own benchmark: one training for each weight of cost in the reward.
    """
    column = {model.name: j for j, model in enumerate(models)}
    costs = expected_costs(test, models)
    policies = {}
    for name, one in found.items():
        policy = Policy(microseconds=one.get("decide_us_single") or float("nan"))
        policy.bytes = one.get("artefact_bytes") or float("nan")
        points = {}
        for setting in one["settings"]:
            if setting.get("chosen") is None:
                continue
            chosen = np.array([column[setting["chosen"][name]] for name in test.ids])
            share = one_hot(chosen, len(models))
            points[f"{setting['alpha']:g}/{setting['beta']:g}"] = expected(
                share, test.quality, costs
            )
            policy.seconds.append(setting["train_seconds"])
        if "1/0" not in points:
            continue
        policy.own, policy.curves = [points["1/0"]], [points]
        policies[f"upstream {name}"] = policy
    return policies


def measure(folder: Path, options: Any) -> dict[str, Any]:
    """Return everything that is measured on *folder*, as plain data and arrays."""
    models, train, test = read(folder, options.embeddings)
    test = unseen(train, test)
    say(f"{folder.name}: {len(train):,} train and {len(test):,} test queries")
    every = [np.arange(len(test))]
    policies = tested(models, train, test, options.seeds)
    if options.peers and folder.name in options.peers:
        policies |= peers_of(options.peers[folder.name], test, models)
    seed = sorted(one.name for one in options.folders).index(folder.name)
    on_test = viewed(
        policies,
        fixed(models, [(train, test, every[0])], len(test)),
        test,
        options.resamples,
        seed,
    )
    fold = fold_of(train, options.folds, 0)
    parts = [
        (train.take(np.flatnonzero(fold != held)), train.take(rows), rows)
        for held in range(options.folds)
        for rows in [np.flatnonzero(fold == held)]
    ]
    on_folds = viewed(
        folded(models, train, options.folds),
        fixed(models, parts, len(train)),
        train,
        options.resamples,
        seed,
    )
    return {
        "name": folder.name,
        "models": len(models),
        "tasks": len(set(train.tasks)),
        "train": len(train),
        "best": models[best_single(train)].name,
        "test": on_test,
        "folds": on_folds,
        "unseen": left_out(models, train, test, options.resamples),
    }


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure every folder, print the tables, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--embeddings", choices=("hashing", "minilm"), default="minilm")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1, help="Folders measured at the same time.")
    parser.add_argument("--peers", type=lambda path: json.loads(Path(path).read_text()))
    parser.add_argument("--out", type=Path, help="Markdown page whose section to write")
    options = parser.parse_args()
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs) as pool:
            done = list(pool.map(measure, options.folders, [options] * len(options.folders)))
    else:
        done = [measure(folder, options) for folder in options.folders]
    write(done, options)


if __name__ == "__main__":
    main()
