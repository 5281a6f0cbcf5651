"""What is installed, by label; and what a name in a config means."""

from typing import Any

import pytest
from attrs import frozen

from llmrouter_core import AmbiguousPlugin, BrokenPlugin, UnknownPlugin
from llmrouter_core.catalogue import KINDS, Entry, canonical, discover, find, titled


@frozen
class Point:
    thing: Any = None
    dist: Any = None

    def load(self) -> Any:
        if isinstance(self.thing, BaseException):
            raise self.thing
        return self.thing


class Selector:
    def select(self) -> None:
        """Rank nothing."""


def entry(kind: str, name: str, owner: str = "", thing: Any = Selector) -> Entry:
    owner = owner or f"llmrouter-plugin-{name}"
    return Entry(kind, name, owner, "1.0", f"a.b:{name}", Point(thing))


ENTRIES = (
    entry("selector", "smallest-llm"),
    entry("selector", "both", "house-one"),
    entry("selector", "both", "House_Two"),
    entry("scorer", "knn"),
)


def test_what_a_house_offers_is_installed_by_the_name_of_the_house() -> None:
    """For all of this project: the advice of an unknown name is a package that there is."""
    for one in discover():
        if one.distribution.startswith(("llmrouter-plugin-", "cookiecutter-router")):
            with pytest.raises(UnknownPlugin, match=f"pip install {one.distribution}$"):
                find([], one.kind, one.name)


@pytest.mark.parametrize(
    "use",
    [
        "smallest-llm",
        "Smallest_LLM",
        " smallest-llm ",
        "LLMRouter_plugin-smallest_llm/smallest-llm",
    ],
)
def test_a_name_is_found_however_it_is_spelled(use: str) -> None:
    """Case and underscores do not matter; the distribution may be named."""
    assert find(ENTRIES, "selector", use) == ENTRIES[0]


def test_a_name_that_two_houses_offer_must_be_qualified() -> None:
    """Neither wins by the order of installation."""
    with pytest.raises(AmbiguousPlugin, match='use = "House_Two/both"'):
        find(ENTRIES, "selector", "both")
    assert find(ENTRIES, "selector", "house-two/both") == ENTRIES[2]


@pytest.mark.parametrize(
    ("kind", "use", "hint"),
    [
        ("selector", "smalest-llm", "did you mean 'smallest-llm'?"),
        ("selector", "zzz", "installed: both, smallest-llm; to install it: pip install"),
        ("command", "new", "pip install cookiecutter-router"),
        ("router", "auto", "pip install llmrouter-plugin-stack"),
        ("embedder", "zzz", "installed: none; to install it: pip install llmrouter-plugin-zzz"),
        ("selector", "knn", "'knn' is the name of a scorer; installed: both, smallest-llm"),
        ("selector", "nobody/both", "no selector 'nobody/both' is installed"),
    ],
)
def test_an_unknown_name_says_what_may_be_meant(kind: str, use: str, hint: str) -> None:
    """A neighbour, another kind, or a house that is not installed."""
    with pytest.raises(UnknownPlugin) as caught:
        find(iter(ENTRIES), kind, use)

    assert hint in str(caught.value)


@pytest.mark.parametrize("use", ["x; rm -rf", "a b", "x" * 300, "$(x)"])
def test_a_strange_name_is_never_part_of_a_command_to_copy(use: str) -> None:
    """What a message tells people to run is harmless, and short."""
    with pytest.raises(UnknownPlugin) as caught:
        find(ENTRIES, "selector", use)

    assert "pip install" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (
            ImportError("no module\nat all"),
            "cannot be imported: ImportError: no module; reinstall",
        ),
        (SystemExit(3), "cannot be imported: SystemExit: 3"),
        (ValueError(), "cannot be imported: ValueError; reinstall"),
        (Selector(), "is not a class; its entry point names a.b:x"),
        (Point, "has no method 'select', which every selector needs"),
    ],
)
def test_what_cannot_be_used_is_a_broken_plugin(thing: Any, reason: str) -> None:
    """Whatever importing raises, the sentence names the house."""
    with pytest.raises(BrokenPlugin) as caught:
        entry("selector", "x", thing=thing).load()

    assert str(caught.value).startswith("selector 'x' (llmrouter-plugin-x 1.0) ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_the_users_interrupt_is_not_the_plugins_fault(error: BaseException) -> None:
    """It passes through."""
    with pytest.raises(type(error)):
        entry("selector", "x", thing=error).load()


def test_discovery_is_sorted_canonical_and_knows_summaries() -> None:
    """The same list on every machine."""
    found = discover()

    assert list(found) == sorted(found)
    assert all(one.kind in KINDS and one.name == canonical(one.name) for one in found)
    [smallest] = [e for e in found if (e.kind, e.name) == ("selector", "smallest-llm")]
    assert smallest.summary == "Select the smallest model first"
    assert smallest.module == "llmrouter_plugin_smallest_llm"
    assert entry("scorer", "x").summary == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("KnnScorer", ("scorer", "knn")),
        ("SmallestLlmSelector", ("selector", "smallest-llm")),
        ("MyThing", ("", "my-thing")),
        ("Scorer", ("", "scorer")),
        ("_Odd", ("", "odd")),
    ],
)
def test_a_class_states_its_kind_and_name(name: str, expected: tuple[str, str]) -> None:
    """`<X><Kind>` read backwards; a kind alone is a name."""
    assert titled(type(name, (), {})) == expected
