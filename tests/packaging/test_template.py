"""What `llmrouter new` makes works before a line of it is changed, whatever the kind."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter_router import KINDS, render, template

ROOT = Path(__file__).resolve().parents[2]
WITH_RECIPE = {"scorer", "selector", "solver"}

RUN = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_same_files(kind: str, tmp_path: Path) -> None:
    """Exactly these, and an entry point under the kind's group."""
    made = render(tmp_path, name="two-words", kind=kind, summary="A sample", author="Ada")
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
    groups = {f"llmrouter.{kind}"} | ({"llmrouter.router"} if kind in WITH_RECIPE else set())

    assert made == tmp_path / "llmrouter-plugin-two-words"
    assert {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()} == {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "llmrouter_plugin_two_words/__init__.py",
        "llmrouter_plugin_two_words/py.typed",
        "llmrouter_plugin_two_words/recipe.toml",
        "tests/test_conformance.py",
        "tests/test_two_words.py",
    }
    assert set(project["entry-points"]) == groups
    assert not [p for p in made.rglob("*") if p.is_file() and "{" + "{" in p.read_text()]


def test_every_kind_passes_its_own_tests(
    tmp_path: Path, wheel: Callable[[Path], Path], third_parties: Path
) -> None:
    """Installed from wheels beside the core alone: conformance and its own tests, no warning."""
    site = tmp_path / "site"
    folders = [
        render(tmp_path, name=f"my-{kind}", kind=kind, summary=f"A small {kind}", author="Ada")
        for kind in KINDS
    ]
    for folder in (ROOT, *folders):
        with zipfile.ZipFile(wheel(folder)) as archive:
            archive.extractall(site)
    path = os.pathsep.join(map(str, (site, third_parties)))
    options = ["-q", "-W", "error", "--import-mode=importlib", "-p", "no:cacheprovider"]
    command = [sys.executable, "-I", "-S", "-c", RUN, path, *options, *map(str, folders)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


@pytest.fixture
def every_kind(tmp_path: Path) -> Path:
    """A folder with one plugin of each kind."""
    for kind in KINDS:
        render(tmp_path, name=f"my-{kind}", kind=kind, summary="A small sample", author="Ada")
    return tmp_path


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["rules", "format"])
def test_what_is_made_is_in_good_style(command: list[str], every_kind: Path) -> None:
    """By the rules of this repository, which are stricter than most."""
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache"]
    done = subprocess.run(
        [*ruff, "--config", ROOT / "pyproject.toml", every_kind],
        cwd=every_kind,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_made_has_strict_types(every_kind: Path) -> None:
    """mypy --strict has nothing to say."""
    modules = every_kind.glob("*/llmrouter_plugin_*/__init__.py")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull]
    done = subprocess.run(
        [*command, "--config-file", "", *modules],
        cwd=every_kind,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_template_works_with_plain_cookiecutter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cookiecutter ./cookiecutter-router` needs nothing of ours."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config"]
    output = ["--output-dir", str(tmp_path), str(template()), "kind=embedder"]
    subprocess.run([*command, *output], check=True, capture_output=True)

    assert (tmp_path / "llmrouter-plugin-example/llmrouter_plugin_example/__init__.py").is_file()
