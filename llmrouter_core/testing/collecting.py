"""From a distribution's name to one parametrised pytest function: the only user of pytest here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from llmrouter_core.catalogue import Entry, canonical, discover
from llmrouter_core.testing.checks import fitting, perform
from llmrouter_core.testing.house import House
from llmrouter_core.testing.rules import Check, Unmet
from llmrouter_core.testing.subject import Subject

_NONE: Mapping[str, str] = MappingProxyType({})


def conformance(
    distribution: str,
    *,
    expected_failures: Mapping[str, str] = _NONE,
    entries: Sequence[Entry] | None = None,
    **examples: Any,
) -> Callable[..., None]:
    """Return a pytest function that runs every check that fits *distribution*.

    Args:
        distribution: Name of an installed distribution.
        expected_failures: For the name of a check, or a whole test id, why it fails; if it does
            not fail, that is an error.
        entries: What is installed, instead of what is found.
        examples: For the name of an entry (`_` for `-`) the options its part needs beyond its
            defaults and its recipe: a table, a built part, or a function that returns a context
            manager giving either, such as a running server.
    """
    house = House(distribution, discover() if entries is None else tuple(entries))
    cases = [
        pytest.param(one, subject, id=name, marks=_marks(one, name, expected_failures))
        for subject in subjects(house, examples)
        for one in fitting(subject)
        for name in [f"{subject}-{one.name}"]
    ]
    wrong = _unknown(cases, expected_failures) + _strangers(house, examples)

    @pytest.mark.parametrize(("check", "subject"), cases)
    def test_conformance(check: Check, subject: Subject) -> None:
        """The distribution keeps the promise that the check is named after."""
        __tracebackhide__ = True
        if wrong:
            pytest.fail(f"{'; '.join(wrong)}: correct the call of conformance()", pytrace=False)
        try:
            perform(check, subject)
        except Unmet as reason:
            pytest.skip(str(reason))

    return test_conformance


def subjects(house: House, examples: Mapping[str, Any] = _NONE) -> list[Subject]:
    """Return what there is to check in *house*: itself, and each of its entries."""
    known = {canonical(name): example for name, example in examples.items()}
    return [Subject(kind="house", name=house.name, house=house)] + [
        Subject(
            kind=entry.kind,
            name=entry.name,
            house=house,
            entry=entry,
            example=known.get(entry.name),
        )
        for entry in house.entries
    ]


def _marks(one: Check, name: str, expected: Mapping[str, str]) -> list[Any]:
    reason = expected.get(name, expected.get(one.name))
    return [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]


def _unknown(cases: Sequence[Any], expected: Mapping[str, str]) -> list[str]:
    known = {str(case.id) for case in cases} | {case.values[0].name for case in cases}
    return [
        f"expected_failures names no check here: '{name}'"
        for name in expected
        if name not in known
    ]


def _strangers(house: House, examples: Mapping[str, Any]) -> list[str]:
    names = {entry.name for entry in house.entries}
    return [
        f"an example names no entry here: '{name}'"
        for name in examples
        if names and canonical(name) not in names
    ]
