"""What a check is: one function whose docstring is its rule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

if TYPE_CHECKING:
    from llmrouter_core.testing.subject import Subject

Run: TypeAlias = "Callable[[Subject], None]"


class Unmet(Exception):
    """What a check needs is not there, for a reason that is not the subject's fault here.

    Either another check fails and says why, or the check needs a house that is not installed.
    """


def _always(_: Subject) -> bool:
    return True


@frozen
class Check:
    """A rule, and the subjects it is for.

    Attributes:
        run: Raises `AssertionError`, or anything else, where the rule is broken.
        kinds: Kinds of subjects: a kind of part or entry, or `house` for a whole distribution.
        when: Whether a subject of such a kind promises what the rule is about.
    """

    run: Run
    kinds: tuple[str, ...]
    when: Callable[[Subject], bool] = _always

    @property
    def name(self) -> str:
        """The rule in a few words, as test ids and `expected_failures` write it."""
        return self.run.__name__.removeprefix("check_")

    @property
    def rule(self) -> str:
        """The rule as a sentence."""
        return " ".join((inspect.getdoc(self.run) or "").split())


def check(kinds: Sequence[str], when: Callable[[Subject], bool] = _always) -> Callable[[Run], Run]:
    """Mark a function as the check of a rule for *kinds* of subjects, where *when* holds."""

    def mark(run: Run) -> Run:
        run.check = Check(run, tuple(kinds), when)  # type: ignore[attr-defined]
        return run

    return mark
