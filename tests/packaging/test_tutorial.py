"""The plugin that docs/write-a-plugin.md builds by hand is a real one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

from cookiecutter_router import render

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/write-a-plugin.md"
_FILE = re.compile(r"^`([\w./]+)`\n\n(`{3,})\w+\n(.*?)^\2$", re.MULTILINE | re.DOTALL)

RUN = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def written() -> dict[str, str]:
    """Return the text of each file the page shows, by its path."""
    return {found[1]: found[3] for found in _FILE.finditer(PAGE.read_text(encoding="utf-8"))}


def law(folder: Path) -> Path:
    """Return the same plugin as the template makes it."""
    project = tomllib.loads(written()["pyproject.toml"])["project"]
    return render(
        folder,
        name="code",
        kind="scorer",
        summary=project["description"],
        author=project["authors"][0]["name"],
    )


def test_the_page_writes_what_the_template_would(tmp_path: Path) -> None:
    """The packaging is equal to the last byte, and no file is forgotten."""
    made = law(tmp_path)
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}

    assert set(written()) == files - {"LICENSE", "llmrouter_plugin_code/py.typed"}
    for name in (
        "pyproject.toml",
        "tests/test_conformance.py",
        "llmrouter_plugin_code/recipe.toml",
    ):
        assert written()[name] == (made / name).read_text(encoding="utf-8"), name


def test_the_plugin_of_the_page_conforms(
    tmp_path: Path, wheel: Callable[[Path], Path], third_parties: Path
) -> None:
    """Built from the page's own text, installed beside the core, without a warning."""
    house = law(tmp_path)
    for name, text in written().items():
        (house / name).write_text(text, encoding="utf-8")
    site = tmp_path / "site"
    for folder in (ROOT, house):
        with zipfile.ZipFile(wheel(folder)) as archive:
            archive.extractall(site)
    path = os.pathsep.join(map(str, (site, third_parties)))
    options = ["-q", "-W", "error", "--import-mode=importlib", "-p", "no:cacheprovider"]
    command = [sys.executable, "-I", "-S", "-c", RUN, path, *options, str(house)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
