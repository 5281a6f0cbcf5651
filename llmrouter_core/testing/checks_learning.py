"""Rules for parts that learn, of any kind."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmrouter_core.artefacts import load, save
from llmrouter_core.catalogue import VERBS
from llmrouter_core.errors import BadResult, NotFitted
from llmrouter_core.testing.checks_deciding import DECIDING, same
from llmrouter_core.testing.rules import Unmet, check
from llmrouter_core.testing.subject import Subject
from llmrouter_core.testing.toys import toy_dataset

PARTS = tuple(VERBS)


def learns(subject: Subject) -> bool:
    """Whether the part learns."""
    return subject.learns


def frozen_state(part: Any) -> dict[str, tuple[str, tuple[int, ...], bytes]] | None:
    """Return the state of *part* byte for byte; None where it was not trained."""
    try:
        state: Mapping[str, Any] = part.state()
    except NotFitted:
        return None
    arrays = {name: np.asarray(array) for name, array in state.items()}
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}


@check(DECIDING, learns)
def check_unfitted_says_so(subject: Subject) -> None:
    """Raise NotFitted before training, or answer without it."""
    try:
        subject.decisions(subject.build())
    except NotFitted:
        pass
    except BadResult as error:
        raise AssertionError(f"it neither answers nor raises NotFitted: {error}") from error


@check(PARTS, learns)
def check_fit_returns_a_new_part(subject: Subject) -> None:
    """Return a new part from `fit` and `restore`; leave the one they are called on alone."""
    part = subject.build()
    before = frozen_state(part)
    fitted = part.fit(subject.lesson())
    after_fit = frozen_state(part)
    restored = part.restore(fitted.state())

    assert type(fitted) is type(part) is type(restored), "it returned something else"
    assert fitted is not part, "fit returned the part itself"
    assert restored is not part, "restore returned the part itself"
    assert before == after_fit == frozen_state(part), "it changed the part it was called on"


@check(PARTS, learns)
def check_state_is_plain_arrays(subject: Subject) -> None:
    """Keep as state arrays of finite numbers or of text, never of objects."""
    for name, array in subject.fitted().state().items():
        kind = np.asarray(array).dtype.kind
        assert kind in "biufU", f"'{name}' has dtype {np.asarray(array).dtype}"
        assert kind != "f" or not np.isinf(array).any(), f"'{name}' holds infinite numbers"


@check(PARTS, learns)
def check_saved_and_loaded_is_the_same(subject: Subject) -> None:
    """Decide and know the same after core saved it and loaded it into a part built alike."""
    part = subject.fitted()
    _plain(subject)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "artefacts")
        save(target, subject.pipeline(part))
        [restored] = load(target, subject.pipeline(subject.build())).values()

    assert frozen_state(restored) == frozen_state(part), "its state changed on the way"
    if subject.kind in DECIDING:
        same(
            subject.decisions(part),
            subject.decisions(restored),
            exactly=True,
            why="it answers otherwise after being saved and loaded",
        )


@check(PARTS, learns)
def check_fit_twice_is_fit_once(subject: Subject) -> None:
    """Learn the same bytes from the same outcomes, whether new or already trained."""
    _plain(subject)
    once, lesson = subject.fitted(), subject.lesson()
    state = frozen_state(once)

    assert frozen_state(subject.build().fit(lesson)) == state, "a second training differs"
    assert frozen_state(once.fit(lesson)) == state, "training goes on where it had ended"


@check(("scorer",), learns)
def check_beats_chance(subject: Subject) -> None:
    """Choose better than chance, by its `quality`, on the toy outcomes that were held back."""
    subject.ready()
    train, test = subject.lesson().split(test=0.5, seed=0)
    fitted = subject.build().fit(train)
    found = subject.decisions(fitted, test.queries)
    if "quality" not in found:
        return
    values = np.where(np.isnan(found["quality"]), -np.inf, found["quality"])
    chosen = test.quality[np.arange(len(test)), values.argmax(axis=1)].mean()

    assert chosen > test.quality.mean() + 0.02, (
        f"it chose {chosen:.3f} on average, chance is {test.quality.mean():.3f}"
    )


@check(PARTS, learns)
def check_tolerates_gaps(subject: Subject) -> None:
    """Learn from outcomes with gaps (NaN) without a warning or a column that is all unknown."""
    subject.fitted()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = subject.build().fit(subject.lesson(gaps=0.4))
        if subject.kind not in DECIDING:
            return
        subject.ready()
        for name, array in subject.decisions(fitted, toy_dataset(seed=2).queries).items():
            known = ~np.isnan(array).all(axis=0)
            assert known.all(), f"'{name}' is unknown for every query of a model with outcomes"


def _plain(subject: Subject) -> None:
    try:
        check_state_is_plain_arrays(subject)
    except AssertionError as error:
        raise Unmet(f"{error}; see the check 'state_is_plain_arrays'") from error
