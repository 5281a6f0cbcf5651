"""Run the routers of the upstream library on the rows of our data sets, in its own interpreter.

    python tests/benchmarks/peers/run.py --peer PEER_PYTHON FOLDER… --out peers.json
        [--routers knn,svm,…] [--settings 1:0,0.8:0.2,…] [--embeddings minilm|hashing]
        [--order pool|best] [--seconds 600] [--seed 0]

Folders are those that `quality.py` reads, and so are the rows: training on the train rows, replay
over the test rows whose text is not among them; the peer never sees an outcome of a test row. What
is trained and how is said in `upstream.py`, how to make PEER_PYTHON in `README.md`. Upstream gives
a tie to the first model: with `--order best` that is the best one over the train rows, which was
at least as good for it wherever we tried both.

The file becomes {set: {router: {settings: [{alpha, beta, chosen: {query_id: model},
train_seconds, …}], decide_us_single, decide_us_batch, artefact_bytes, …}}}; it is written after
every router, and what it holds of others stays. A setting that the library refuses has an `error`
instead, and a router that ran out of time says so in `unfinished`. A set without costs has the
settings without beta alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sets import read, unseen

from llmrouter_core import Dataset, Model
from llmrouter_core.evaluation import expected_costs
from llmrouter_core.evaluation.policies import best_single

ROUTERS = ("knn", "svm", "mlp", "mf", "elo", "hybrid")
SETTINGS = "1:0,0.8:0.2,0.5:0.5,0.2:0.8,0:1"

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",  # what n_jobs = -1 of upstream's kNN means
    "CUDA_VISIBLE_DEVICES": "",
}
_SILENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else importing upstream asks the network for it
    "PYTHONWARNINGS": "ignore",
}
_PER_ROUTER = ("decide_us_single", "decide_us_batch", "artefact_bytes", "versions")


def ordered(
    models: list[Model], train: Dataset, test: Dataset
) -> tuple[list[Model], Dataset, Dataset]:
    """Return the same, the models from the best to the worst over the train rows."""
    columns = np.argsort(-np.nanmean(train.quality, axis=0), kind="stable")
    arranged = [models[j] for j in columns]
    names = [model.name for model in arranged]
    return arranged, train.for_models(names), test.for_models(names)


def write(
    into: Path,
    models: list[Model],
    train: Dataset,
    test: Dataset,
    settings: list[tuple[float, float]],
) -> None:
    """Write the exchange folder, without the outcomes of the test rows."""
    with (into / "queries.jsonl").open("w") as lines:
        for split, data in (("train", train), ("test", test)):
            for name, query, task in zip(data.ids, data.queries, data.tasks, strict=True):
                row = {"id": name, "text": query.text, "task": task, "split": split}
                lines.write(json.dumps(row) + "\n")
    hidden = np.full(test.quality.shape, np.nan)
    np.savez(
        into / "outcomes.npz",
        quality=np.vstack([train.quality, hidden]),
        cost=np.vstack([expected_costs(train, models), hidden]),
    )
    np.save(into / "embeddings.npy", np.vstack([train.embeddings, test.embeddings]))
    cards = [
        {
            "name": model.name,
            "size_b": model.size,
            "price_in": None if model.price is None else float(model.price.input),
            "price_out": None if model.price is None else float(model.price.output),
        }
        for model in models
    ]
    (into / "models.json").write_text(json.dumps(cards))
    (into / "settings.json").write_text(json.dumps(settings))


def run(peer: str, folder: Path, router: str, seconds: float, seed: int) -> dict[str, Any]:
    """Return what upstream makes of the exchange folder, as far as it came in *seconds*."""
    out = folder / f"{router}.jsonl"
    script = Path(__file__).with_name("upstream.py")
    command = [peer, str(script), str(folder), router, str(out), "--seed", str(seed)]
    found: dict[str, Any] = {"settings": []}
    try:
        done = subprocess.run(
            command, env={**os.environ, **_ONE_THREAD, **_SILENT}, timeout=seconds, check=False
        )
        if done.returncode:
            found["unfinished"] = f"ended with exit status {done.returncode}"
    except subprocess.TimeoutExpired:
        found["unfinished"] = f"stopped after {seconds:g} s"
    if out.exists():
        lines = out.read_text().splitlines(keepends=True)
        found["settings"] = [json.loads(line) for line in lines if line.endswith("\n")]
    for one in reversed(found["settings"]):  # the first setting that was trained says it
        found |= {name: one[name] for name in _PER_ROUTER if name in one}
    for one in found["settings"]:
        one.pop("versions")
    return found


def tell(router: str, found: dict[str, Any], test: Dataset) -> None:
    """Print one line a setting, with the mean score of what was chosen."""
    column = {name: j for j, name in enumerate(test.models)}
    for one in found["settings"]:
        where = f"  {router:<7} alpha {one['alpha']:<4g} beta {one['beta']:<4g}"
        if "error" in one:
            print(f"{where} refused: {one['error']}")
            continue
        picked = [column[one["chosen"][name]] for name in test.ids]
        score = np.nanmean(test.quality[np.arange(len(test)), picked])
        print(
            f"{where} {score:.4f}  train {one['prepare_seconds']:.2f} + "
            f"{one['train_seconds']:.2f} s  decide {one['decide_us_single']:,.0f} us alone, "
            f"{one['decide_us_batch']:,.0f} us in a batch  {one['artefact_bytes'] / 1e3:,.0f} kB",
            flush=True,
        )
    if "unfinished" in found:
        print(f"  {router:<7} {found['unfinished']}", flush=True)


def pairs(text: str) -> list[tuple[float, float]]:
    """Return the pairs alpha, beta in *text*: `1:0,0.8:0.2`."""
    found = []
    for part in text.split(","):
        alpha, beta = part.split(":")
        found.append((float(alpha), float(beta)))
    return found


def main() -> None:
    """Run every router on every folder, print the figures and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--peer", required=True, help="interpreter that has llmrouter-lib")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--routers", type=lambda text: text.split(","), default=list(ROUTERS))
    parser.add_argument("--settings", type=pairs, default=pairs(SETTINGS))
    parser.add_argument("--embeddings", choices=("minilm", "hashing"), default="minilm")
    parser.add_argument("--order", choices=("pool", "best"), default="pool")
    parser.add_argument("--seconds", type=float, default=600, help="for one router on one set")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    everything = json.loads(options.out.read_text()) if options.out.exists() else {}
    for folder in options.folders:
        models, train, test = read(folder, options.embeddings)
        test = unseen(train, test)
        if options.order == "best":
            models, train, test = ordered(models, train, test)
        costly = not np.isnan(expected_costs(train, models)).all()
        best = np.nanmean(test.quality[:, best_single(train)])
        print(f"{folder.name}: {len(test):,} test queries, best single {best:.4f}", flush=True)
        with tempfile.TemporaryDirectory() as name:
            write(
                Path(name),
                models,
                train,
                test,
                [(alpha, beta) for alpha, beta in options.settings if costly or not beta],
            )
            for router in options.routers:
                print(f"{folder.name}: {router} …", file=sys.stderr, flush=True)
                found = run(options.peer, Path(name), router, options.seconds, options.seed)
                tell(router, found, test)
                everything.setdefault(folder.name, {})[router] = found
                options.out.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
