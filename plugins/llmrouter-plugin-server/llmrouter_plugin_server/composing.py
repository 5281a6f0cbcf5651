"""What a gateway puts beside the parts of a config that leaves it out.

Retries, circuits and the filter of what models can take are parts like any other. A gateway that
serves strangers needs them always, so those that a config does not list are added as they come;
one that is listed is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import evolve
from llmrouter_core import LLMRouter, Model
from llmrouter_core.config import Part
from llmrouter_plugin_breaker import BreakerExtension
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_rules import RulesScorer
from llmrouter_plugin_rules.requests import NEEDS

from llmrouter_plugin_server.settings import ServerOptions

CAPABLE = "capable"
"""Name of the score of the filter that is added: 0 for a model that can answer, else -inf."""

_BY = "llmrouter-plugin-server"
_WITHIN_RETRIES = ("breaker", "budget")  # they look at each attempt


def composed(router: LLMRouter, options: ServerOptions) -> tuple[LLMRouter, tuple[str, ...]]:
    """Return *router* with what a gateway needs, and the names of what was added.

    The first extension is outermost. Retries go around circuits and budgets, so that each attempt
    is looked at; circuits go innermost, so that they see what the model itself did.

    Args:
        router: The router of a config; it is left as it is, and what it learned is shared.
        options: What the server is told: `retry`, `breaker` and `capabilities` may be off.
    """
    parts = list(router.config.parts)
    added: list[str] = []
    if options.retry and not _has(parts, RetryExtension):
        within = (n for n, p in enumerate(parts) if _is_extension(p, _WITHIN_RETRIES))
        parts.insert(next(within, len(parts)), _part("extension", "retry", RetryExtension()))
        added.append("retry")
    if options.breaker and not _has(parts, BreakerExtension):
        parts.append(_part("extension", "breaker", BreakerExtension()))
        added.append("breaker")
    if options.capabilities and not _has(parts, RulesScorer) and _differ(router.models):
        taken = {part.name for part in parts if part.kind == "scorer"}
        name = CAPABLE
        while name in taken:
            name += "-too"
        parts.append(_part("scorer", name, RulesScorer(name=name)))
        added.append("capabilities")
    if not added:
        return router, ()
    return LLMRouter.of(evolve(router.config, parts=tuple(parts))), tuple(added)


def breakers_of(router: LLMRouter) -> tuple[BreakerExtension, ...]:
    """Return the parts of *router* that keep circuits."""
    found = (part.plugin for part in router.config.parts)
    return tuple(plugin for plugin in found if isinstance(plugin, BreakerExtension))


def _has(parts: Iterable[Part], kind: type) -> bool:
    return any(isinstance(part.plugin, kind) for part in parts)


def _is_extension(part: Part, names: tuple[str, ...]) -> bool:
    return part.kind == "extension" and part.name in names


def _part(kind: str, name: str, plugin: Any) -> Part:
    return Part(kind, name, f"{kind} '{name}' (added by {_BY})", plugin)


def _differ(models: Iterable[Model]) -> bool:
    """Return whether anything is known of what *models* can take.

    Where nothing is, nobody can be vetoed, and looking at each request would be for nothing.
    """
    routable = [model for model in models if model.routable]
    return any(
        model.context is not None or model.regions or set(NEEDS) & set(model.tags)
        for model in routable
    )
