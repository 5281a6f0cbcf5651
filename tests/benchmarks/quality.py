"""What a kNN router over `hashing` gains over the best single model, on recorded outcomes.

    python tests/benchmarks/quality.py FOLDER [FOLDER …]

Each folder holds `queries.jsonl.gz` (query_id, task, split, query), `outcomes.csv.gz` (query_id,
model, score, input_tokens, output_tokens, cost_usd, latency_s) and `models.json` (prices, pool).

Two figures per folder, each with a paired 95 % bootstrap interval, and none of them tuned on what
it is measured on: *test*, trained on the train rows and replayed over the test rows; and *folds*,
five folds over the train rows, grouped by query text, where every query is decided by a router
that never saw it and best single is chosen anew in each fold.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from pathlib import Path

import numpy as np
from attrs import evolve
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_knn import KnnScorer
from llmrouter_plugin_utility import UtilitySelector

from llmrouter_core import Dataset, LLMRouter, Model, Price, Query
from llmrouter_core.evaluation import baselines, compare, expected_costs
from llmrouter_core.training import query_id

_MATRICES = {
    "quality": "score",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost_usd",
    "latency": "latency_s",
}


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


def router(models: list[Model]) -> LLMRouter:
    """Return an untrained quality-first kNN router over `hashing`, every option at its default."""
    return LLMRouter(
        models=models, parts=[HashingEmbedder(), KnnScorer(), UtilitySelector(tradeoff=0.0)]
    )


def choices(models: list[Model], train: Dataset, test: Dataset) -> dict[str, np.ndarray]:
    """Return what the router and the baselines choose for *test*, (n, m) shares each."""
    ranking, _ = router(models).fit(train).pipeline.rank(test.queries, test.embeddings)
    shares = baselines(test, train, expected_costs(test, models))
    return {"router": np.eye(len(models))[ranking[:, 0]], **shares}


def folded(models: list[Model], train: Dataset, folds: int, seed: int) -> dict[str, np.ndarray]:
    """Return the choices for every train row, each by a router trained on the other folds."""
    groups = sorted(set(train.groups))
    drawn = np.random.default_rng(seed).permutation(len(groups)) % folds
    fold_of = dict(zip(groups, drawn, strict=True))
    fold = np.array([fold_of[group] for group in train.groups])
    shares: dict[str, np.ndarray] = {}
    for held in range(folds):
        inside, outside = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        for name, share in choices(models, train.take(inside), train.take(outside)).items():
            shares.setdefault(name, np.zeros(train.quality.shape))[outside] = share
    return shares


def main() -> None:
    """Print two tables per folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    for folder in options.folders:
        models, train, test = read(folder)
        train, test = (
            evolve(data, embeddings=HashingEmbedder().embed(data.queries))
            for data in (train, test)
        )
        shares = {
            "test": (test, choices(models, train, test)),
            "folds": (train, folded(models, train, options.folds, options.seed)),
        }
        for what, (data, policies) in shares.items():
            report = compare(
                policies,
                data,
                expected_costs(data, models),
                [model.name for model in models],
                resamples=options.resamples,
                seed=options.seed,
            )
            print(f"{folder.name}, {what}: {len(data):,} queries, {len(models)} models")
            for row in report.rows:
                low, high = row.gain_interval
                cost = "" if row.cost is None else f"  ${row.cost * 1000:.3f} per 1,000"
                print(
                    f"  {row.policy:<12} {row.quality:.4f}  "
                    f"gain {row.gain:+.4f} [{low:+.4f}, {high:+.4f}]{cost}"
                )


if __name__ == "__main__":
    main()
