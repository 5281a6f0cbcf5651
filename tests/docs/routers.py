"""The table of `docs/routers.md`, made from the metadata of what is installed.

python tests/docs/routers.py > docs/routers.md
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from importlib_metadata import distribution
from packaging.requirements import Requirement

from llmrouter_core.catalogue import VERBS, Entry, discover
from llmrouter_core.recipes import recipe
from llmrouter_core.training import Trainable

OWN = ("llmrouter-plugin-", "llmrouter-core")
HEAD = """\
# Routers

Each router is a recipe: a scorer that predicts, a selector that ranks, and what they work best
with. `router = "knn"` in a config means that recipe, and any table of it may be replaced. Every
scorer predicts an expected quality for each model, with a standard error, so every one composes
with every selector. Start with `auto`.

This page is made by `python tests/docs/routers.py` from entry points, metadata, signatures and
docstrings; a test compares them. *Weighs cost* says whether the recipe predicts dollars; its knob
is then the selector's `tradeoff`. How good each is stands in [Benchmarks](benchmarks.md).

"""


def page() -> str:
    """Return the whole page."""
    entries = discover()
    rows = []
    for entry in entries:
        if entry.kind == "router" and entry.distribution.startswith("llmrouter-plugin-"):
            rows.append(_router(entry, entries))
    rows.sort(key=lambda row: (row[0] != "`auto`", row[1], row[0]))
    lines = [
        "| router | family | learns | reads | weighs cost | needs | paper | what it does |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "## Embedders",
        "",
        "| embedder | needs | paper | what it does |",
        "|---|---|---|---|",
    ]
    for entry in entries:
        if entry.kind == "embedder" and entry.distribution.startswith("llmrouter-plugin-"):
            papers = _papers(entry.load())
            lines.append(f"| `{entry.name}` | {_needs(entry)} | {papers} | {entry.summary} |")
    return HEAD + "\n".join(lines) + "\n"


def _router(entry: Entry, entries: tuple[Entry, ...]) -> list[str]:
    """Return the cells of one router."""
    tables = recipe(entry.name, entries)
    part = _part(entry, tables, entries)
    plugin = part.load()
    marks = inspect.signature(getattr(plugin, VERBS[part.kind])).parameters
    reads = ["embedding"] if "embeddings" in marks else []
    reads += ["scores"] if "scores" in marks and tables.get("scorer") else []
    reads += (
        ["text"] if not reads and part.kind != "solver" and _reads_queries(plugin, part) else []
    )
    reads += ["a model's answer"] if part.kind == "solver" else []
    reads += ["size and price"] if not reads else []
    keywords = distribution(entry.distribution).metadata["Keywords"] or ""
    return [
        f"`{entry.name}`",
        keywords.partition(",")[2].strip() or "-",
        "yes" if issubclass(plugin, Trainable) else "no",
        ", ".join(reads),
        "yes" if "cost" in tables.get("scorer", {}) else "no",
        _needs(entry),
        _papers(plugin),
        entry.summary,
    ]


def _part(entry: Entry, tables: dict[str, Any], entries: tuple[Entry, ...]) -> Entry:
    """Return the part of the house that gives the router its name."""
    mine = [e for e in entries if e.distribution == entry.distribution and e.kind in VERBS]
    named = [e for e in mine if e.name == entry.name]
    used = [e for e in mine if e.name == tables.get("scorer", {}).get("quality", {}).get("use")]
    return (named or used or mine)[0]


def _reads_queries(plugin: type, part: Entry) -> bool:
    """Return whether the hook of *plugin* uses the queries for more than their number."""
    source = inspect.getsource(getattr(plugin, VERBS[part.kind]))
    body = source.partition('"""')[2].partition('"""')[2]
    return bool(re.search(r"(?<!len\()\bqueries\b", body))


def _needs(entry: Entry) -> str:
    """Return what the house needs beside the core, its optional needs in brackets."""
    needs, extras = [], []
    for line in distribution(entry.distribution).requires or ():
        requirement = Requirement(line)
        if requirement.name.startswith(OWN[1]):
            continue
        if requirement.marker is None:
            needs.append(requirement.name.removeprefix(OWN[0]))
        elif 'extra == "testing"' not in str(requirement.marker):
            extras.append(requirement.name.removeprefix(OWN[0]))
    told = ", ".join(needs) or "numpy"
    return told + (f" ({', '.join(sorted(set(extras)))})" if extras else "")


def _papers(plugin: type) -> str:
    """Return the papers that the docstring cites by their number."""
    found = re.findall(r"arXiv (\d{4}\.\d{4,5})", inspect.getdoc(plugin) or "")
    return ", ".join(dict.fromkeys(f"arXiv {number}" for number in found)) or "-"


if __name__ == "__main__":
    sys.stdout.write(page())
