"""Recorded outcomes in folders: queries, outcomes, models and, where there, embeddings."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
from attrs import evolve
from llmrouter_plugin_hashing import HashingEmbedder

from llmrouter_core import Dataset, Model, Price, Query
from llmrouter_core.training import query_id

TITLES = {
    "llmrouter": "LLMRouter example data",
    "routerbench": "RouterBench (ARC-C, MBPP, WinoGrande)",
    "zeroeval": "ZeroEval (GSM8K, CRUX, MATH-L5)",
    "bfcl": "Berkeley Function-Calling Leaderboard",
    "mmlu_pro": "MMLU-Pro",
    "routellm": "RouteLLM (MMLU, GSM8K, MT-bench)",
}
_MATRICES = {
    "quality": "score",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost_usd",
    "latency": "latency_s",
}


def read(folder: Path, embeddings: str = "hashing") -> tuple[list[Model], Dataset, Dataset]:
    """Return the pool, the train rows and the test rows of *folder*.

    Args:
        folder: Where the files are.
        embeddings: `hashing`, or `minilm`, which the folder holds.
    """
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
    if embeddings == "minilm":
        with np.load(folder / "minilm.npz", allow_pickle=False) as stored:
            place_of = {str(name): i for i, name in enumerate(stored["query_id"])}
            rows = [place_of[name] for name in data.ids]
            data = evolve(data, embeddings=stored["embedding"][rows].astype(np.float32))
    else:
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


def unseen(train: Dataset, test: Dataset) -> Dataset:
    """Return the rows of *test* whose text is not among those of *train*."""
    known = set(train.groups)
    return test.take([i for i, group in enumerate(test.groups) if group not in known])


def fold_of(train: Dataset, folds: int, seed: int) -> np.ndarray:
    """Return the fold of every train row, (n,), grouped by query text."""
    groups = sorted(set(train.groups))
    drawn = np.random.default_rng(seed).permutation(len(groups)) % folds
    place = dict(zip(groups, drawn, strict=True))
    return np.array([place[group] for group in train.groups])


def joined(one: Dataset, other: Dataset) -> Dataset:
    """Return the rows of both."""
    changes = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in (*_MATRICES, "status", "embeddings")
    }
    for name in ("queries", "ids", "tasks", "groups", "users"):
        changes[name] = (*getattr(one, name), *getattr(other, name))
    return evolve(one, **changes)
