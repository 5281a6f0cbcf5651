"""What is installed: entry points read as labels, nothing imported until it is used.

An installed plugin that no config names is never imported. `LLMROUTER_LOAD_PLUGINS=a,b` allows
only those distributions (empty allows none); `LLMROUTER_DISABLE_PLUGINS=a,b` blocks them.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from llmrouter_core.errors import AmbiguousPlugin, BrokenPlugin, UnknownPlugin

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

VERBS = {
    "embedder": "embed",
    "scorer": "score",
    "selector": "select",
    "caller": "call",
    "solver": "solve",
    "extension": "",
}
"""The kinds of parts, each with the hook it must implement; an extension may implement any."""

KINDS = (*VERBS, "router", "command", "dataset", "task", "store")
"""Everything an entry-point group `llmrouter.<kind>` may hold."""

_BENCHMARKS = (
    *("arc-challenge", "commonsense-qa", "gpqa", "graded", "gsm8k", "human-eval", "math", "mbpp"),
    *("mmlu", "natural-questions", "openbook-qa", "trivia-qa"),
)
_READERS = ("gmtrouter", "llmrouter", "outcomes-folder", "routellm", "routerarena", "routerbench")
LIBRARY = {
    "command": {
        "demo": "llmrouter-plugin-sim",
        "distill": "llmrouter-plugin-static",
        "keys": "llmrouter-plugin-server",
        "new": "cookiecutter-router",
        "onboard": "llmrouter-plugin-collect",
        "serve": "llmrouter-plugin-server",
    },
    "dataset": {
        **dict.fromkeys(_READERS, "llmrouter-plugin-datasets"),
        "log": "llmrouter-plugin-ope",
    },
    "router": {"auto": "llmrouter-plugin-stack"},
    "scorer": {"shape": "llmrouter-plugin-stack"},
    "task": dict.fromkeys(_BENCHMARKS, "llmrouter-plugin-tasks"),
}
"""Distributions whose name does not follow from the name of what they offer."""


def canonical(name: str) -> str:
    """Return *name* as plugins are named: `Smallest_LLM` → `smallest-llm`."""
    return name.strip().lower().replace("_", "-")


def titled(cls: type) -> tuple[str, str]:
    """Return the kind and the name that a class's own name states: `KnnScorer` → scorer, knn.

    The kind is `""` where the name ends in none.
    """
    *words, last = re.findall(r"[A-Z]+[a-z0-9]*|[a-z0-9]+", cls.__name__) or [""]
    kind = last.lower() if words and last.lower() in VERBS else ""
    return kind, "-".join(words if kind else [*words, last]).lower()


@frozen(order=True)
class Entry:
    """One label: a plugin that could be loaded.

    Attributes:
        kind: The group after `llmrouter.`.
        name: What a config writes after `use =`.
        distribution: The installed package it comes from.
        version: Version of that package.
        value: Where the object is, as `module:attribute`.
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    _point: EntryPoint = field(eq=False, order=False, repr=False)

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' ({self.distribution} {self.version})"

    @property
    def module(self) -> str:
        """The module the entry point names."""
        return self.value.partition(":")[0].strip()

    @property
    def summary(self) -> str:
        """What the distribution says of itself in one line."""
        owner = self._point.dist
        told = owner.metadata if owner else None  # none where an installation is damaged
        return str(told["Summary"] or "") if told else ""

    def load(self) -> Any:
        """Import and return the object, and check that it is of its kind.

        Raises:
            BrokenPlugin: The import fails, or the object lacks the hook of its kind.
        """
        try:
            loaded = self._point.load()
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit included
            reason = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
            raise BrokenPlugin(
                f"{self} cannot be imported: {reason}; "
                f"reinstall or remove it: pip install --force-reinstall {self.distribution}"
            ) from error
        verb = VERBS.get(self.kind)
        if verb is not None and not inspect.isclass(loaded):
            raise BrokenPlugin(f"{self} is not a class; its entry point names {self.value}")
        if verb and not hasattr(loaded, verb):
            raise BrokenPlugin(
                f"{self} has no method '{verb}', which every {self.kind} needs; "
                "it may be made for another version of LLMRouter"
            )
        if verb and not hasattr(getattr(loaded, verb), "llmrouter_impl"):
            raise BrokenPlugin(
                f"{self} has a method '{verb}' without @hookimpl, so it would never be asked; "
                "mark it"
            )
        return loaded


def _listed(variable: str) -> frozenset[str] | None:
    value = os.environ.get(variable)
    if value is None:
        return None
    return frozenset(canonical(name) for name in value.split(",") if name.strip())


def discover(path: Sequence[str] | None = None) -> tuple[Entry, ...]:
    """Return every installed plugin, sorted, reading metadata only.

    Args:
        path: Folders to search instead of `sys.path`.
    """
    from importlib_metadata import distributions  # 13 ms, and only needed here

    allowed, blocked = _listed("LLMROUTER_LOAD_PLUGINS"), _listed("LLMROUTER_DISABLE_PLUGINS")
    found: dict[tuple[str, str, str], Entry] = {}
    for distribution in distributions() if path is None else distributions(path=list(path)):
        for entry in _entries(distribution):
            name = canonical(entry.distribution)
            if (allowed is not None and name not in allowed) or (blocked and name in blocked):
                continue
            # The first on the path shadows later copies of itself, as it does for imports.
            found.setdefault((entry.kind, entry.name, name), entry)
    return tuple(sorted(found.values()))


def _entries(distribution: Any) -> Iterator[Entry]:
    try:
        points = [p for p in distribution.entry_points if p.group.startswith("llmrouter.")]
        if not points:
            return
        name, version = distribution.metadata["Name"], distribution.version
    except Exception:  # noqa: BLE001 - somebody else's damaged metadata must not stop us
        return
    for point in points:
        kind = point.group.removeprefix("llmrouter.")
        if name and kind in KINDS:
            yield Entry(kind, canonical(point.name), name, version or "?", point.value, point)


def find(entries: Iterable[Entry], kind: str, use: str) -> Entry:
    """Return the entry of *kind* that a config calls *use*: `name` or `distribution/name`.

    Raises:
        UnknownPlugin: None has that name; the message offers the nearest and how to install it.
        AmbiguousPlugin: Several distributions offer it.
    """
    distribution, _, name = use.rpartition("/")
    name = canonical(name)
    everything = tuple(entries)
    known = [entry for entry in everything if entry.kind == kind]
    matches = [
        entry
        for entry in known
        if entry.name == name
        and (not distribution or canonical(entry.distribution) == canonical(distribution))
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        owners = sorted(entry.distribution for entry in matches)
        raise AmbiguousPlugin(
            f"{kind} '{name}' is offered by {' and '.join(owners)}; "
            f'name the one you mean: use = "{owners[0]}/{name}"'
        )
    names = sorted({entry.name for entry in known})
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    listed = f"installed: {', '.join(names) or 'none'}"
    elsewhere = sorted({entry.kind for entry in everything if entry.name == name})
    package = LIBRARY.get(kind, {}).get(name, f"llmrouter-plugin-{name}")
    if elsewhere:
        hint = f"'{name}' is the name of a {' and a '.join(elsewhere)}; {hint}"
    elif re.fullmatch(r"[a-z0-9-]{1,40}", name):  # what is printed as a command is harmless
        listed += f"; to install it: pip install {package}"
    raise UnknownPlugin(f"no {kind} '{use:.60}' is installed; {hint}{listed}")
