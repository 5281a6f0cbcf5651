"""Rules for a distribution as a whole: its names, its metadata, its recipe."""

from __future__ import annotations

import re
from typing import Any

from packaging.requirements import Requirement

from llmrouter_core.catalogue import VERBS, canonical, find
from llmrouter_core.config import NAMED, SINGLE, load
from llmrouter_core.errors import BrokenPlugin, PluginError, UnknownPlugin
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.testing.rules import Unmet, check
from llmrouter_core.testing.subject import Subject

HOUSE = ("house",)
PREFIX = "llmrouter-plugin-"


@check(HOUSE)
def check_installed(subject: Subject) -> None:
    """Be installed, and publish an entry point of LLMRouter."""
    name = subject.house.distribution
    assert subject.house.entries, (
        f"no entry point of {name} is found; install it again: pip install {name}"
    )


@check(HOUSE)
def check_distribution_name(subject: Subject) -> None:
    """Be `llmrouter-plugin-<x>` with the package `llmrouter_plugin_<x>` and an entry `<x>`."""
    name = canonical(subject.house.distribution)
    package = name.replace("-", "_")
    strangers = {e.module for e in subject.house.entries} - {package}
    names = [entry.name for entry in subject.house.entries]
    # Benchmarks have names of their own, so a house of tasks alone needs no such entry.
    tasks = {entry.kind for entry in subject.house.entries} == {"task"}

    assert name.startswith(PREFIX), f"'{name}' does not begin with {PREFIX}"
    assert not [s for s in strangers if not s.startswith(f"{package}.")], (
        f"entry points name {', '.join(sorted(strangers))}, expected {package}"
    )
    assert tasks or subject.house.name in names, f"no entry is named '{subject.house.name}'"


@check(HOUSE)
def check_bounds_core(subject: Subject) -> None:
    """Require llmrouter-core with an upper bound, so that a breaking core stays away."""
    listed = [Requirement(line) for line in subject.house.metadata.get_all("Requires-Dist") or ()]
    core = [one for one in listed if one.name == "llmrouter-core" and one.marker is None]

    assert core, "it does not require llmrouter-core"
    assert any(spec.operator in ("<", "<=", "~=", "==") for spec in core[0].specifier), (
        f"'{core[0]}' has no upper bound; write llmrouter-core>=0.1,<0.2"
    )


@check(HOUSE)
def check_has_types(subject: Subject) -> None:
    """Put a `py.typed` into the package, so that type checkers read its annotations."""
    folder = subject.house.folder
    assert folder is not None, "its package is not a folder"
    assert (folder / "py.typed").is_file(), f"{folder.name}/py.typed is missing"


@check(HOUSE)
def check_has_readme(subject: Subject) -> None:
    """Have a README that names the house, shows its use and is part of its metadata."""
    text = subject.house.metadata.json.get("description", "")
    for needed in (canonical(subject.house.distribution), "## Use"):
        assert needed in text, f"the README in its metadata lacks '{needed}'"


@check(HOUSE)
def check_has_licence(subject: Subject) -> None:
    """State a licence in the metadata, and carry its file."""
    metadata = subject.house.metadata
    assert metadata["License-Expression"] or metadata["License"], "its metadata state no licence"
    assert metadata["License-File"], "its metadata carry no LICENSE file"


def composes(subject: Subject) -> bool:
    """Whether the house publishes anything that a config can compose."""
    return any(entry.kind in (*VERBS, "router") for entry in subject.house.entries)


@check(HOUSE, composes)
def check_recipe_loads(subject: Subject) -> None:
    """Ship a `recipe.toml` that is a complete config: all parts can be built and composed."""
    tables = subject.house.recipe()
    for kind, use in _uses(tables):
        try:
            find(subject.house.known, kind, use).load()
        except PluginError as error:
            if isinstance(error, UnknownPlugin) and canonical(use) == subject.house.name:
                raise
            raise Unmet(f"its recipe needs what is not there: {error}") from None
    config = load(tables, subject.house.known)
    try:
        missing = Pipeline(config.models, config.parts).missing()
    except BrokenPlugin as error:
        raise Unmet(f"{error}; see the check 'hooks_match_the_spec'") from None

    assert not missing, "; ".join(missing)


@check(HOUSE, composes)
def check_recipe_is_documented(subject: Subject) -> None:
    """Explain in the README, in backticks, every option the recipe gives to the house's parts."""
    own = {(entry.kind, entry.name) for entry in subject.house.entries}
    words = set(re.findall(r"`([^`\n]+)`", subject.house.readme))
    for kind, table in _tables(_recipe(subject)):
        if (kind, table.get("use")) in own:
            missing = [key for key in table if key != "use" and key not in words]
            assert not missing, f"the README does not explain `{'`, `'.join(missing)}`"


def _recipe(subject: Subject) -> dict[str, Any]:
    try:
        return subject.house.recipe()
    except Exception as error:
        raise Unmet(f"{error}; see the check 'recipe_loads'") from error


def _tables(tables: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the kind and the options of every part in *tables*."""
    found = [(kind, tables[kind]) for kind in SINGLE if tables[kind]]
    found += [(kind, table) for kind in NAMED for table in tables[kind].values()]
    return found + [("extension", table) for table in tables["extension"]]


def _uses(tables: dict[str, Any]) -> list[tuple[str, str]]:
    return [(kind, str(table["use"])) for kind, table in _tables(tables) if "use" in table]
