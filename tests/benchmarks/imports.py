"""What `import llmrouter_core` costs beyond the libraries it stands on: ratio, in one run.

    python tests/benchmarks/imports.py

Every round imports numpy, attrs, cattrs and pluggy alone in one fresh interpreter and
llmrouter_core in another, under `-X importtime`; the figure is the cumulative import time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

BASE = "import numpy, attrs, cattrs, pluggy"
OURS = "import llmrouter_core"


def imported(program: str) -> float:
    """Return the milliseconds that the imports of *program* take, interpreter start excluded."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {name.split(".")[0].strip(",") for name in program.split()[1:]}
    total = 0
    for line in run.stderr.splitlines():
        _, cumulative, module = line.removeprefix("import time:").split("|")
        # A top-level module is indented by one space only.
        if module[1:2] != " " and module.strip() in names:
            total += int(cumulative)
    return total / 1000


def main() -> None:
    """Print the median of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    pairs = [(imported(OURS), imported(BASE)) for _ in range(options.rounds)]
    ours, base = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"llmrouter_core {ours:.0f} ms, its libraries alone {base:.0f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
