"""A folder on the path in which fake houses can be installed, the good ones first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrouter_core.catalogue import VERBS
from llmrouter_core.testing.checks_entry import imported

# The fake packages, in this and in other interpreters, import their parts from here.
sys.path.append(str(Path(__file__).parent / "parts"))

from fake_site import Site, split


@pytest.fixture(scope="session")
def good_classes() -> list[type]:
    """One good class of each kind."""
    import good_parts

    classes = [cls for cls in vars(good_parts).values() if isinstance(cls, type)]
    own = [cls for cls in classes if cls.__module__ == "good_parts"]
    assert {split(cls)[1] for cls in own} == set(VERBS)
    return own


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good_classes: list[type]
) -> Iterator[Site]:
    """A fresh folder on the path, with the good houses in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    imported.cache_clear()
    site = Site(folder)
    for cls in good_classes:
        site.add_part(cls)
    yield site
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith(str(folder)):
            del sys.modules[name]
