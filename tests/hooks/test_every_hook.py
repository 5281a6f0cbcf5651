"""Each hook has its test, and its place in the order a query meets them."""

import inspect
from pathlib import Path

import pytest

from llmrouter_core.catalogue import VERBS
from llmrouter_core.hooks import PROJECT, Specs

HOOKS = [name for name, value in vars(Specs).items() if hasattr(value, f"{PROJECT}_spec")]


def test_there_are_six_hooks() -> None:
    """In the order in which a query meets them; a seventh changes this line."""
    assert HOOKS == ["embed", "score", "select", "call", "solve", "lifespan"]
    assert {verb for verb in VERBS.values() if verb} == set(HOOKS) - {"lifespan"}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_test_and_its_sentence(hook: str) -> None:
    """A specification is a docstring, a return type and a test file of its name."""
    path = Path(__file__).with_name(f"test_hook_{hook}.py")
    spec = getattr(Specs, hook)

    assert path.is_file()
    assert f"def {hook}(" in path.read_text(encoding="utf-8")
    assert (inspect.getdoc(spec) or "").startswith("Return ")
    assert inspect.signature(spec).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("hook", HOOKS)
def test_only_score_and_lifespan_collect(hook: str) -> None:
    """The others stop at the first part that answers."""
    options = getattr(getattr(Specs, hook), f"{PROJECT}_spec")

    assert bool(options["firstresult"]) is (hook not in {"score", "lifespan"})


def test_no_hook_test_is_left_over() -> None:
    """A hook that is gone takes its test along."""
    found = {path.stem for path in Path(__file__).parent.glob("test_hook_*.py")}

    assert found == {f"test_hook_{hook}" for hook in HOOKS}
