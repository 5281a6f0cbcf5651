"""A fresh environment with the core and two plugins: nothing more, and nothing is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSES = ("llmrouter-plugin-smallest-llm", "llmrouter-plugin-sim")
CONFIG = 'router = "smallest-llm"\ncaller = "sim"\n'
SHORTEST = {"router": "smallest-llm", "caller": "sim"}

pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment, and a way to run its programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        path = self.folder / "bin" / program
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LLMROUTER"))}
        return subprocess.run(
            [path, *arguments],
            cwd=self.folder,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[Path], Path],
    third_parties: Path,
) -> Environment:
    """An environment with wheels of the core and two houses, installed by pip."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    made = Environment(folder)
    wheels = [wheel(ROOT), *(wheel(ROOT / "plugins" / name) for name in HOUSES)]
    done = made.run("pip", "install", "--no-index", "--no-deps", "--quiet", *wheels)
    assert done.returncode == 0, done.stderr
    [site] = folder.glob("lib/python*/site-packages")
    (site / "third-parties.pth").write_text(f"{third_parties}\n")
    (folder / "router.toml").write_text(CONFIG)
    return made


def test_exactly_what_was_installed_is_listed(environment: Environment) -> None:
    """The core brings no plugin, and no plugin of this checkout leaks in."""
    done = environment.run("llmrouter", "plugins", "--json")

    assert done.returncode == 0, done.stderr
    assert {row["distribution"] for row in json.loads(done.stdout)} == set(HOUSES)


def test_the_shortest_config_answers(environment: Environment) -> None:
    """In Python and on the command line."""
    code = f"from llmrouter_core import LLMRouter; print(LLMRouter({SHORTEST}).route('Hi'))"
    python = environment.run("python", "-W", "error", "-c", code)
    command = environment.run("llmrouter", "ask", "router.toml", "Hi")

    assert python.returncode == 0, python.stderr
    assert python.stdout.strip()
    assert command.returncode == 0, command.stderr
    assert command.stdout.strip() == python.stdout.strip()


def test_a_plugin_that_was_uninstalled_is_a_sentence(environment: Environment) -> None:
    """Exit code 2, how to get it back, and no traceback."""
    gone = environment.run("pip", "uninstall", "--yes", "llmrouter-plugin-smallest-llm")
    assert gone.returncode == 0, gone.stderr

    done = environment.run("llmrouter", "ask", "router.toml", "Hi")

    assert done.returncode == 2
    assert "pip install llmrouter-plugin-smallest-llm" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
