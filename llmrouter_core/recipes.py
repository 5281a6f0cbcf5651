"""Recipes: the complete small composition a house publishes for what it offers.

A recipe is the file `recipe.toml` in a house's package. It is data: reading it imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmrouter_core.catalogue import Entry, canonical, find
from llmrouter_core.errors import BrokenPlugin, ConfigError
from llmrouter_core.tables import parse

ALIASES: Mapping[str, str] = {
    "automix-router": "automix",
    "automixrouter": "automix",
    "causallm-router": "causal-lm",
    "causallmrouter": "causal-lm",
    "elorouter": "elo",
    "gmtrouter": "gmt",
    "graphrouter": "graph",
    "hybridllm": "hybrid-llm",
    "knnmultiroundrouter": "knn-multiround",
    "knnrouter": "knn",
    "llmmultiroundrouter": "llm-multiround",
    "mfrouter": "mf",
    "mlprouter": "mlp",
    "personalizedrouter": "personalized",
    "svmrouter": "svm",
}
"""Upstream names of routers that differ from ours by more than case and underscores."""


def resolve(use: str) -> str:
    """Return the router a config or an upstream user calls *use*: `KNNRouter` → `knn`."""
    distribution, slash, name = use.rpartition("/")
    return f"{distribution}{slash}{ALIASES.get(canonical(name), canonical(name))}"


def read_recipe(entry: Entry) -> str:
    """Return the text of the recipe in *entry*'s package.

    Raises:
        BrokenPlugin: The package or its `recipe.toml` is not there.
    """
    try:
        spec = find_spec(entry.module.partition(".")[0])
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return (Path(folders[0]) / "recipe.toml").read_text(encoding="utf-8")
    except (OSError, ValueError, IndexError, ImportError) as error:
        raise BrokenPlugin(
            f"{entry} has no readable recipe.toml in its package ({type(error).__name__}); "
            f"reinstall it: pip install --force-reinstall {entry.distribution}"
        ) from error


def recipe(use: str, entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the tables of the router recipe that a config calls *use*; aliases are welcome.

    Raises:
        UnknownPlugin: No installed house publishes it.
        BrokenPlugin: It cannot be read.
    """
    entry = find(entries, "router", resolve(use))
    try:
        return parse(read_recipe(entry).encode(), "recipe.toml")
    except ConfigError as error:
        raise BrokenPlugin(f"{entry}: {error}") from error
