"""The template is the law: every house is what it renders, and all names and versions agree."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cookiecutter_router import render

import llmrouter_core
from llmrouter_core.catalogue import VERBS

ROOT = Path(__file__).resolve().parents[2]
HOUSES = sorted(ROOT.glob("plugins/llmrouter-plugin-*"))
SETTINGS = {"ruff.toml", ".ruff.toml", "setup.cfg", "tox.ini", "pytest.ini", "mypy.ini", ".github"}
SECTIONS = ["## Use", "## Options", "## How it works"]

each_house = pytest.mark.parametrize("house", HOUSES, ids=lambda house: house.name)


def read(folder: Path) -> dict[str, Any]:
    """Return the tables of a folder's pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def short(house: Path) -> str:
    return house.name.removeprefix("llmrouter-plugin-")


def kind_of(house: Path) -> str | None:
    """Return the kind of the part that has the house's name; None where it offers no part."""
    groups = read(house)["project"]["entry-points"]
    kinds = [group.removeprefix("llmrouter.") for group in groups if short(house) in groups[group]]
    return next((kind for kind in kinds if kind in VERBS), None)


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def law(house: Path, tmp_path: Path) -> Path:
    """The house as the template would make it."""
    return render(
        tmp_path,
        name=short(house),
        kind=kind_of(house) or "extension",
        summary=read(house)["project"]["description"],
        author="The LLMRouter developers",
        family=read(house)["project"].get("keywords", ["", ""])[1],
    )


def bound(version: str) -> str:
    major, minor, _ = version.split(".")
    return f">={major}.{minor},<{major}.{int(minor) + 1}"


@each_house
def test_a_house_has_every_file_of_the_template(house: Path, law: Path) -> None:
    """More files are welcome; settings of tools are not, they live at the root."""
    wanted = files(law) if kind_of(house) else {f for f in files(law) if "recipe" not in f}

    assert wanted <= files(house)
    assert not SETTINGS & {path.name for path in house.iterdir()}


@each_house
def test_a_house_has_the_licence_of_the_template(house: Path, law: Path) -> None:
    """Byte for byte."""
    assert (house / "LICENSE").read_bytes() == (law / "LICENSE").read_bytes()


@each_house
def test_a_house_is_packaged_as_the_template_says(house: Path, law: Path) -> None:
    """Only dependencies and entry points may be added; nothing is taken away or set otherwise."""
    ours, theirs = read(house), read(law)
    mine, wanted = ours.pop("project"), theirs.pop("project")
    groups = {} if kind_of(house) is None else wanted["entry-points"]

    assert ours == theirs
    assert mine.keys() == wanted.keys()
    for key in wanted.keys() - {"dependencies", "optional-dependencies", "entry-points"}:
        assert mine[key] == wanted[key], key
    assert set(wanted["dependencies"]) <= set(mine["dependencies"])
    assert wanted["optional-dependencies"].items() <= mine["optional-dependencies"].items()
    for group, entries in groups.items():
        assert entries.items() <= mine["entry-points"][group].items(), group


def test_the_model_house_is_packaged_byte_for_byte(tmp_path: Path) -> None:
    """Comments, order and blank lines too."""
    house = ROOT / "plugins/llmrouter-plugin-smallest-llm"
    made = render(
        tmp_path,
        name="smallest-llm",
        kind="selector",
        summary="Select the smallest model first",
        author="The LLMRouter developers",
        family="fixed choice",
    )

    for name in ("pyproject.toml", "LICENSE", "tests/test_conformance.py"):
        assert (house / name).read_bytes() == (made / name).read_bytes(), name


@each_house
def test_a_house_explains_itself_in_the_same_order(house: Path, law: Path) -> None:
    """Title, how to use it, its options, how it works."""
    lines = (house / "README.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line in SECTIONS]

    assert lines[0] == (law / "README.md").read_text(encoding="utf-8").splitlines()[0]
    assert lines[2].strip(), "a paragraph follows the title"
    assert headings == SECTIONS
    assert f"pip install {house.name}" in lines


@each_house
def test_a_house_asks_for_conformance_in_one_statement(house: Path, law: Path) -> None:
    """As the template writes it, but for examples given by keyword and what makes them."""
    text = (house / "tests/test_conformance.py").read_text(encoding="utf-8")
    wanted = (law / "tests/test_conformance.py").read_text(encoding="utf-8")
    docstring, *helpers, statement = ast.parse(text).body
    call = getattr(statement, "value", None)

    assert isinstance(call, ast.Call)
    if not call.keywords:
        assert text == wanted
    call.keywords = []
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    assert all(isinstance(helper, allowed) for helper in helpers)
    assert ast.unparse(docstring) == ast.unparse(ast.parse(wanted).body[0])
    assert ast.unparse(statement) == wanted.splitlines()[-1].replace('"', "'")


@each_house
def test_the_names_of_a_house_follow_from_its_folder(house: Path) -> None:
    """Distribution, package, entry point and class."""
    name = short(house)
    project = read(house)["project"]
    kind = kind_of(house)

    assert project["name"] == house.name
    assert (house / f"llmrouter_plugin_{name.replace('-', '_')}/__init__.py").is_file()
    assert (house / f"tests/test_{name.replace('-', '_')}.py").is_file()
    if kind is not None:
        words = "".join(word.capitalize() for word in name.split("-"))
        value = project["entry-points"][f"llmrouter.{kind}"][name]
        assert value == (f"llmrouter_plugin_{name.replace('-', '_')}:{words}{kind.capitalize()}")


def test_everything_has_one_version(tmp_path: Path) -> None:
    """Core, houses, bundle, template and what the template makes move in lockstep."""
    made = render(tmp_path, name="a", kind="scorer", summary="A", author="B")
    folders = [ROOT, *HOUSES, ROOT / "plugins/llmrouter", ROOT / "cookiecutter-router", made]
    versions = {folder.name: read(folder)["project"]["version"] for folder in folders}

    assert set(versions.values()) == {llmrouter_core.__version__}, versions


def test_every_bound_follows_from_the_version() -> None:
    """Whoever needs something of ours accepts this minor version and no later one."""
    wanted = bound(llmrouter_core.__version__)
    wrong = []
    for folder in [*HOUSES, ROOT / "plugins/llmrouter", ROOT / "cookiecutter-router"]:
        project = read(folder)["project"]
        extras = project.get("optional-dependencies", {}).values()
        for need in [*project["dependencies"], *(need for extra in extras for need in extra)]:
            name, rest = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", need).groups()
            if name.startswith("llmrouter") and rest != wanted:
                wrong.append(f"{folder.name}: {need}")

    assert wrong == []


def listed(name: str) -> list[str]:
    """Return what a requirements file installs, without its comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_bundle_is_what_a_checkout_installs() -> None:
    """requirements.txt lists, editable, exactly what the bundle depends on."""
    needs = read(ROOT / "plugins/llmrouter")["project"]["dependencies"]
    names = [need.partition(">")[0] for need in needs]
    wanted = ["-e ." if n == "llmrouter-core" else f"-e ./plugins/{n}" for n in names]

    assert listed("requirements.txt") == wanted


def test_a_developer_installs_every_house() -> None:
    """requirements-dev.txt adds the houses that requirements.txt leaves out, and the template."""
    lists = [*listed("requirements.txt"), *listed("requirements-dev.txt")]
    houses = [line for line in lists if line.startswith("-e ./plugins/")]

    assert sorted(houses) == [f"-e ./plugins/{house.name}" for house in HOUSES]
    assert "-r requirements.txt" in lists
    assert "-e .[testing]" in lists
    assert "-e ./cookiecutter-router" in lists
