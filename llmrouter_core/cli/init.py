"""`llmrouter init`: a complete config to start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from llmrouter_core.catalogue import VERBS, Entry, discover, find
from llmrouter_core.cli.console import example, say
from llmrouter_core.config import fill
from llmrouter_core.errors import PluginError, UnknownPlugin
from llmrouter_core.recipes import read_recipe, resolve
from llmrouter_core.tables import parse

_CALLER = """\
[caller.default]
use = "openai"
"""

_PROVIDER = """\
base_url = "https://openrouter.ai/api/v1"  # or any server that speaks OpenAI's chat completions
api_key = { env = "OPENROUTER_API_KEY" }
"""

_ARTEFACTS = """
[router]
artefacts = "artefacts"  # where `llmrouter train` puts what was learned
"""

_MODELS = """
# The pool: your models, their sizes in billions of parameters, their context windows in tokens
# and their prices in US dollars per million tokens.

[model.small]
id = "meta-llama/llama-3.1-8b-instruct"
size = 8.0
context = 16384
price = { input = 0.02, output = 0.05 }

[model.large]
id = "meta-llama/llama-3.3-70b-instruct"
size = 70.6
context = 131072
price = { input = 0.10, output = 0.32 }
"""


@click.command(epilog=example("llmrouter init smallest-llm > router.toml"))
@click.argument("name")
def command(name: str) -> None:
    """Print a complete config that uses the plugin NAME, to edit and to keep.

    It is the recipe that the plugin's author publishes; where that lists no models, two are
    added as a pattern.
    """
    entries = discover()
    text = starting(_with_recipe(entries, name), entries)
    click.echo(text, nl=False)
    for hint in _hints(parse(text.encode(), "recipe.toml"), entries):
        say(hint)


def starting(entry: Entry, entries: Sequence[Entry]) -> str:
    """Return a complete config that starts from the recipe of *entry*."""
    text = read_recipe(entry).rstrip() + "\n"
    tables = fill(parse(text.encode(), "recipe.toml"), entries, [], trusted=False)
    default = tables["caller"].get("default", {})
    if "base_url" not in default and "api_key" not in default:
        text = text.replace(_CALLER, _CALLER + _PROVIDER, 1)
    if tables["scorer"] and "artefacts" not in tables["router"]:
        text += _ARTEFACTS
    if not tables["model"] and not _simulates(default.get("use"), entries):
        text += _MODELS
    return text


def _with_recipe(entries: Sequence[Entry], name: str) -> Entry:
    """Return the plugin called *name*: a router first, then any other part of one.

    Raises:
        UnknownPlugin: No installed plugin is called so.
    """
    owner, slash, plain = resolve(name).rpartition("/")
    for kind in ("router", *VERBS):
        if any(entry.kind == kind and entry.name == plain for entry in entries):
            return find(entries, kind, f"{owner}{slash}{plain}")
    try:
        return find(entries, "router", f"{owner}{slash}{plain}")
    except UnknownPlugin as error:
        raise UnknownPlugin(f"{error}; see: llmrouter plugins") from None


def _simulates(use: Any, entries: Sequence[Entry]) -> bool:
    """Return whether the caller brings its own pool and takes no provider's address."""
    try:
        caller = find(entries, "caller", str(use)).load()
    except PluginError:  # said below, by name
        return False
    return hasattr(caller, "pool") and not hasattr(caller, "base_url")


def _hints(raw: Mapping[str, Any], entries: Sequence[Entry]) -> Iterable[str]:
    """Yield what to do next, what is missing first."""
    tables = fill(raw, entries, [], trusted=False)
    parts = [(kind, tables[kind]) for kind in ("embedder", "selector", "solver") if tables[kind]]
    for kind in ("scorer", "caller"):
        parts += [(kind, table) for table in tables[kind].values()]
    parts += [("extension", table) for table in tables["extension"]]
    for kind, table in parts:
        try:
            find(entries, kind, str(table.get("use")))
        except PluginError as error:
            yield str(error)
    if tables["model"]:
        yield "next: put your models into the config, then: llmrouter check router.toml"
    if tables["scorer"]:
        yield "to train it: llmrouter train router.toml outcomes.jsonl"
    yield 'to ask it: llmrouter ask router.toml "…"'
