"""Rules for every part: a plain attrs class, its fields are options, its methods hooks."""

from __future__ import annotations

import datetime
import inspect
import os
import typing
from unittest.mock import patch

import attrs
import pluggy

from llmrouter_core.artefacts import options
from llmrouter_core.catalogue import VERBS
from llmrouter_core.errors import ConfigError
from llmrouter_core.hooks import PROJECT, Specs
from llmrouter_core.secret import Secret
from llmrouter_core.testing.rules import check
from llmrouter_core.testing.subject import LEARNING, Subject

PARTS = tuple(VERBS)


@check(PARTS)
def check_is_a_plain_class(subject: Subject) -> None:
    """Be an attrs class with `eq=False` whose options are given by keyword only."""
    assert subject.entry is not None
    loaded = subject.entry.load()
    assert attrs.has(loaded), "it is not an attrs class"
    assert loaded.__eq__ is object.__eq__, "it compares by value; write @define(eq=False, …)"
    loose = [item.alias for item in attrs.fields(loaded) if item.init and not item.kw_only]
    assert not loose, f"{', '.join(loose)} can be given by position; write kw_only=True"


@check(PARTS)
def check_constructible(subject: Subject) -> None:
    """Be built with the defaults, the options of the recipe, or the example that is given."""
    subject.fresh()


@check(PARTS)
def check_options_survive(subject: Subject) -> None:
    """Build the same part from its options, written out as plain data and read again."""
    written = options(subject.build())
    again = options(subject.configure({k: v for k, v in written.items() if v != "•••"}))
    changed = [name for name, value in written.items() if value not in ("•••", again[name])]

    assert not changed, f"{', '.join(changed)} did not survive being written and read"


@check(PARTS)
def check_wrong_options_are_refused(subject: Subject) -> None:
    """Refuse, by name, an unknown option and a value that no option can mean."""
    table = subject.table()[1]
    wrong = {"no_such_option": 1} | {item.alias: datetime.time() for item in subject.fields}
    subject.build()
    for name, value in wrong.items():
        refusal = ""
        try:
            subject.configure({**table, name: value})
        except ConfigError as error:
            refusal = str(error)
        assert refusal, f"'{name}' = {value!r} was accepted; give it an exact type"
        assert name in refusal, f"'{name}' was refused without being named: {refusal}"


@check(PARTS)
def check_shows_no_secret(subject: Subject) -> None:
    """Show no secret in the `repr`, the options or the state."""
    value, variable = "hidden-7f3a9c", "LLMROUTER_CONFORMANCE_SECRET"
    secret = {"env": variable}
    tables = [  # one secret at a time: a key and a list of keys may exclude each other
        {item.alias: [secret] if "tuple[" in str(item.type) else secret}
        for item in subject.fields
        if Secret.__name__ in str(item.type)
    ]
    with patch.dict(os.environ, {variable: value}):
        plain = subject.table()[1]
        for part in [subject.build(), *(subject.configure(plain | table) for table in tables)]:
            shown = f"{part!r} {part} {options(part)}"
            if subject.learns:
                shown += repr(_quietly(part.state))

            assert value not in shown, "it shows the value of a secret"


@check(PARTS)
def check_hooks_match_the_spec(subject: Subject) -> None:
    """Use only specified hooks and arguments, none defaulted or keyword-only; no hookwrapper."""
    for name, marks in subject.hooks.items():
        assert not marks["hookwrapper"], f"'{name}' is an old hookwrapper; write wrapper=True"
        for argument in inspect.signature(getattr(subject.load(), name)).parameters.values():
            assert argument.kind is argument.POSITIONAL_OR_KEYWORD, f"'{argument}' of '{name}'"
            assert argument.default is argument.empty, f"'{argument}' of '{name}' has a default"
    manager_of(subject.build()).check_pending()


@check(PARTS)
def check_implements_its_verb(subject: Subject) -> None:
    """Implement the hook of its kind; only a scorer may wrap it, and an extension any hook."""
    verb = VERBS[subject.kind]
    marks = subject.hooks.get(verb)

    assert subject.hooks, "no method is marked @hookimpl"
    assert not verb or marks, f"'{verb}' is not marked @hookimpl"
    assert not marks or not marks["wrapper"] or verb == "score", f"it wraps '{verb}' only"


@check(PARTS)
def check_learning_is_whole(subject: Subject) -> None:
    """Have all of `fit`, `state` and `restore`, or none of them."""
    found = [name for name in LEARNING if callable(getattr(subject.load(), name, None))]
    assert len(found) in (0, len(LEARNING)), f"it has only {' and '.join(found)}"


def manager_of(part: typing.Any) -> pluggy.PluginManager:
    """Return a manager of *part* and nothing else."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specs)
    manager.register(part)
    return manager


def _quietly(state: typing.Any) -> typing.Any:
    from llmrouter_core.errors import NotFitted

    try:
        return state()
    except NotFitted:
        return None
