"""A minute of tests/benchmarks/soak.py, which soaks for half an hour before a release.

It is the same program with the same rules, at half the load, so that there is room on two cores.
Nothing here is measured in time but what the gateway may wait for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parent.parent / "benchmarks" / "soak.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc"),
]


def test_a_minute_of_faults_and_leavers_leaves_nothing_over(tmp_path: Path) -> None:
    """The money adds up to the picodollar, no answer is cut silently, nothing leaks."""
    told = tmp_path / "soak.json"
    command = [sys.executable, str(SOAK), "--json", str(told)]
    command += ["--minutes", "1", "--load", "0.3", "--calibration", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.exists(), run.stderr
    figures = json.loads(told.read_text())
    wrong = [name for name, good in figures["verdicts"].items() if not good]
    assert (wrong, run.returncode) == ([], 0), run.stdout

    money, server = figures["picodollars"], figures["server"]
    off = sum(money["made and not booked, by cause"].values())
    assert money["records"] == money["ledger"] > 0
    assert money["made by the upstreams"] == money["ledger"] + off
    assert not {"silent", "wrong", "dropped"} & figures["outcomes"].keys()
    assert figures["upstream_calls_per_request"] <= 1.2
    assert server["rss_growth"] < 0.2
    assert server["idle_after"]["tasks"] <= server["idle_before"]["tasks"]
    assert server["idle_after"]["sockets"] <= server["idle_before"]["sockets"]
    # All that would say nothing of a run in which nothing happened.
    assert figures["requests"] > 500
    assert figures["outcomes"]["right"] > 0.8 * figures["requests"]
    assert figures["outcomes"]["left"] > 0
    assert len(figures["kinds"]) > 10
