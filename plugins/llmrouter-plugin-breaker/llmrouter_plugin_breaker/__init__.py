"""Leave a model alone while it fails, and try it again with one call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, TypeGuard

import numpy as np
from attrs import define, field
from llmrouter_core import Call, Chunk, Ints, Model, Request, hookimpl

from llmrouter_plugin_breaker.circuit import Circuit, Limits
from llmrouter_plugin_breaker.judging import conclude, model_answers, provider_answers, refusal

__all__ = ["BreakerExtension", "Circuit", "Limits", "conclude", "refusal"]


@define(eq=False, kw_only=True)
class BreakerExtension(Limits):
    """A circuit breaker for each model, and one for each provider that cannot be reached.

    Attributes:
        failures: See `Limits`.
        share: See `Limits`.
        calls: See `Limits`.
        window: See `Limits`.
        pause: See `Limits`.
        longest: See `Limits`.
        providers: Whether the models of one caller rest together when none can be reached.
    """

    providers: bool = True
    _circuits: dict[str, Circuit] = field(init=False, repr=False, factory=dict)

    @property
    def states(self) -> Mapping[str, str]:
        """Whether `model.NAME` and `caller.NAME` are `closed`, `open` or `half-open`."""
        return {name: circuit.state for name, circuit in self._circuits.items()}

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Let calls of *model* pass while it works; one that nobody serves stays unserved."""
        inner = yield
        return inner and partial(self._around, inner, model)

    @hookimpl(wrapper=True)
    def select(self, models: Sequence[Model]) -> Generator[None, Ints | None, Ints | None]:
        """Move the columns of models that rest behind those of all others, (n, k)."""
        found = yield
        if all(circuit.closed for circuit in self._circuits.values()):
            return found
        resting = np.array([any(one.remaining() for one in self._of(model)) for model in models])
        if not resting.any() or not _is_ranking(found, len(models)):
            return found
        behind = np.where(found < 0, 2, resting[found])  # (n, k); what pads a row stays last
        order = np.argsort(behind, axis=1, kind="stable")
        moved: Ints = np.take_along_axis(found, order, axis=1)
        return moved

    def _of(self, model: Model) -> list[Circuit]:
        """Return the circuits that a call of *model* passes: its own comes first."""
        names = [f"model.{model.name}"]
        if self.providers:
            names.append(f"caller.{model.caller or 'any'}")
        for name in names:
            if name not in self._circuits:
                self._circuits[name] = Circuit(self, name)
        return [self._circuits[name] for name in names]

    async def _around(
        self, inner: Call, model: Model, request: Request
    ) -> AsyncGenerator[Chunk, None]:
        circuits = self._of(model)
        for circuit in circuits:
            if left := circuit.remaining():
                raise refusal(model.name, circuit, left)
        tickets = [(circuit, circuit.enter()) for circuit in circuits]
        finished = started = False
        error: BaseException | None = None
        try:
            async with aclosing(inner(request)) as chunks:
                async for chunk in chunks:
                    if not started:
                        started = True
                        for circuit, ticket in tickets:
                            circuit.spoke(ticket)
                    finished = finished or chunk.finish is not None
                    yield chunk
        except BaseException as failure:
            # Whoever has the whole answer may leave; what breaks after it is nobody's fault.
            error = None if finished else failure
            raise
        finally:
            for (circuit, ticket), judge in zip(
                tickets, (model_answers, provider_answers), strict=False
            ):
                conclude(circuit, ticket, error, judge)


def _is_ranking(found: Any, columns: int) -> TypeGuard[Ints]:
    """Return whether *found* is what a selector must return; core blames whoever did not."""
    return (
        isinstance(found, np.ndarray)
        and found.ndim == 2
        and found.dtype.kind == "i"
        and found.size > 0
        and bool(found.max() < columns)
    )
