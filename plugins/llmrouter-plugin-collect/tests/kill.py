"""Kill a collect run with SIGKILL at random moments, finish it, and compare with one left alone.

    python plugins/llmrouter-plugin-collect/tests/kill.py --kills 50

A tenth of the calls fail by a simulated fault, so that rows are replaced too. After each kill:
the rows that were whole stand at the head of the finished journal as they were, no query was
asked again of a model that had answered, and the outcomes equal the undisturbed run's, byte by
byte.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from llmrouter_plugin_collect.journal import JOURNAL, OUTCOMES, decode

CONFIG = """\
selector = "smallest-llm"

[caller.default]
use = "sim"
faults = { unavailable = 0.04, cut = 0.03, timeout = 0.03 }
"""


class Trials:
    """Runs over one task in folders of their own.

    Args:
        home: Where everything is kept.
        queries: How many queries every model is asked.
    """

    def __init__(self, home: Path, queries: int) -> None:
        self.home = home
        self.queries = queries
        (home / "router.toml").write_text(CONFIG)
        started = time.perf_counter()
        self._finish("undisturbed")
        self.seconds = time.perf_counter() - started
        self.wanted = (home / "undisturbed" / OUTCOMES).read_bytes()

    def _start(self, out: str) -> subprocess.Popen[bytes]:
        program = "from llmrouter_core.cli import main; main()"
        command = [sys.executable, "-c", program, "-q", "collect", "router.toml", "sim"]
        command += ["--limit", str(self.queries), "--retry", "30", "--out", out, "--json"]
        return subprocess.Popen(
            command, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def _finish(self, out: str) -> None:
        process = self._start(out)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()

    def kill(self, rng: random.Random) -> float:
        """Kill a run, finish it, compare; return which share of the outcomes was there before."""
        folder = self.home / f"killed-{rng.random()}"
        process = self._start(folder.name)
        if rng.random() < 0.9:  # most of them while it asks, the others from the first moment
            while not (folder / JOURNAL).exists() and process.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.6 * self.seconds))
        else:
            time.sleep(rng.uniform(0, self.seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = (folder / JOURNAL).read_bytes() if (folder / JOURNAL).exists() else b""
        whole = before[: before.rfind(b"\n") + 1]
        self._finish(folder.name)
        after = (folder / JOURNAL).read_bytes()

        assert after.startswith(whole), "rows that were whole were changed"
        answered = _answered(after)
        assert set(answered.values()) == {1}, "a query was asked again that had been answered"
        assert len(answered) == self.wanted.count(b"\n")
        assert (folder / OUTCOMES).read_bytes() == self.wanted, "the outcomes differ"
        shutil.rmtree(folder)
        return len(_answered(whole)) / len(answered)


def _answered(journal: bytes) -> Counter[tuple[str, str]]:
    rows = [decode(line) for line in journal.splitlines()[1:]]
    assert None not in rows
    return Counter((row["id"], row["model"]) for row in rows if row and row["status"] == "ok")


def main() -> None:
    """Read the command line, kill, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as home:
        trials = Trials(Path(home), options.queries)
        shares = [trials.kill(rng) for _ in range(options.kills)]
    inside = [share for share in shares if 0 < share < 1]
    tenths = Counter(int(10 * share) for share in inside)
    print(
        f"{len(shares)} kills, {len(inside)} of them while it asked "
        f"(by tenths of the way: {', '.join(f'{t}: {n}' for t, n in sorted(tenths.items()))}); "
        "every finished run equals the undisturbed one"
    )


if __name__ == "__main__":
    main()
