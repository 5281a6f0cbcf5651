"""The kit judged: what is good passes, and nothing is left out in silence."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import Any

import pytest
from fake_site import Site, split
from good_parts import ParrotCaller

from llmrouter_core.catalogue import VERBS
from llmrouter_core.testing import checks, conformance
from llmrouter_core.testing.checks_entry import imported
from llmrouter_core.testing.collecting import subjects
from llmrouter_core.testing.house import House

PATHED = """
from attrs import define
from good_parts import ParrotCaller
@define(eq=False, kw_only=True)
class PathedCaller(ParrotCaller):
    "Repeat what is asked, if there is a path."
    path: str
"""

JUDGED = """
from contextlib import aclosing
from attrs import define
from good_parts import PlainSolver
@define(eq=False, kw_only=True)
class JudgedSolver(PlainSolver):
    "Ask the judge first."
    async def _answer(self, session, query):
        await session.ask("judge", query.request)
        async with aclosing(PlainSolver._answer(self, session, query)) as chunks:
            async for chunk in chunks:
                yield chunk
"""


def names(site: Site, distribution: str) -> set[str]:
    """Return the checks that a house is put to."""
    house = House(distribution, site.entries())
    return {one.name for subject in subjects(house) for one in checks.fitting(subject)}


@pytest.mark.parametrize("kind", VERBS)
def test_a_good_part_passes_everything(site: Site, good_classes: list[type], kind: str) -> None:
    """One part of each kind passes every check that fits it, and none is skipped."""
    [cls] = [one for one in good_classes if split(one)[1] == kind]

    assert site.check(split(cls)[0], only=lambda one: True) == ({}, {})


def test_good_entries_of_every_other_kind_pass(site: Site) -> None:
    """A house may offer a command, a data set, a task and a router, and no part."""
    code = (
        "import click\n@click.command()\ndef odd() -> None:\n    'Do nothing.'\n"
        "def read() -> None:\n    'Read nothing.'\n"
    )
    where = "llmrouter_plugin_odd"
    points = {"command/odd": f"{where}:odd", "router/odd": where}
    points |= {f"{kind}/odd": f"{where}:read" for kind in ("dataset", "task")}
    site.add("odd", points=points, code=code, toml='selector = "greedy"\ncaller = "parrot"')

    assert site.check("odd") == ({}, {})


def test_together_the_good_parts_are_put_to_every_check(
    site: Site, good_classes: list[type]
) -> None:
    """No check fits nothing: each is asked of a house, or of a good part, or of an entry."""
    asked = set().union(
        *(names(site, f"llmrouter-plugin-{split(cls)[0]}") for cls in good_classes)
    )
    others = {"is_a_command", "is_callable", "router_expands"}

    assert asked | others == {one.name for one in checks.CHECKS}


def test_a_broken_part_is_put_to_one_check_only(site: Site) -> None:
    """What cannot be imported fails once, with the reason."""
    site.add(
        "odd",
        points={"scorer/odd": "llmrouter_plugin_odd:Odd"},
        code="1/0",
        toml='selector = "greedy"\ncaller = "parrot"',
    )

    failed, _ = site.check("odd")

    assert set(failed) == {"entry_point_loads"}
    assert "ZeroDivisionError: division by zero" in str(failed["entry_point_loads"])


def test_an_import_that_warns_is_heard(site: Site) -> None:
    """A warning counts as much as a print."""
    site.add("odd", points={}, code="import warnings\nwarnings.warn('old', DeprecationWarning)")

    found = imported("llmrouter_plugin_odd")

    assert "DeprecationWarning: old" in found["said"]


def test_examples_may_be_options_a_part_or_a_context(site: Site) -> None:
    """A part that its recipe cannot build is built from what the house gives."""
    site.add(
        "pathed",
        points={"caller/pathed": "llmrouter_plugin_pathed:PathedCaller"},
        code=PATHED,
        toml='selector = "greedy"\ncaller = "parrot"',
    )
    closed: list[bool] = []

    @contextmanager
    def written() -> Any:
        yield {"path": "recordings.jsonl"}
        closed.append(True)

    without, _ = site.check("pathed")
    results = [site.check("pathed", examples={"pathed": one}) for one in ({"path": "x"}, written)]

    assert set(without) == {"constructible"}
    assert results == [({}, {}), ({}, {})]
    assert closed


def test_a_solver_finds_the_helpers_of_its_recipe(site: Site) -> None:
    """A solver that asks a judge needs no example where its recipe lists one."""
    site.add(
        "judged",
        points={"solver/judged": "llmrouter_plugin_judged:JudgedSolver"},
        code=JUDGED,
        toml='selector = "greedy"\ncaller = "parrot"\nsolver = "judged"\n[model.judge]\n'
        "routable = false\n[model.pupil]\n",
    )

    assert site.check("judged") == ({}, {})


def test_an_example_may_be_a_built_part(site: Site) -> None:
    """What was built in Python is checked as it is, in fresh copies."""
    example = ParrotCaller(answer="yes")

    assert site.check("parrot", examples={"parrot": example}) == ({}, {})
    assert example.opened == 0


def test_a_recipe_that_needs_another_house_is_skipped_with_the_reason(site: Site) -> None:
    """What is not installed cannot be judged, and the skip names it."""
    site.add(
        "odd",
        points={"router/odd": "llmrouter_plugin_odd"},
        toml='selector = "absent"\ncaller = "parrot"',
    )

    failed, skipped = site.check("odd")

    assert not failed
    assert "no selector 'absent' is installed" in str(skipped["recipe_loads"])


def collected(test: Any) -> dict[str, Any]:
    """Return the parameters of a conformance function by id."""
    [mark] = test.pytestmark
    return {param.id: param for param in mark.args[1]}


def test_ids_name_kind_entry_and_rule(site: Site) -> None:
    """A failing test says which promise of which part was broken."""
    test = conformance("llmrouter-plugin-ridge", entries=site.entries())

    assert {"house-ridge-installed", "scorer-ridge-batch_equals_singles"} <= set(collected(test))


def test_a_distribution_that_is_not_installed_is_one_failure(site: Site) -> None:
    """Collection goes on, and the only test says what to install."""
    test = conformance("llmrouter-plugin-absent", entries=site.entries())
    [param] = collected(test).values()

    assert param.id == "house-absent-installed"
    with pytest.raises(AssertionError, match="pip install llmrouter-plugin-absent"):
        test(*param.values)


def test_expected_failures_are_strict_and_have_a_reason(site: Site) -> None:
    """They are marked xfail; one that passes is an error."""
    test = conformance(
        "llmrouter-plugin-ridge",
        entries=site.entries(),
        expected_failures={"beats_chance": "it is a baseline"},
    )
    [mark] = collected(test)["scorer-ridge-beats_chance"].marks

    assert mark.kwargs == {"reason": "it is a baseline", "strict": True}


@pytest.mark.parametrize(
    "wrong", [{"expected_failures": {"beats_chanse": "typo"}}, {"rigde": {"penalty": 2.0}}]
)
def test_a_misspelt_argument_is_a_failure(site: Site, wrong: dict[str, Any]) -> None:
    """An expected failure or an example for nothing is a mistake, not silence."""
    test = conformance("llmrouter-plugin-ridge", entries=site.entries(), **wrong)
    [param, *_] = collected(test).values()

    with pytest.raises(pytest.fail.Exception, match=r"beats_chanse|rigde"):
        test(*param.values)


def test_a_check_that_cannot_be_made_is_skipped(site: Site) -> None:
    """A skip carries the reason, and the failing check is named in it."""
    site.add(
        "odd",
        points={"embedder/odd": "llmrouter_plugin_odd:OddEmbedder"},
        code=(
            "from attrs import define\nfrom good_parts import CountingEmbedder\n"
            "@define(eq=False, kw_only=True)\nclass OddEmbedder(CountingEmbedder):\n"
            "    'Count.'\n    path: str\n"
        ),
        toml="",
    )
    test = conformance("llmrouter-plugin-odd", entries=site.entries())
    param = collected(test)["embedder-odd-empty_batch"]

    with pytest.raises(pytest.skip.Exception, match="see the check 'constructible'"):
        test(*param.values)


def test_checks_are_short_and_state_their_rule() -> None:
    """A check fits on a screen, and its docstring is the rule in one sentence."""
    import inspect

    for one in checks.CHECKS:
        rule = one.rule
        lines = inspect.getsource(one.run).splitlines()

        assert rule.endswith("."), rule
        assert rule.count(". ") == 0, rule
        assert len(lines) <= 26, f"{one.name} has {len(lines)} lines"


def test_warnings_of_the_kit_are_none(site: Site) -> None:
    """Checking warns of nothing by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert site.check("relay") == ({}, {})
