"""`llmrouter check`: everything that is wrong with a config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from llmrouter_core.cli.console import config_argument, example, warn
from llmrouter_core.errors import ConfigError, NoEligibleModel, NotFitted
from llmrouter_core.router import LLMRouter
from llmrouter_core.secret import Secret
from llmrouter_core.training import Trainable


@click.command(epilog=example("llmrouter check router.toml"))
@config_argument
def command(config: Path) -> None:
    """Build the router that CONFIG describes and say everything that is wrong with it.

    One decision is tried, and no model is asked. Exit code 2 means that something must be mended;
    a warning is for what may still be missing, such as a key in the environment.
    """
    with LLMRouter(config) as router:
        _try(router, config)
        for warning in _unset(router):
            warn(f"{config}: {warning}")
        models = ", ".join(model.name for model in router.models)
        parts = ", ".join(part.label for part in router.config.parts)
        click.echo(f"ok: {config}\nmodels: {models}\nparts: {parts}")


def _try(router: LLMRouter, config: Path) -> None:
    """Decide something, for only then do parts say which scores or embeddings they miss.

    An embedder that asks a provider cannot decide without its key; that is a warning of its own.
    """
    embedders = (part.plugin for part in router.config.parts if part.kind == "embedder")
    if any(secret.missing for plugin in embedders for secret in _secrets(plugin)):
        return
    try:
        router.decide("What is 2 + 2?")
    except NotFitted:
        pass  # a warning of its own
    except ConfigError as error:
        raise ConfigError(str(config), error.problems) from None
    except NoEligibleModel as error:  # rules may well leave no model for this one query
        warn(f"{config}: {error}")


def _unset(router: LLMRouter) -> Iterator[str]:
    """Yield what can be set later, and must be before the router answers."""
    for part in router.config.parts:
        for secret in _secrets(part.plugin):
            if secret.missing:
                yield f"{secret.env} is not set in the environment @ {part.place}"
        if isinstance(part.plugin, Trainable) and not _trained(part.plugin):
            train = f"llmrouter train {router.config.source} outcomes.jsonl"
            yield f"{part.label} is not trained; to train it: {train} @ {part.place}"


def _secrets(value: Any) -> Iterable[Secret]:
    """Yield every secret among the options of a part."""
    if isinstance(value, Secret):
        yield value
    elif attrs.has(type(value)):
        for item in attrs.fields(type(value)):
            if item.init:
                yield from _secrets(getattr(value, item.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)


def _trained(plugin: Trainable) -> bool:
    try:
        return bool(plugin.state())
    except NotFitted:
        return False
