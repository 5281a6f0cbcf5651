"""Rules for every entry point, whatever it offers."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from functools import cache
from typing import Any

from click import Command

from llmrouter_core.catalogue import KINDS, VERBS
from llmrouter_core.config import expand
from llmrouter_core.testing.rules import Unmet, check
from llmrouter_core.testing.subject import Subject

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "sklearn",
    "scipy",
    "pandas",
    "aiohttp",
    "httpx",
    "tensorflow",
    "matplotlib",
    "networkx",
    "fastapi",
    "openai",
)
"""Libraries that are imported where they are first used, not when a module is."""

OBJECTS = tuple(kind for kind in KINDS if kind != "router")

_PROBE = """
import importlib, sys, warnings
with warnings.catch_warnings(action="ignore"):
    import llmrouter_core
importlib.import_module(sys.argv[1])
with open(sys.argv[2], "w") as file:
    file.write("\\n".join(sorted(sys.modules)))
"""


@check(KINDS)
def check_entry_point_loads(subject: Subject) -> None:
    """Name something that can be imported and is of its kind."""
    assert subject.entry is not None
    subject.entry.load()


@check(tuple(VERBS))
def check_class_name(subject: Subject) -> None:
    """Call the class `<X><Kind>` after its entry: `knn` of scorers is `KnnScorer`."""
    words = [*subject.name.split("-"), subject.kind]
    expected = "".join(word.capitalize() for word in words)
    got = subject.load().__name__

    assert got == expected, f"the class is called {got}, expected {expected}"


@check(OBJECTS)
def check_has_docstring(subject: Subject) -> None:
    """Say in a docstring what it does."""
    loaded = subject.load()
    if isinstance(loaded, Command):
        text = loaded.help  # which click takes from the docstring
    else:
        text = vars(loaded).get("__doc__") if inspect.isclass(loaded) else loaded.__doc__

    assert (text or "").strip(), f"{subject} has no docstring"


@check(KINDS)
def check_import_is_cheap(subject: Subject) -> None:
    """Load none of the heavy libraries when the module is imported."""
    found = [name for name in HEAVY if name in _imported(subject)["modules"]]
    assert not found, f"importing it loads {', '.join(found)}; import them where they are used"


@check(KINDS)
def check_import_is_silent(subject: Subject) -> None:
    """Print nothing and warn of nothing when the module is imported."""
    said = _imported(subject)["said"]
    assert not said, f"importing it says: {said[:200]}"


@check(("command",))
def check_is_a_command(subject: Subject) -> None:
    """Offer a click command."""
    assert isinstance(subject.load(), Command), f"{subject} is not a click command"


@check(("dataset", "task"))
def check_is_callable(subject: Subject) -> None:
    """Offer something that can be called."""
    assert callable(subject.load()), f"{subject} cannot be called"


@check(("router",))
def check_router_expands(subject: Subject) -> None:
    """Make the whole recipe out of a config that names the router and nothing else."""
    try:
        recipe = subject.house.recipe()
    except Exception as error:
        raise Unmet(f"{error}; see the check 'recipe_loads'") from error
    tables = expand({"router": subject.name}, "config", subject.house.known, trusted=True)

    assert {**tables, "router": recipe["router"]} == recipe, "it is not the whole recipe"


def _imported(subject: Subject) -> dict[str, Any]:
    assert subject.entry is not None
    if subject.kind != "router":
        subject.load()
    found = imported(subject.entry.module)
    assert found["modules"] is not None, f"it cannot be imported alone: {found['said'][-300:]}"
    return found


@cache
def imported(module: str) -> dict[str, Any]:
    """Return what importing *module* loads and says, found in an interpreter of its own."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "modules.txt")
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own program
            [sys.executable, "-W", "always", "-c", _PROBE, module, str(report)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        modules = report.read_text().split() if report.is_file() else None
    return {"modules": modules, "said": (done.stdout + done.stderr).strip()}
