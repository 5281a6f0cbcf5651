"""What `llmrouter dataset convert` costs: seconds and peak memory.

    python tests/benchmarks/convert.py [--rows 5000000] [--models 10] [--to jsonl|csv|parquet]

The file is made first: JSONL, one row for each of `--rows / --models` queries and each model, with
a text of some 150 characters and every number. The conversion runs in a process of its own, whose
peak resident memory the operating system keeps.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

_CONVERT = """
import resource, sys, time
from llmrouter_core.cli import main
start = time.perf_counter()
sys.argv = ["llmrouter", "-q", "dataset", "convert", *sys.argv[1:]]
try:
    main()
finally:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{time.perf_counter() - start:.1f} {peak / 1024:.0f}")
"""
_WORDS = ["function", "sorts", "words", "line", "length", "their", "order", "of", "and", "by"]


def make(path: Path, rows: int, models: int, seed: int = 0) -> None:
    """Write a file of *rows* outcomes, the same for the same seed."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for query in range(rows // models):
            text = f"Query {query}: write {' '.join(rng.choices(_WORDS, k=25))}"
            for model in range(models):
                row = {
                    "id": f"q{query}",
                    "query": text,
                    "task": f"task {query % 20}",
                    "model": f"model-{model}",
                    "score": rng.randint(0, 1),
                    "input_tokens": 40,
                    "output_tokens": rng.randint(1, 500),
                    "cost": round(rng.random() / 1000, 8),
                    "latency": round(rng.random() * 5, 3),
                }
                file.write(json.dumps(row) + "\n")


def main() -> None:
    """Print rows, file sizes, seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--to", choices=("jsonl", "csv", "parquet"), default="csv")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        source, out = Path(folder, "in.jsonl"), Path(folder, f"out.{options.to}")
        start = time.perf_counter()
        make(source, options.rows, options.models)
        made = time.perf_counter() - start
        run = subprocess.run(
            [sys.executable, "-c", _CONVERT, str(source), str(out)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, peak = run.stdout.split()
        print(
            f"{options.rows:,} rows, {source.stat().st_size / 1e6:,.0f} MB made in {made:.0f} s: "
            f"converted to {options.to} ({out.stat().st_size / 1e6:,.0f} MB) in {seconds} s, "
            f"peak memory {peak} MiB"
        )


if __name__ == "__main__":
    main()
