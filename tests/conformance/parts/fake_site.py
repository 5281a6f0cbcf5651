"""Fake houses: a folder of packages and their metadata, as pip would have left them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llmrouter_core.catalogue import Entry, discover
from llmrouter_core.testing import checks
from llmrouter_core.testing.collecting import subjects
from llmrouter_core.testing.house import House
from llmrouter_core.testing.rules import Check, Unmet
from llmrouter_core.testing.subject import Subject

RECIPE = {
    "embedder": 'embedder = "counting"',
    "selector": 'selector = "greedy"',
    "caller": '[caller.default]\nuse = "parrot"',
}
METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: 0.1.0
License-Expression: MIT
License-File: LICENSE
Requires-Dist: llmrouter-core>=0.1,<0.2

# {name}

## Use
"""

Outcome = tuple[dict[str, BaseException], dict[str, Unmet]]


def split(cls: type) -> tuple[str, str]:
    """Return the entry's name and kind that a class's name stands for."""
    *words, kind = re.findall(r"[A-Z][a-z0-9]*", cls.__name__)
    return "-".join(words).lower(), kind.lower()


def recipe(kind: str, name: str) -> str:
    """Return a complete recipe in which the part of *kind* is *name*."""
    own = {
        "scorer": f'[scorer.quality]\nuse = "{name}"',
        "caller": f'[caller.default]\nuse = "{name}"',
        "extension": f'[[extension]]\nuse = "{name}"',
    }
    tables = RECIPE | {kind: own.get(kind, f'{kind} = "{name}"')}
    return "\n".join(sorted(tables.values(), key=lambda table: table.startswith("[")))


class Site:
    """A folder of fake houses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        name: str,
        *,
        points: Mapping[str, str],
        code: str = "",
        toml: str = "",
        metadata: Callable[[str], str] = str,
        typed: bool = True,
        package: str = "",
    ) -> None:
        """Install the house *name* with entry *points*: `kind/entry` to `module:object`."""
        distribution = name if name.startswith("llmrouter") else f"llmrouter-plugin-{name}"
        module = self.folder / (package or distribution.replace("-", "_"))
        module.mkdir()
        (module / "__init__.py").write_text(code)
        (module / "recipe.toml").write_text(toml)
        if typed:
            (module / "py.typed").touch()
        info = self.folder / f"{distribution.replace('-', '_')}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata(METADATA.format(name=distribution)))
        lines = [
            f"[llmrouter.{kind}]\n{entry} = {value}"
            for place, value in points.items()
            for kind, _, entry in [place.partition("/")]
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def add_part(self, cls: type, **changes: Any) -> None:
        """Install a house that offers *cls*, one of the modules beside this file."""
        name, kind = split(cls)
        place = f"llmrouter_plugin_{name.replace('-', '_')}:{cls.__name__}"
        settings: dict[str, Any] = {
            "points": {f"{kind}/{name}": place},
            "code": f"from {cls.__module__} import {cls.__name__}\n",
            "toml": recipe(kind, name),
        }
        self.add(name, **settings | changes)

    def entries(self) -> tuple[Entry, ...]:
        """Return what is installed here."""
        return discover([str(self.folder)])

    def check(
        self,
        name: str,
        *,
        examples: Mapping[str, Any] | None = None,
        only: Callable[[Check], bool] = lambda one: not one.name.startswith("import_is_"),
    ) -> Outcome:
        """Return the failures and the skips of the house *name*, by check.

        The two checks that start an interpreter are left out unless *only* asks for them.
        """
        distribution = name if name.startswith("llmrouter") else f"llmrouter-plugin-{name}"
        failed: dict[str, BaseException] = {}
        skipped: dict[str, Unmet] = {}
        house = House(distribution, self.entries())
        for subject in subjects(house, examples or {}):
            for one in checks.fitting(subject):
                if only(one):
                    self._perform(one, subject, failed, skipped)
        return failed, skipped

    def _perform(
        self,
        one: Check,
        subject: Subject,
        failed: dict[str, BaseException],
        skipped: dict[str, Unmet],
    ) -> None:
        try:
            checks.perform(one, subject)
        except Unmet as reason:
            skipped[one.name] = reason
        except Exception as error:  # noqa: BLE001 - whatever a bad part makes a check raise
            failed[one.name] = error
