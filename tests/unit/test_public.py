"""The public face: what `llmrouter_core` offers, and what importing it costs."""

import inspect
import json
import subprocess
import sys

import llmrouter_core

HEAVY = ("asyncio", "httpx", "click", "rich", "importlib_metadata", "torch", "sklearn", "tomllib")


def test_all_is_sorted_and_complete() -> None:
    """Every public name is listed once, and nothing else can be mistaken for public."""
    listed = llmrouter_core.__all__
    ours = {
        name
        for name, value in vars(llmrouter_core).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and str(getattr(value, "__module__", "")).startswith("llmrouter_core")
    }

    assert listed == sorted(set(listed))
    assert ours <= set(listed)
    assert all(hasattr(llmrouter_core, name) for name in listed)


def test_every_public_class_and_function_has_a_docstring() -> None:
    """And so has each of its public methods."""
    silent = []
    for name in llmrouter_core.__all__:
        value = getattr(llmrouter_core, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        members = vars(value).items() if inspect.isclass(value) else ()
        public = [
            f"{name}.{key}"
            for key, member in members
            if not key.startswith("_")
            and (inspect.isfunction(member) or isinstance(member, property | classmethod))
            and not inspect.getdoc(getattr(value, key))
        ]
        silent += public + ([] if inspect.getdoc(value) else [name])

    assert not silent


def test_every_error_is_public() -> None:
    """What can be raised can be caught without reaching into a module."""
    from llmrouter_core import errors

    made = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.LLMRouterError)
    }

    assert made <= set(llmrouter_core.__all__)
    assert all(name in (errors.__doc__ or "") for name in made)


def imported(code: str) -> set[str]:
    """Return the top-level modules a fresh interpreter has after *code*."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_it_is_light() -> None:
    """No event loop, no network, no console, no metadata, no plugin."""
    loaded = imported("import llmrouter_core")

    assert not loaded & set(HEAVY)
    assert not {name for name in loaded if name.startswith("llmrouter_plugin")}


def test_deciding_imports_only_the_plugins_it_uses() -> None:
    """A config pulls in its own parts and neither an event loop nor a network client."""
    loaded = imported(
        "from llmrouter_core import LLMRouter\n"
        "LLMRouter({'selector': 'smallest-llm', 'caller': 'sim'}).decide('Hello')"
    )

    plugins = {name for name in loaded if name.startswith("llmrouter_plugin")}
    assert plugins == {"llmrouter_plugin_smallest_llm", "llmrouter_plugin_sim"}
    assert not loaded & {"httpx", "click", "rich", "torch"}
