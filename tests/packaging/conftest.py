"""What the packaging tests share: the folders, their wheels, and third parties without us."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest


def ours(name: str) -> bool:
    """Return whether a distribution of that name is made in this repository."""
    return name.startswith("llmrouter") or name == "cookiecutter-router"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Build the wheel of a folder, once."""
    target = tmp_path_factory.mktemp("wheels")

    @cache
    def build(folder: Path) -> Path:
        pyproject = (folder / "pyproject.toml").read_text(encoding="utf-8")
        backend = tomllib.loads(pyproject)["build-system"]["build-backend"]
        if backend == "flit_core.buildapi":
            from flit_core.buildapi import build_wheel

            with contextlib.chdir(folder):
                return target / build_wheel(str(target))
        script = f"import {backend} as backend; print(backend.build_wheel({str(target)!r}))"
        built = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
        )
        return target / built.stdout.split()[-1]

    return build


@pytest.fixture(scope="session")
def third_parties(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds every installed package except what is made here."""
    folder = tmp_path_factory.mktemp("third-parties")
    for distribution in distributions():
        if ours(distribution.name.lower().replace("_", "-")):
            continue
        for top in {file.parts[0] for file in distribution.files or ()}:
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                place = folder / top
                if not place.exists():
                    place.symlink_to(os.fspath(distribution.locate_file(top)))
    return folder
