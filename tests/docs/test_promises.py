"""The documentation and the code say the same."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import attrs

from llmrouter_core.catalogue import VERBS, discover
from llmrouter_core.config import RouterOptions
from llmrouter_core.hooks import Specs
from llmrouter_core.types import Model

ROOT = Path(__file__).parents[2]
HOOKS = [name for name in vars(Specs) if not name.startswith("_")]


def test_every_hook_has_a_heading_that_is_its_signature() -> None:
    """docs/hooks.md has one section per hook, in order, headed by its real arguments."""
    page = (ROOT / "docs/hooks.md").read_text(encoding="utf-8")
    signatures = []
    for hook in HOOKS:
        arguments = list(inspect.signature(getattr(Specs, hook)).parameters)[1:]
        signatures.append(f"{hook}({', '.join(arguments)})")

    assert re.findall(r"^## (\w+\(.*\))$", page, re.MULTILINE) == signatures


def test_every_key_of_a_model_and_of_the_router_is_in_the_config_reference() -> None:
    """docs/config.md lists each field once it exists."""
    page = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    keys = [f.name for cls in (Model, RouterOptions) for f in attrs.fields(cls)]

    assert [key for key in keys if key != "name" and f"| `{key}` |" not in page] == []


def test_every_option_of_a_house_is_in_its_readme() -> None:
    """Each option of each part has a row in the house's README."""
    missing = []
    for folder in sorted((ROOT / "plugins").glob("llmrouter-plugin-*")):
        page = (folder / "README.md").read_text(encoding="utf-8")
        for entry in discover():
            if entry.distribution != folder.name or entry.kind not in VERBS:
                continue
            for option in attrs.fields(entry.load()):
                if option.init and option.alias != "name" and f"`{option.alias}`" not in page:
                    missing.append(f"{folder.name}: {option.alias}")

    assert missing == []


def test_links_between_pages_lead_somewhere() -> None:
    """A relative link in the README or docs/ names a file that exists."""
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")

    assert broken == []
