"""What the routers gain over the best single model, on recorded outcomes.

    python tests/benchmarks/quality.py FOLDER [FOLDER …] [--out docs/benchmarks.md]

Each folder holds `queries.jsonl.gz` (query_id, task, split, query), `outcomes.csv.gz` (query_id,
model, score, input_tokens, output_tokens, cost_usd, latency_s) and `models.json` (prices, pool).

Two figures per folder and router, each with a paired 95 % bootstrap interval, and none of them
tuned on what it is measured on: *test*, trained on the train rows and replayed over the test
rows; and *folds*, five folds over the train rows, grouped by query text, where every query is
decided by a router that never saw it and best single is chosen anew in each fold. `--out` writes
both into the section on quality of a Markdown page.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, evolve, field
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_knn import KnnScorer
from llmrouter_plugin_utility import UtilitySelector
from quality_page import QUALITY_FIRST, RANDOM, Measured, of, place, prose, section

from llmrouter_core import (
    Dataset,
    LLMRouter,
    Model,
    Price,
    Query,
    Scores,
    evaluate,
    hookimpl,
)
from llmrouter_core.evaluation import baselines, compare, expected_costs
from llmrouter_core.training import Trainable, query_id

RECIPES = ("knn", "threshold", "utility", "smallest-llm", "largest-llm")

_CALLER = {"default": {"use": "openai", "base_url": "http://localhost:9/v1"}}  # never called
_MATRICES = {
    "quality": "score",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost_usd",
    "latency": "latency_s",
}
_OTHERS = """\
The other sets have no published figure for the same work: the papers on LLMRouter, LLMRouterBench
and RouterArena use other test queries, other pools or both. In LLMRouterBench (arXiv 2601.07206)
learned routers gain -8.8 to +6.7 % over the best single model, relative, and the best model for
each data set +8.3 %; the gains above are in points, and *per-task best* is that table.
"""

_ROUTELLM = """\
RouteLLM (arXiv 2406.18665), its own outcomes of `gpt-4-1106-preview` and Mixtral-8x7B. The
published routers (the best of them is shown) learned from arena votes and judges, ours from
outcomes of the same benchmarks, which is easier; the test rows here are a part of theirs. Chance
is 50.
"""

_ROUTERBENCH = """\
RouterBench (arXiv 2403.12031), AIQ on ARC-Challenge in %. Outcomes and costs are its own, but one
of its 11 models is missing, the split is another, and the range of costs is that of these models,
so that the level is not comparable and the difference to the Zero router is:
"""


@define(eq=False, kw_only=True)
class RandomScorer:
    """Predict a quality that has nothing to do with the query: RouteLLM's random router."""

    name: str = "quality"
    _rng: np.random.Generator = field(factory=lambda: np.random.default_rng(0))

    @hookimpl
    def score(self, queries: Any, models: Any) -> Scores:
        """Return a draw from 0 to 1 for every cell, (n, m)."""
        return Scores(self.name, self._rng.random((len(queries), len(models))))


def read(folder: Path) -> tuple[list[Model], Dataset, Dataset]:
    """Return the pool, the train rows and the test rows of *folder*."""
    cards = json.loads((folder / "models.json").read_text())
    cards = {name: card for name, card in cards.items() if card.get("pool")}
    with gzip.open(folder / "queries.jsonl.gz", "rt") as lines:
        queries = [json.loads(line) for line in lines]
    row = {query["query_id"]: i for i, query in enumerate(queries)}
    column = {name: j for j, name in enumerate(cards)}
    matrices = {name: np.full((len(row), len(column)), np.nan) for name in _MATRICES}
    with gzip.open(folder / "outcomes.csv.gz", "rt") as lines:
        for cell in csv.DictReader(lines):
            if cell["model"] in column and cell["query_id"] in row:
                place = row[cell["query_id"]], column[cell["model"]]
                for name, key in _MATRICES.items():
                    if cell[key]:
                        matrices[name][place] = float(cell[key])
    data = Dataset(
        queries=tuple(Query(text=query["query"]) for query in queries),
        models=tuple(cards),
        ids=tuple(query["query_id"] for query in queries),
        tasks=tuple(query["task"] for query in queries),
        groups=tuple(query_id("", query["query"]) for query in queries),
        **matrices,
    )
    data = evolve(data, embeddings=HashingEmbedder().embed(data.queries))
    split = np.array([query["split"] for query in queries])
    return (
        [_model(name, card) for name, card in cards.items()],
        data.take(np.flatnonzero(split == "train")),
        data.take(np.flatnonzero(split == "test")),
    )


def _model(name: str, card: dict[str, float | None]) -> Model:
    prices = card.get("price_in"), card.get("price_out")
    price = None if None in prices else Price(input=prices[0], output=prices[1])
    return Model(name=name, price=price, size=card.get("size_b"))


def routers(models: list[Model]) -> dict[str, LLMRouter]:
    """Return the untrained routers, every option at its default."""
    pool = {}
    for model in models:
        pool[model.name] = {} if model.size is None else {"size": float(model.size)}
        if model.price is not None:
            price = {"input": float(model.price.input), "output": float(model.price.output)}
            pool[model.name]["price"] = price
    found = {
        QUALITY_FIRST: LLMRouter(
            models=models, parts=[HashingEmbedder(), KnnScorer(), UtilitySelector(tradeoff=0.0)]
        )
    }
    for name in RECIPES:
        found[name] = LLMRouter({"router": name, "caller": _CALLER, "model": pool})
    found[RANDOM] = LLMRouter(models=models, parts=[RandomScorer(), UtilitySelector(tradeoff=0.0)])
    return found


def learns(router: LLMRouter) -> bool:
    """Return whether *router* learns anything about quality."""
    return any(
        isinstance(part.plugin, Trainable) and part.kind == "scorer" and part.name == "quality"
        for part in router.config.parts
    )


def fold_of(train: Dataset, folds: int, seed: int) -> np.ndarray:
    """Return the fold of every train row, (n,), grouped by query text."""
    groups = sorted(set(train.groups))
    drawn = np.random.default_rng(seed).permutation(len(groups)) % folds
    place = dict(zip(groups, drawn, strict=True))
    return np.array([place[group] for group in train.groups])


def folded(models: list[Model], train: Dataset, folds: int, seed: int) -> dict[str, np.ndarray]:
    """Return what is chosen for every train row, each by a router trained on the other folds."""
    fold = fold_of(train, folds, seed)
    learners = {name: router for name, router in routers(models).items() if learns(router)}
    shares: dict[str, np.ndarray] = {}
    for held in range(folds):
        inside, outside = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        taught, rest = train.take(inside), train.take(outside)
        chosen = {}
        for name, router in learners.items():
            ranking, _ = router.fit(taught).pipeline.rank(rest.queries, rest.embeddings)
            chosen[name] = np.eye(len(models))[ranking[:, 0]]
        chosen.update(baselines(rest, taught, expected_costs(rest, models), models))
        for name, share in chosen.items():
            shares.setdefault(name, np.zeros(train.quality.shape))[outside] = share
    return shares


def measure(folder: Path, folds: int, seed: int, resamples: int) -> Measured:
    """Return everything that is measured on *folder*."""
    models, train, test = read(folder)
    known = set(train.groups)
    clean = [i for i, group in enumerate(test.groups) if group not in known]
    held = test.take(clean)
    reports = {}
    for name, router in routers(models).items():
        fitted = router.fit(train) if learns(router) else router
        reports[name] = evaluate(fitted, held, train=train, resamples=resamples, seed=seed)
    return Measured(
        name=folder.name,
        models=models,
        train=train,
        test=held,
        leaked=len(test) - len(held),
        reports=reports,
        folds=compare(
            folded(models, train, folds, seed),
            train,
            expected_costs(train, models),
            [model.name for model in models],
            resamples=resamples,
            seed=seed,
        ),
    )


def tell(measured: Measured) -> None:
    """Print the rows of *measured*."""
    first = measured.reports[QUALITY_FIRST]
    mine = [evolve(one.rows[0], policy=name) for name, one in measured.reports.items()]
    for what, count, rows in (
        ("test", len(measured.test), [*mine, *first.rows[1:]]),
        ("folds", len(measured.train), measured.folds.rows),
    ):
        print(f"{measured.name}, {what}: {count:,} queries, {len(measured.models)} models")
        for row in rows:
            low, high = row.gain_interval
            cost = "" if row.cost is None else f"  ${row.cost * 1000:.3f} per 1,000"
            print(
                f"  {row.policy:<18} {row.quality:.4f}  "
                f"gain {row.gain:+.4f} [{low:+.4f}, {high:+.4f}]{cost}"
            )


def published(folders: list[Path], seed: int, resamples: int) -> list[str]:
    """Return our figures beside published ones, where the work is the same."""
    lines = ["### Beside published figures", ""]
    found = {folder.name: folder for folder in folders}
    if "routellm" in found:
        lines += _beside_routellm(found["routellm"], seed, resamples)
    if "routerbench" in found:
        lines += _beside_routerbench(found["routerbench"], seed, resamples)
    return [
        *lines,
        *prose(_OTHERS),
        "",
    ]


def _beside_routellm(folder: Path, seed: int, resamples: int) -> list[str]:
    theirs = {
        "MMLU": ("mmlu/", "60.3", "35.4", "70.3"),
        "GSM8K": ("gsm8k", "62.2", "33.6", "63.3"),
        "MT-bench": ("mt", "80.2", "13.4", "31.3"),
    }
    models, train, test = read(folder)
    known = set(train.groups)
    lines = [
        *prose(_ROUTELLM),
        "",
        "| benchmark | test queries | router | APGR, % | CPT 50, % | CPT 80, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, (task, apgr, cpt50, cpt80) in theirs.items():
        rows = [
            i
            for i, own in enumerate(test.tasks)
            if own.startswith(task) and test.groups[i] not in known
        ]
        if not rows:
            continue
        held = test.take(rows)
        for which in (QUALITY_FIRST, RANDOM):
            router = routers(models)[which]
            fitted = router.fit(train) if learns(router) else router
            one = evaluate(
                fitted,
                held,
                train=train,
                resamples=resamples,
                seed=seed,
                weak="mistralai/Mixtral-8x7B-Instruct-v0.1",
                strong="gpt-4-1106-preview",
            )
            figures = " | ".join(of(figure) for figure in (one.apgr, one.cpt50, one.cpt80))
            lines.append(f"| {name} | {len(held):,} | {which} | {figures} |")
        lines.append(f"| {name} | published | best published | {apgr} | {cpt50} | {cpt80} |")
    return [*lines, ""]


def _beside_routerbench(folder: Path, seed: int, resamples: int) -> list[str]:
    models, train, test = read(folder)
    known = set(train.groups)
    rows = [
        i
        for i, own in enumerate(test.tasks)
        if own.startswith("arc") and test.groups[i] not in known
    ]
    held = test.take(rows)
    taught = train.take([i for i, own in enumerate(train.tasks) if own.startswith("arc")])
    one = evaluate(
        routers(models)["knn"].fit(taught), held, train=taught, resamples=resamples, seed=seed
    )
    return [
        *prose(_ROUTERBENCH),
        "",
        "| router | here | published |",
        "|---|---|---|",
        f"| Zero router | {of(one.zero_aiq)} | 87.7 |",
        f"| kNN | {of(one.aiq)} | 87.1 |",
        f"| kNN minus Zero router | {of(one.aiq_gain, '+')} | -0.6 |",
        "| MLP | - | 87.5 |",
        "",
        f"{len(taught):,} train and {len(held):,} test queries.",
        "",
    ]


def main() -> None:
    """Print two tables per folder, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="Markdown page whose section to write")
    options = parser.parse_args()
    everything = []
    for folder in options.folders:
        everything.append(measure(folder, options.folds, options.seed, options.resamples))
        tell(everything[-1])
    if options.out is not None:
        beside = published(options.folders, options.seed, options.resamples)
        place(options.out, section(everything, beside, options))


if __name__ == "__main__":
    main()
