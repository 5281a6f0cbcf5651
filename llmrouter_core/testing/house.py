"""One distribution as it is installed: its metadata, its package, its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from attrs import define
from importlib_metadata import Distribution, PackageNotFoundError

from llmrouter_core.catalogue import Entry, canonical
from llmrouter_core.config import expand
from llmrouter_core.errors import LLMRouterError
from llmrouter_core.recipes import read_recipe
from llmrouter_core.tables import parse
from llmrouter_core.testing.rules import Unmet
from llmrouter_core.types import Model


@define(eq=False)
class House:
    """One distribution, as it is installed.

    Attributes:
        distribution: Its name.
        known: Every installed entry, its own and those of others.
    """

    distribution: str
    known: Sequence[Entry]

    @property
    def entries(self) -> list[Entry]:
        """Its own entries."""
        name = canonical(self.distribution)
        return [entry for entry in self.known if canonical(entry.distribution) == name]

    @property
    def name(self) -> str:
        """What stands after `llmrouter-plugin-`."""
        return canonical(self.distribution).removeprefix("llmrouter-plugin-")

    @property
    def metadata(self) -> Any:
        """Its metadata, as installed."""
        try:
            return Distribution.from_name(self.distribution).metadata
        except PackageNotFoundError:
            raise Unmet(f"{self.distribution} is missing; see the check 'installed'") from None

    @property
    def folder(self) -> Path | None:
        """Folder of its package; found without importing it."""
        spec = find_spec(self.entries[0].module.partition(".")[0])
        places = list(spec.submodule_search_locations or ()) if spec else []
        return Path(places[0]) if places else None

    @property
    def readme(self) -> str:
        """Its README: from the checkout where there is one, for metadata may be older."""
        path = self.folder and self.folder.parent / "README.md"
        if path and path.is_file() and (path.parent / "pyproject.toml").is_file():
            return path.read_text(encoding="utf-8")
        return cast(str, self.metadata.json.get("description", ""))

    def helpers(self) -> list[Model]:
        """Return the models that its recipe lists, as helpers: callable, and never a candidate."""
        try:
            listed = self.recipe()["model"]
        except LLMRouterError:
            return []
        return [Model(name=name, routable=False) for name in listed]

    def recipe(self) -> dict[str, Any]:
        """Return the expanded tables of its `recipe.toml`.

        Raises:
            BrokenPlugin: It cannot be read.
            ConfigError: It is not TOML, or its tables have the wrong shape.
        """
        [first, *_] = self.entries
        raw = parse(read_recipe(first).encode(), "recipe.toml")
        return expand(raw, "recipe.toml", self.known, trusted=False)
