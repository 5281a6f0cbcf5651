"""A session that notes what a solver does with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from llmrouter_core.config import Part
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.session import Session
from llmrouter_core.solving import SingleShot
from llmrouter_core.testing.toys import (
    EchoCaller,
    ToyEmbedder,
    ToyScorer,
    ToySelector,
    toy_models,
)
from llmrouter_core.types import Chunk, Model, Request

VERBS = ("decide", "decide_all", "embed", "ask", "stream")
"""What a solver may ask of its session."""
FACTS = ("models", "steps", "decision", "fallbacks")
"""What it may read there."""


class RecordingSession:
    """A real session over toys, whose every use is noted.

    Args:
        parts: Parts that stand in for the toys of their kinds: a caller, an extension.
        models: The pool; the toy models by default.

    Attributes:
        verbs: The verbs a solver used, in order.
        strangers: Whatever else it reached for.
        asked: The model and the request of each call.
        pipeline: What answers.
    """

    def __init__(self, *parts: Part, models: Sequence[Model] | None = None) -> None:
        pool = {model.name: model for model in models or toy_models()}
        given = {part.kind for part in parts}
        toys = [toy for toy in toy_parts() if toy.kind not in given]
        self.pipeline = Pipeline(list(pool.values()), [*parts, *toys])
        calls = self.pipeline.bind(pool.values())
        self.verbs: list[str] = []
        self.strangers: list[str] = []
        self.asked: list[tuple[str, Request]] = []
        self._session = Session(self.pipeline, pool, calls, fallbacks=3)

    def __getattr__(self, name: str) -> Any:
        if name in VERBS:
            self.verbs.append(name)
        elif name not in FACTS:
            self.strangers.append(name)
        return getattr(self._session, name)

    async def ask(self, model: Model | str, request: Request) -> Any:
        """Note the call, and answer it."""
        self._note("ask", model, request)
        return await self._session.ask(model, request)

    async def stream(self, model: Model | str, request: Request) -> AsyncGenerator[Chunk, None]:
        """Note the call, and answer it."""
        self._note("stream", model, request)
        async with aclosing(self._session.stream(model, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _note(self, verb: str, model: Model | str, request: Request) -> None:
        self.verbs.append(verb)
        self.asked.append((model if isinstance(model, str) else model.name, request))


def toy_part(kind: str, plugin: Any, name: str = "toy") -> Part:
    """Return *plugin* as a pipeline takes it."""
    return Part(kind, name, f"{kind} '{name}' ({type(plugin).__name__})", plugin)


def toy_parts() -> list[Part]:
    """Return one toy of each kind, and core's own solver."""
    return [
        toy_part("embedder", ToyEmbedder()),
        toy_part("scorer", ToyScorer()),
        toy_part("selector", ToySelector()),
        toy_part("caller", EchoCaller()),
        toy_part("solver", SingleShot()),
    ]
