"""kNN over 600,000 training queries: exact and approximate, against the bare library calls.

    python tests/benchmarks/neighbours.py [--rows 600000] [--dimensions 384]

The points are drawn from 2,000 overlapping clusters of unequal size, which is kinder to an index
than noise and less kind than real text. *Recall* is the share of the 100 exact neighbours that is
found. *Scorer* is a whole `KnnScorer.predict`, its outcomes for ten models included, and its ratio
is to the bare call of Faiss with the same lists.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from llmrouter_plugin_knn import KnnScorer

from llmrouter_core import Dataset, Query

K, ASKED, MODELS = 100, 200, 10


def points(rows: int, dimensions: int, seed: int = 0) -> Any:
    """Return float32 (rows, dimensions) of unit length, in clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(2000, dimensions)).astype(np.float32)
    share = rng.dirichlet(np.full(2000, 0.5))
    found = centres[rng.choice(2000, size=rows, p=share)]
    for start in range(0, rows, 1 << 16):
        block = found[start : start + (1 << 16)]
        block += rng.normal(size=block.shape).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def milliseconds(work: Callable[[int], object], count: int) -> float:
    """Return the median milliseconds of *work* on one query."""
    spent = []
    for i in range(count):
        started = time.perf_counter()
        work(i)
        spent.append(time.perf_counter() - started)
    return float(np.median(spent)) * 1e3


def main() -> None:
    """Print one line for each way to search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--dimensions", type=int, default=384)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    every = points(options.rows + ASKED, options.dimensions)
    seen, asked = every[: options.rows], every[options.rows :]
    rng = np.random.default_rng(1)
    same = Query(text="?")
    data = Dataset(
        queries=(same,) * options.rows,
        ids=tuple(map(str, range(options.rows))),
        models=tuple(f"m{j}" for j in range(MODELS)),
        quality=rng.random((options.rows, MODELS)),
        embeddings=seen,
    )
    scorers = {
        "exact": KnnScorer(calibration="none"),
        **{
            f"approximate, {probes} probes": KnnScorer(
                calibration="none", search="approximate", probes=probes
            )
            for probes in (8, 32, 128)
        },
    }
    state: Any = None
    wanted: Any = None
    for name, scorer in scorers.items():
        started = time.perf_counter()
        if state is None or (scorer.search == "approximate" and "lists" not in state):
            state = scorer.learn(data)
        learned = scorer.prepare(state)
        seconds = time.perf_counter() - started
        unit = asked - state["centre"]
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        found = learned.search(unit, K)[0]
        wanted = found if wanted is None else wanted
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, wanted, strict=True)])
        if scorer.search == "exact":
            bare = faiss.IndexFlatIP(options.dimensions)
            bare.add(state["points"])
        else:
            quantiser = faiss.IndexFlatIP(options.dimensions)
            bare = faiss.IndexIVFFlat(
                quantiser, options.dimensions, len(state["lists"]), faiss.METRIC_INNER_PRODUCT
            )
            quantiser.add(state["lists"])
            bare.is_trained = True
            bare.add(state["points"])
            bare.nprobe = scorer.probes
        count = 20 if scorer.search == "exact" else ASKED
        library = milliseconds(
            lambda i, bare=bare, unit=unit: bare.search(unit[i : i + 1], K), count
        )
        ours = milliseconds(
            lambda i, s=scorer, ready=learned: s.predict(ready, [same], asked[i : i + 1]), count
        )
        print(
            f"{name}: recall {recall:.3f}, fitted in {seconds:.1f} s, scorer {ours:.2f} ms, "
            f"bare library {library:.2f} ms, ratio {ours / library:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
