"""The routers that are measured: every house that decides, as it ships, over given embeddings."""

from __future__ import annotations

from typing import Any

from attrs import evolve, fields_dict

from llmrouter_core import LLMRouter, Model
from llmrouter_core.catalogue import discover
from llmrouter_core.training import Trainable

AUTO = "auto"
LEARNED = (
    *("knn", "linear", "svm", "mlp", "mf", "elo", "irt", "hybrid-llm", "cluster", "task"),
    "shape",
)
"""Scorers that learn, each alone; `auto` is the stack of some of them."""

FIXED = ("random", "round-robin", "smallest-llm", "largest-llm")
_CALLER = {"default": {"use": "openai", "base_url": "http://localhost:9/v1"}}  # never called


def names() -> list[str]:
    """Return what can be measured here: `auto` first, then every installed house."""
    installed = {entry.name for entry in discover() if entry.kind in ("scorer", "selector")}
    return [AUTO, *(name for name in (*LEARNED, *FIXED) if name in installed)]


def compose(name: str, models: list[Model], seed: int = 0) -> LLMRouter:
    """Return the untrained router *name* as it ships, quality first where it has a knob.

    Embeddings are given to it, so that its own embedder is never asked.
    """
    pool: dict[str, Any] = {}
    for model in models:
        pool[model.name] = {} if model.size is None else {"size": float(model.size)}
        if model.price is not None:
            price = {"input": float(model.price.input), "output": float(model.price.output)}
            pool[model.name]["price"] = price
    config: dict[str, Any] = {"router": name, "caller": _CALLER, "model": pool}
    if name == "shape":
        config |= {"router": "linear", "scorer": {"quality": {"use": "shape"}}}
    if name not in FIXED:
        config["selector"] = {"use": "utility", "tradeoff": 0.0}
    router = LLMRouter(config)
    parts = [
        evolve(part.plugin, seed=seed) if "seed" in fields_dict(type(part.plugin)) else part.plugin
        for part in router.config.parts
    ]
    return LLMRouter(models=models, parts=parts)


def learns(router: LLMRouter) -> bool:
    """Return whether *router* learns anything about quality."""
    return any(
        isinstance(part.plugin, Trainable) and part.kind == "scorer" and part.name == "quality"
        for part in router.config.parts
    )
