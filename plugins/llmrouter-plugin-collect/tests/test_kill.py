"""Runs that are killed and finished are runs that were never killed."""

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Any:
    spec = importlib.util.spec_from_file_location("kill", Path(__file__).with_name("kill.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Trials(tmp_path_factory.mktemp("kills"), queries=80)


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_run_ends_with_the_rows_of_an_undisturbed_one(trials: Any, seed: int) -> None:
    """SIGKILL at a random moment; `kill.py --kills 50` does the same at length."""
    before = trials.kill(random.Random(seed))

    assert 0 <= before <= 1
