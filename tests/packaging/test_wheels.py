"""What is published is complete: every wheel, unpacked, in a bare interpreter."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from llmrouter_core.catalogue import VERBS

ROOT = Path(__file__).resolve().parents[2]
HOUSES = [folder.name for folder in sorted(ROOT.glob("plugins/llmrouter-plugin-*"))]
FOLDERS = {
    "llmrouter-core": ROOT,
    "cookiecutter-router": ROOT / "cookiecutter-router",
    **{name: ROOT / "plugins" / name for name in ["llmrouter", *HOUSES]},
}

LOAD = """
import json, sys
sys.path[:0] = sys.argv[1:]
from llmrouter_core import PluginError
from llmrouter_core.catalogue import discover
found = []
for entry in discover():
    try:
        entry.load()
    except PluginError as error:
        place = str(error)
    else:
        place = sys.modules[entry.module].__file__
    found.append([entry.distribution, entry.kind, entry.name, place])
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def wheels(wheel: Callable[[Path], Path]) -> dict[str, Path]:
    """The wheel of everything that is published from here."""
    return {name: wheel(folder) for name, folder in FOLDERS.items()}


@pytest.fixture(scope="session")
def site(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every wheel unpacked."""
    folder = tmp_path_factory.mktemp("site")
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def loaded(site: Path, third_parties: Path) -> list[list[str]]:
    """What a bare interpreter discovers and loads: distribution, kind, name, file or fault."""
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", LOAD, site, third_parties]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def project(name: str) -> dict[str, Any]:
    text = (FOLDERS[name] / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.parametrize("name", FOLDERS)
def test_the_metadata_says_what_the_project_says(name: str, wheels: dict[str, Path]) -> None:
    """Name, version, summary, licence, and every dependency; the README is the description."""
    with zipfile.ZipFile(wheels[name]) as archive:
        [place] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(place).decode())
    wanted = project(name)
    required = metadata.get_all("Requires-Dist") or []
    needs = {str(need) for need in map(Requirement, required) if "extra" not in str(need.marker)}

    assert metadata["Name"] == wanted["name"]
    assert metadata["Version"] == wanted["version"]
    assert metadata["Summary"] == wanted["description"]
    assert metadata["License-Expression"] == "MIT"
    assert needs == {str(Requirement(need)) for need in wanted["dependencies"]}
    assert str(metadata.get_payload()).startswith("# ")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_carries_no_tests(name: str, wheels: dict[str, Path]) -> None:
    """Tests stay in the repository; the template's own are part of the template."""
    members = [n for n in names(wheels[name]) if "/template/" not in n]

    assert [n for n in members if n.startswith("tests/") or "/tests/" in n] == []
    assert [n for n in members if n.endswith((".pyc", "conftest.py"))] == []


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_carries_only_its_own_package(name: str, wheels: dict[str, Path]) -> None:
    """One package named after the distribution; the bundle has none."""
    tops = {n.split("/")[0] for n in names(wheels[name])}
    packages = {top for top in tops if not top.endswith(".dist-info")}

    assert packages == (set() if name == "llmrouter" else {name.replace("-", "_")})


@pytest.mark.parametrize("name", HOUSES)
def test_a_bare_interpreter_finds_and_loads_a_house(
    name: str, loaded: list[list[str]], site: Path
) -> None:
    """Each entry point is discovered, imports without a warning, and comes from the wheel."""
    mine = [(kind, entry, place) for owner, kind, entry, place in loaded if owner == name]
    wanted = {
        (group.removeprefix("llmrouter."), entry)
        for group, entries in project(name)["entry-points"].items()
        for entry in entries
    }

    assert {(kind, entry) for kind, entry, _ in mine} == wanted
    assert [place for _, _, place in mine if not Path(place).is_relative_to(site)] == []


@pytest.mark.parametrize("name", HOUSES)
def test_a_house_ships_its_types_and_its_recipe(name: str, wheels: dict[str, Path]) -> None:
    """py.typed for type checkers; recipe.toml for configs that start from it."""
    package = name.replace("-", "_")
    members = names(wheels[name])
    parts = {f"llmrouter.{kind}" for kind in VERBS} & set(project(name)["entry-points"])

    assert f"{package}/py.typed" in members
    assert not parts or f"{package}/recipe.toml" in members


def test_the_core_ships_its_types_and_its_console_script(wheels: dict[str, Path]) -> None:
    """`llmrouter` is a command, and the core is typed."""
    with zipfile.ZipFile(wheels["llmrouter-core"]) as archive:
        [place] = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        points = archive.read(place).decode()

    assert "llmrouter=llmrouter_core.cli:main" in points.replace(" ", "")
    assert "llmrouter." not in points
    assert "llmrouter_core/py.typed" in names(wheels["llmrouter-core"])


def test_the_template_works_from_its_wheel(
    site: Path, third_parties: Path, tmp_path: Path
) -> None:
    """Even after an installer compiled it, which must not leave caches inside the template."""
    compileall.compile_dir(site / "cookiecutter_router", quiet=2)
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from cookiecutter_router import render\n"
        "render(Path(sys.argv[1]), name='a-b', kind='scorer', summary='S', author='A')"
    )
    command = [sys.executable, "-I", "-S", "-c", script, tmp_path, site, third_parties]
    subprocess.run(command, check=True)
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}

    assert made == {
        f"llmrouter-plugin-a-b/{name}"
        for name in (
            "LICENSE",
            "README.md",
            "pyproject.toml",
            "llmrouter_plugin_a_b/__init__.py",
            "llmrouter_plugin_a_b/py.typed",
            "llmrouter_plugin_a_b/recipe.toml",
            "tests/test_a_b.py",
            "tests/test_conformance.py",
        )
    }
