"""Train and replay one router of `llmrouter-lib` 0.4.0, unpatched, on rows written by `run.py`.

    PEER_PYTHON upstream.py FOLDER ROUTER OUT [--seed 0] [--singles 200]

Runs in an interpreter of its own (see README.md), for it shares no dependency with this project.
FOLDER holds `queries.jsonl` (id, text, task, split), `outcomes.npz` (quality and cost, (n, m), NaN
where unknown and in every test row), `embeddings.npy` (float32, (n, d)), `models.json` (a list in
the order of the pool: name, size_b, price_in, price_out) and `settings.json` (pairs alpha, beta).
OUT gets one line of JSON for each setting as soon as it is done, so that a run that is stopped
keeps what it had.

The routers, the trainers and the hyper-parameters are the library's own; the last are those of its
`configs/model_config_train/*.yaml`, which the wheel does not ship. Four things had to be given:

* Embeddings. Its encoder, Longformer, is replaced by ours: for training through the `.pt` file it
  reads anyway, for decisions by a look-up in place of `get_longformer_embedding` in the module of
  the router. `text_dim` of `mfrouter` is the length of our embeddings, as its user would set it;
  the others take any length, and nothing is padded.
* `call_api`, in the same module, returns an empty answer: `route_batch` would call the chosen
  model after every decision. No task name is given, so that no prompt is formatted either.
* Seeds. Upstream sets none; torch and numpy are seeded before each training.
* Sizes. `hybrid_llm` routes between the smallest and the largest model *with a known size*. Where
  fewer than two sizes are published, the unknown ones count as larger than all the others.

Cost enters as in upstream's benchmark pipeline, whose routers have no cost knob: before training
the column `performance` is replaced by `alpha * minmax(performance) - beta * minmax(cost)`, each
scaled over the whole training table, and every setting is one training. Cells without a score are
left out, and those without a cost too where beta is not 0.

Upstream takes the best row of a query with `idxmax`, so that of equal scores the first row wins:
rows are written query by query in the order of the pool.

All seconds are seconds of CPU of the one thread that does the work: what the clock shows on an
idle core. A single decision is `route_single`, which reads the artefact from disk every time (all
but `elorouter`), and the median is given; a batch is `route_batch`. In both the embedding is free.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llmrouter.models
import numpy as np
import torch
import yaml

ROUTERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "knn": (
        "KNNRouter",
        "KNNRouterTrainer",
        {
            "hparam": {
                "n_neighbors": 5,
                "weights": "uniform",
                "algorithm": "auto",
                "leaf_size": 30,
                "p": 2,
                "metric": "minkowski",
                "n_jobs": -1,
            }
        },
    ),
    "svm": (
        "SVMRouter",
        "SVMRouterTrainer",
        {"hparam": {"kernel": "rbf", "C": 1.0, "gamma": "scale", "probability": True}},
    ),
    "mlp": (
        "MLPRouter",
        "MLPTrainer",
        {
            "hparam": {
                "hidden_layer_sizes": [128, 64],
                "activation": "relu",
                "lr": 0.001,
                "epochs": 100,
                "batch_size": 32,
                "alpha": 0.0001,
            }
        },
    ),
    "mf": (
        "MFRouter",
        "MFRouterTrainer",
        {"hparam": {"latent_dim": 128, "lr": 0.001, "epochs": 5, "noise_alpha": 0.0}},
    ),
    "elo": ("EloRouter", "EloRouterTrainer", {}),
    "hybrid": (
        "HybridLLMRouter",
        "HybridLLMTrainer",
        {
            "router_mode": "probabilistic",
            "router_tau": 0.1,
            "router_threshold": 0.5,
            "hparam": {
                "hidden_layer_sizes": [128, 64],
                "activation": "relu",
                "solver": "adam",
                "max_iter": 300,
            },
        },
    ),
}

_ENDPOINT = "http://localhost:9/v1"  # required by route_batch, never called


class Exchange:
    """What `run.py` wrote."""

    def __init__(self, folder: Path) -> None:
        with (folder / "queries.jsonl").open() as lines:
            self.queries: list[dict[str, str]] = [json.loads(line) for line in lines]
        with np.load(folder / "outcomes.npz") as arrays:
            self.quality, self.cost = arrays["quality"], arrays["cost"]
        self.embeddings = np.load(folder / "embeddings.npy")
        self.models: list[dict[str, Any]] = json.loads((folder / "models.json").read_text())
        self.settings: list[list[float]] = json.loads((folder / "settings.json").read_text())

    def rows(self, alpha: float, beta: float) -> list[dict[str, Any]]:
        """Return the routing rows of the train queries, scored by the reward."""
        train = np.array([query["split"] == "train" for query in self.queries])
        known = train[:, None] & ~np.isnan(self.quality)
        if beta:
            known &= ~np.isnan(self.cost)
        reward = alpha * _minmax(self.quality[known])
        if beta:
            reward = reward - beta * _minmax(self.cost[known])
        return [
            {
                "task_name": self.queries[i]["task"],
                "query": self.queries[i]["text"],
                "model_name": self.models[j]["name"],
                "performance": float(value),
                "embedding_id": int(i),
            }
            for (i, j), value in zip(np.argwhere(known), reward, strict=True)
        ]

    def candidates(self) -> dict[str, dict[str, Any]]:
        """Return the pool as upstream's file of candidates has it."""
        sizes = [model["size_b"] for model in self.models if model["size_b"] is not None]
        unknown = f"{10 * max(sizes, default=1):g}B" if len(sizes) < 2 else ""
        return {
            model["name"]: {
                "size": unknown if model["size_b"] is None else f"{model['size_b']:g}B",
                "feature": "",
                "input_price": model["price_in"],
                "output_price": model["price_out"],
                "model": model["name"],
                "service": "",
                "api_endpoint": _ENDPOINT,
            }
            for model in self.models
        }


def _minmax(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def written(exchange: Exchange, router: str, alpha: float, beta: float, folder: Path) -> Path:
    """Write everything that upstream reads into *folder* and return its YAML file."""
    with (folder / "routing.jsonl").open("w") as lines:
        for row in exchange.rows(alpha, beta):
            lines.write(json.dumps(row) + "\n")
    vectors = {i: torch.from_numpy(row) for i, row in enumerate(exchange.embeddings)}
    torch.save(vectors, folder / "embeddings.pt")
    (folder / "candidates.json").write_text(json.dumps(exchange.candidates()))
    artefact = str(folder / f"{router}.pkl")
    config = {
        "data_path": {
            "query_embedding_data": str(folder / "embeddings.pt"),
            "routing_data_train": str(folder / "routing.jsonl"),
            "llm_data": str(folder / "candidates.json"),
        },
        "model_path": {
            "ini_model_path": "",
            "save_model_path": artefact,
            "load_model_path": artefact,
        },
        "metric": {"weights": {"performance": 1, "cost": 0, "llm_judge": 0}},
        **ROUTERS[router][2],
    }
    if router == "mf":
        config["hparam"] = {**config["hparam"], "text_dim": exchange.embeddings.shape[1]}
    path = folder / f"{router}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def patch(router: str, exchange: Exchange) -> None:
    """Replace what would need the network in the module of *router*: encoder and call."""
    module = sys.modules[getattr(llmrouter.models, ROUTERS[router][0]).__module__]
    vectors = {
        query["text"]: torch.from_numpy(row)
        for query, row in zip(exchange.queries, exchange.embeddings, strict=True)
    }
    if hasattr(module, "get_longformer_embedding"):  # elorouter embeds nothing
        module.get_longformer_embedding = vectors.__getitem__
    module.call_api = lambda request, **options: {"response": ""}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what upstream prints, once and more for each decision."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def measured(exchange: Exchange, router: str, path: Path, singles: int) -> dict[str, Any]:
    """Train, save and replay the router configured in *path*."""
    router_class, trainer_class = (getattr(llmrouter.models, name) for name in ROUTERS[router][:2])
    started = time.process_time()
    made = router_class(str(path))
    prepared = time.process_time()
    trainer_class(made).train()
    trained = time.process_time()
    test = [query for query in exchange.queries if query["split"] == "test"]
    rows = [{"query": query["text"]} for query in test]
    drawn = np.random.default_rng(0).permutation(len(rows))[:singles]
    made.route_single(rows[drawn[0]])  # the first call may import
    alone, seconds = [], []
    for i in drawn:
        before_single = time.process_time()
        alone.append(str(made.route_single(rows[i])["model_name"]))
        seconds.append(time.process_time() - before_single)
    before_batch = time.process_time()
    routed = made.route_batch(rows)
    after_batch = time.process_time()
    chosen = [str(row["model_name"]) for row in routed]
    found = {
        "chosen": {query["id"]: name for query, name in zip(test, chosen, strict=True)},
        "prepare_seconds": prepared - started,
        "train_seconds": trained - prepared,
        "decide_us_single": statistics.median(seconds) * 1e6,
        "decide_us_batch": (after_batch - before_batch) / len(rows) * 1e6,
        "artefact_bytes": path.with_suffix(".pkl").stat().st_size,
        "single_differs": sum(one != chosen[i] for one, i in zip(alone, drawn, strict=True)),
    }
    if router == "hybrid":  # the small model where the score reaches the threshold, 0.5 above
        found["small"], found["large"] = made.small_model_name, made.large_model_name
        found["router_score"] = {
            query["id"]: row["router_score"] for query, row in zip(test, routed, strict=True)
        }
    return found


def main() -> None:
    """Write one line to OUT for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("router", choices=ROUTERS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--singles", type=int, default=200, help="how many decisions to time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    exchange = Exchange(options.folder)
    patch(options.router, exchange)
    gc.freeze()  # a full collection of what the imports left takes 0.4 s, of whatever is timed
    versions = {
        name: importlib.metadata.version(name)
        for name in ("llmrouter-lib", "scikit-learn", "torch")
    }
    with options.out.open("w") as lines:
        for alpha, beta in exchange.settings:
            torch.manual_seed(options.seed)
            np.random.seed(options.seed)  # scikit-learn draws from this one by default
            found: dict[str, Any] = {"alpha": alpha, "beta": beta, "versions": versions}
            with tempfile.TemporaryDirectory() as folder, quiet():
                path = written(exchange, options.router, alpha, beta, Path(folder))
                try:
                    found |= measured(exchange, options.router, path, options.singles)
                except ValueError as error:
                    found["error"] = str(error).splitlines()[0]
            lines.write(json.dumps(found) + "\n")
            lines.flush()


if __name__ == "__main__":
    main()
