"""How long an evaluation takes, and how much memory, at a thousand resamples.

    python tests/benchmarks/evaluating.py [QUERIES [MODELS]]

A trained kNN router over simulated outcomes: deciding, eighteen settings of the knob, calibration,
noise, slices and every interval.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_knn import KnnScorer
from llmrouter_plugin_price import PriceScorer
from llmrouter_plugin_utility import UtilitySelector

from llmrouter_core import Dataset, LLMRouter, Model, Price, Query, evaluate

_WORDS = ["prove", "write", "sum", "poem", "code", "city", "king", "lemma", "list", "tree"]
_TRAIN = 2000


def outcomes(n: int, m: int, seed: int) -> Dataset:
    """Return outcomes of *n* queries of 30 words at *m* models."""
    rng = np.random.default_rng(seed)
    texts = (" ".join(rng.choice(_WORDS, 30)) for _ in range(n))
    return Dataset(
        queries=tuple(Query(text=f"{text} {seed} {i}") for i, text in enumerate(texts)),
        models=tuple(f"m{j}" for j in range(m)),
        quality=(rng.random((n, m)) < np.linspace(0.3, 0.8, m)).astype(float),
        tasks=tuple(f"task {i % 12}" for i in range(n)),
        input_tokens=np.full((n, m), 60.0),
        output_tokens=rng.integers(10, 400, (n, m)).astype(float),
    )


def main() -> None:
    """Print seconds and the peak of the memory."""
    n, m = (int(one) for one in (*sys.argv[1:], *("15000", "11")[len(sys.argv) - 1 :]))
    models = [
        Model(name=f"m{j}", size=j + 1.0, price=Price(input=0.05 * 1.6**j, output=0.1 * 1.6**j))
        for j in range(m)
    ]
    parts = [HashingEmbedder(), KnnScorer(), PriceScorer(name="cost"), UtilitySelector()]
    train, test = outcomes(_TRAIN, m, 1), outcomes(n, m, 2)
    router = LLMRouter(models=models, parts=parts).fit(train)
    started = time.perf_counter()
    report = evaluate(router, test, train=train, resamples=1000)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    low, high = report.aiq.interval
    print(f"{n:,} queries x {m} models x 1,000 resamples: {seconds:.1f} s, peak {peak:.0f} MiB")
    print(f"AIQ {report.aiq.value:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
