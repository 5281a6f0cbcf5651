"""The registry: every check, in the order in which a house is checked."""

from __future__ import annotations

from types import ModuleType

from llmrouter_core.errors import PluginError
from llmrouter_core.testing import (
    checks_answering,
    checks_deciding,
    checks_entry,
    checks_house,
    checks_learning,
    checks_part,
)
from llmrouter_core.testing.rules import Check, Unmet
from llmrouter_core.testing.subject import Subject

MODULES: tuple[ModuleType, ...] = (
    checks_house,
    checks_entry,
    checks_part,
    checks_deciding,
    checks_learning,
    checks_answering,
)


def _of(module: ModuleType) -> tuple[Check, ...]:
    marked = (getattr(item, "check", None) for item in vars(module).values())
    return tuple(
        one for one in marked if isinstance(one, Check) and one.run.__module__ == module.__name__
    )


CHECKS = tuple(one for module in MODULES for one in _of(module))


def fitting(subject: Subject) -> list[Check]:
    """Return the checks that are for *subject*; only the first where it cannot be loaded."""
    if subject.kind == "house":
        own = [one for one in CHECKS if "house" in one.kinds and _promised(one, subject)]
        return own if subject.house.entries else own[:1]
    if subject.kind != "router" and not _loads(subject):
        return [one for one in CHECKS if one.name == "entry_point_loads"]
    return [one for one in CHECKS if subject.kind in one.kinds and _promised(one, subject)]


def _loads(subject: Subject) -> bool:
    try:
        return subject.entry is not None and bool(subject.entry.load())
    except PluginError:
        return False


def _promised(one: Check, subject: Subject) -> bool:
    try:
        return one.when(subject)
    except Unmet:
        return False


def perform(check: Check, subject: Subject) -> None:
    """Run *check* on *subject*.

    Raises:
        Unmet: What the check needs is not there.
        Exception: The rule is broken.
    """
    with subject.opened() as opened:
        check.run(opened)


def page() -> str:
    """Return one line for each check, as `docs/conformance.md` lists them."""
    lines = []
    for module in MODULES:
        title = (module.__doc__ or "").partition("\n")[0].removeprefix("Rules for ").rstrip(".")
        lines += [f"### {title[:1].upper()}{title[1:]}", ""]
        lines += [f"- `{one.name}` ({_kinds(one)}): {one.rule}" for one in _of(module)]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _kinds(one: Check) -> str:
    parts = set(checks_part.PARTS)
    if set(one.kinds) == parts:
        return "every part"
    return "every entry" if set(one.kinds) > parts else ", ".join(one.kinds)
