"""The kit judged: each fault is found by the check that is named after it, and by no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bad_parts import BAD
from fake_site import Site, recipe, split

from llmrouter_core.testing.checks import CHECKS

MARKED = [
    pytest.param(name, cls, id=f"{name}-{cls.__name__}")
    for name, classes in BAD.items()
    for cls in classes
]

ALSO = {
    "NeedyEmbedder": {"recipe_loads"},  # a recipe that gives too little is itself at fault
    "EndlessScorer": {"saved_and_loaded_is_the_same"},  # core decides nothing by infinity
    "BareSelector": {"recipe_loads"},  # no config can build what is not an attrs class
}
"""By class, the checks that its fault inevitably fails too."""

EMBEDDER = "from good_parts import CountingEmbedder\n"
ODD = """
from good_parts import CountingEmbedder
class OddEmbedder(CountingEmbedder):
    "Count words."
"""


def without(line: str) -> Callable[[str], str]:
    """Return a function that takes the lines beginning with *line* out of metadata."""
    return lambda text: "".join(
        one for one in text.splitlines(keepends=True) if not one.startswith(line)
    )


def odd(**changes: Any) -> dict[str, Any]:
    """Return a good house called `odd`, with *changes*."""
    good = {
        "points": {"embedder/odd": "llmrouter_plugin_odd:OddEmbedder"},
        "code": ODD,
        "toml": recipe("embedder", "odd"),
    }
    return good | changes


def offering(kind: str, code: str) -> dict[str, Any]:
    """Return a house called `odd` that offers `odd`, made by *code*, as a *kind*."""
    return odd(
        points={f"{kind}/odd": "llmrouter_plugin_odd:odd"},
        code=code,
        toml="\n".join(['selector = "greedy"', 'caller = "parrot"']),
    )


HOUSES: dict[str, list[dict[str, Any]]] = {
    "installed": [odd(points={})],
    "distribution_name": [
        odd(
            points={"embedder/even": "llmrouter_plugin_odd:EvenEmbedder"},
            code=ODD.replace("Odd", "Even"),
            toml=recipe("embedder", "even"),
        ),
        odd(
            points={"embedder/odd": "good_parts_elsewhere:OddEmbedder"},
            package="good_parts_elsewhere",
        ),
    ],
    "bounds_core": [
        odd(metadata=lambda text: text.replace(",<0.2", "")),
        odd(metadata=without("Requires-Dist")),
    ],
    "has_types": [odd(typed=False)],
    "has_readme": [odd(metadata=lambda text: text.partition("\n\n")[0])],
    "has_licence": [
        odd(metadata=without("License-File")),
        odd(metadata=without("License-Expression")),
    ],
    "recipe_loads": [
        odd(toml='embedder = "odd"'),
        odd(toml="embedder = "),
        odd(toml='embedder = "odd"\nselector = "greedy"\ncaller = "parrot"\ncolour = "red"'),
    ],
    "recipe_is_documented": [
        odd(toml='selector = "greedy"\ncaller = "parrot"\n[embedder]\nuse = "odd"\ndimensions = 8')
    ],
    "entry_point_loads": [
        odd(code="import no_such_module"),
        odd(code="raise SystemExit(1)"),
        odd(code="OddEmbedder = 3"),
    ],
    "class_name": [
        odd(points={"embedder/odd": "llmrouter_plugin_odd:CountingEmbedder"}, code=EMBEDDER)
    ],
    "import_is_cheap": [odd(code="import networkx\n" + ODD)],
    "import_is_silent": [odd(code='print("hello")\n' + ODD)],
    "has_docstring": [
        offering("command", "import click\n@click.command()\ndef odd() -> None: ..."),
        offering("task", "def odd() -> None: ..."),
    ],
    "is_a_command": [offering("command", "def odd() -> None:\n    'Do nothing.'\n")],
    "is_callable": [offering("dataset", "class Odd:\n    'Not callable.'\nodd = Odd()\n")],
    "router_expands": [
        odd(
            points={
                "embedder/odd": "llmrouter_plugin_odd:OddEmbedder",
                "router/svmrouter": "llmrouter_plugin_odd",
            }
        )
    ],
}


@pytest.mark.parametrize(("name", "cls"), MARKED)
def test_a_bad_part_fails_exactly_its_check(site: Site, name: str, cls: type) -> None:
    """A part with one fault fails the check of that rule, and passes all others."""
    site.add_part(cls)

    failed, _ = site.check(split(cls)[0])

    assert set(failed) == {name} | ALSO.get(cls.__name__, set()), failed


@pytest.mark.parametrize(
    ("name", "house"),
    [
        pytest.param(name, one, id=f"{name}-{number}")
        for name, houses in HOUSES.items()
        for number, one in enumerate(houses, start=1)
    ],
)
def test_a_bad_house_fails_exactly_its_check(site: Site, name: str, house: dict[str, Any]) -> None:
    """A house with one fault fails the check of that rule, and passes all others."""
    (site.folder / "networkx.py").write_text("")
    site.add("odd", **house)
    probing = name.startswith("import_is_")

    failed, _ = site.check("odd", only=lambda one: probing or not one.name.startswith("import_"))

    assert set(failed) == {name}, failed


def test_every_check_has_something_that_fails_it() -> None:
    """A check that nothing fails may check nothing."""
    assert {one.name for one in CHECKS} == BAD.keys() | HOUSES.keys()
