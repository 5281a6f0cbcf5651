"""What a solver may do: the only door to the models, so that every call is counted."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from llmrouter_core.errors import ConfigError
from llmrouter_core.hooks import Call
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.types import (
    Chunk,
    Decision,
    Floats,
    Model,
    Query,
    Request,
    Step,
    Usage,
    estimate_tokens,
)


class Session:
    """One query's way through a router.

    Attributes:
        models: Every model of the pool by name, helpers included.
        steps: Every call made so far, failed ones too.
        decision: The first decision taken, if any.
        fallbacks: How many further models may be asked when one fails.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        models: Mapping[str, Model],
        calls: Mapping[str, Call],
        fallbacks: int,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self.models = models
        self.fallbacks = fallbacks
        self.steps: list[Step] = []
        self.decision: Decision | None = None

    async def decide(self, query: Query) -> Decision:
        """Return the decision for *query*, computed where it holds nobody up."""
        [decision] = await self.decide_all([query])
        return decision

    async def decide_all(self, queries: Sequence[Query]) -> list[Decision]:
        """Return one decision per query, computed as one batch where it holds nobody up."""
        decisions = await self._pipeline.pace.decide(queries)
        if self.decision is None and decisions:
            self.decision = decisions[0]
        return decisions

    async def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d), computed off the event loop."""
        import asyncio

        return await asyncio.to_thread(self._pipeline.embed, queries)

    async def ask(self, model: Model | str, request: Request) -> Step:
        """Return *model*'s whole answer as a step.

        Raises:
            CallError: It did not answer.
            ConfigError: No caller serves it.
        """
        async with aclosing(self.stream(model, request)) as chunks:
            async for _ in chunks:
                pass
        return self.steps[-1]

    async def stream(self, model: Model | str, request: Request) -> AsyncGenerator[Chunk, None]:
        """Yield *model*'s chunks; whatever happens, the call is recorded as a step.

        Raises:
            CallError: It did not answer, or its answer ended without a finish reason.
            ConfigError: No caller serves it.
        """
        name = model if isinstance(model, str) else model.name
        call = self._calls.get(name)
        if call is None:
            raise ConfigError("router", [unserved(name, self.models)])
        texts: list[str] = []
        usage: Usage | None = None
        finish: str | None = None
        error: str | None = None
        started = time.perf_counter()
        try:
            async with aclosing(call(request)) as chunks:
                async for chunk in chunks:
                    if chunk.kind == "text":
                        texts.append(chunk.text)
                    usage = chunk.usage or usage
                    finish = chunk.finish or finish
                    yield chunk
        except GeneratorExit:
            error = "abandoned by the reader"
            raise
        except BaseException as failure:
            error = str(failure) or type(failure).__name__
            raise
        finally:
            seconds = time.perf_counter() - started
            self.steps.append(
                self._step(name, request, "".join(texts), usage, finish, error, seconds)
            )

    def _step(
        self,
        name: str,
        request: Request,
        text: str,
        usage: Usage | None,
        finish: str | None,
        error: str | None,
        seconds: float,
    ) -> Step:
        if usage is None:  # a call that failed before its first word is taken as unbilled
            usage = (
                Usage(estimated=True)
                if error and not text
                else Usage(
                    input_tokens=request.input_tokens,
                    output_tokens=estimate_tokens(text) if text else 0,
                    estimated=True,
                )
            )
        price = self.models[name].price
        cost = usage.cost
        if cost is None and price is not None:
            cost = price.of(usage)
        elif cost is None and usage == Usage(estimated=True):
            cost = 0.0
        return Step(
            model=name,
            request=request,
            text=text,
            usage=usage,
            cost=cost,
            seconds=seconds if usage.seconds is None else usage.seconds,
            finish=None if error else finish,
            error=error,
        )


def unserved(name: str, models: Mapping[str, Model]) -> str:
    """Return the sentence for a model that no caller serves."""
    if name not in models:
        return f"there is no model '{name}'; the pool has: {', '.join(models)}"
    return f"no caller serves model '{name}'; add a [caller.NAME] that does @ model.{name}"
