"""What a decision costs beyond the arithmetic it needs: ratio to bare numpy, in one run.

    python tests/benchmarks/decide.py

A fitted kNN router decides on precomputed embeddings (6,000 training queries of 384 numbers, nine
models); the bare baseline does the product, the partition and the mean, and nothing else. Each
figure is the median over rounds in which both are timed in turn, so that noise hits both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_knn import KnnScorer
from llmrouter_plugin_utility import UtilitySelector

from llmrouter_core import Dataset, LLMRouter, Model, Query

ROWS, DIMENSIONS, MODELS = 6000, 384, 9


def fitted(k: int) -> tuple[LLMRouter, np.ndarray, np.ndarray]:
    """Return a fitted router, its unit training points and their outcomes."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    quality = (rng.random((ROWS, MODELS)) < 0.6).astype(np.float64)
    names = tuple(f"model-{j}" for j in range(MODELS))
    data = Dataset(
        queries=tuple(Query(text=f"query {i}") for i in range(ROWS)),
        models=names,
        quality=quality,
        embeddings=points,
    )
    router = LLMRouter(
        models=[Model(name=name) for name in names],
        parts=[HashingEmbedder(), KnnScorer(k=k), UtilitySelector(tradeoff=0.0)],
    )
    return router.fit(data), points, quality.astype(np.float32)


def bare(points: np.ndarray, quality: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Return the column of the best mean outcome of the k nearest, and nothing else."""
    similarity = queries @ points.T
    found = np.argpartition(similarity, ROWS - k, axis=1)[:, ROWS - k :]
    return quality[found].mean(axis=1).argmax(axis=1)


def paired(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> list[float]:
    """Return the median seconds of both, timed in turn."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 3):
        for function, spent in zip((ours, theirs), times, strict=True):
            started = time.perf_counter()
            function()
            spent.append(time.perf_counter() - started)
    return [statistics.median(spent[3:]) for spent in times]


def main() -> None:
    """Print one line for a single decision and one for a batch of 1,000."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    router, points, quality = fitted(options.k)
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(1000, DIMENSIONS)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    queries = [Query(text=f"question {i}") for i in range(1000)]
    figures = {}
    for name, count, rounds in (("single", 1, 400), ("batch of 1000", 1000, 15)):
        some, them = queries[:count], embeddings[:count]
        ours, theirs = paired(
            lambda some=some, them=them: router.decide_all(some, embeddings=them),
            lambda them=them: bare(points, quality, them, options.k),
            rounds,
        )
        figures[name] = {
            "ours_us": ours * 1e6,
            "bare_us": theirs * 1e6,
            "ratio": ours / theirs,
            "extra_us": (ours - theirs) * 1e6,
        }
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, row in figures.items():
        print(
            f"{name:>14}: router {row['ours_us']:,.0f} us, bare numpy {row['bare_us']:,.0f} us, "
            f"ratio {row['ratio']:.2f}"
        )


if __name__ == "__main__":
    main()
