"""The session of one request: it decides even where the router fails, and only what is allowed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from attrs import evolve
from llmrouter_core import (
    Chunk,
    Decision,
    Model,
    NoEligibleModel,
    Query,
    Refused,
    Request,
    Session,
)

from llmrouter_plugin_server.generations import Generation
from llmrouter_plugin_server.logs import told
from llmrouter_plugin_server.metrics import Metrics
from llmrouter_plugin_server.permitting import Permit

LOGGER = logging.getLogger("llmrouter.server")


class Asking(Session):
    """A session whose decisions never fail; `asking` makes it.

    Attributes:
        asked: Name of the model that was asked last.
        trouble: What the router failed with, where the default model stepped in.
    """

    def __init__(
        self,
        *router: Any,
        generation: Generation,
        metrics: Metrics,
        seconds: float,
        permit: Permit,
    ) -> None:
        super().__init__(*router)
        self.asked = ""
        self.trouble: BaseException | None = None
        self._generation = generation
        self._metrics = metrics
        self._seconds = seconds
        self._allowed = None if permit.models is None else frozenset(permit.models)
        self._region = permit.region

    async def decide_all(self, queries: Sequence[Query]) -> list[Decision]:
        """Return the decisions; where the router fails or hangs, the default model comes first.

        Raises:
            NoEligibleModel: Every model was vetoed, or none of them may be used.
        """
        began, first = time.perf_counter(), self.decision is None
        try:
            async with asyncio.timeout(self._seconds):
                found = await super().decide_all(queries)
        except NoEligibleModel:
            raise
        except Exception as error:  # noqa: BLE001 - no failure of a router fails a request
            self.failed(error)
            found = [self._default(query) for query in queries]
        self._metrics.decided(time.perf_counter() - began)
        if self._allowed is not None:
            found = [self._permitted(decision) for decision in found]
        if first and found:
            self.decision = found[0]
        return found

    def failed(self, error: BaseException) -> None:
        """Count and log that the router failed."""
        self.trouble = error
        self._metrics.router_failed(type(error).__name__)
        why = "no decision in time" if isinstance(error, TimeoutError) else told(error)
        LOGGER.warning(
            "the router failed (%s), the default model answers", why, extra={"error": error}
        )

    @property
    def default(self) -> Model:
        """Who answers where the router fails: the server's default model, if it may be asked.

        Raises:
            NoEligibleModel: Nobody may be asked.
        """
        first, allowed = self._generation.default, self._allowed
        if allowed is None or first.name in allowed:
            return first
        for name, model in self._generation.candidates.items():
            if name in allowed:
                return model
        raise NoEligibleModel("this key may use none of the models that there are")

    def _default(self, query: Query) -> Decision:
        first = self._generation.default
        rest = [m for m in self._generation.candidates.values() if m is not first]
        pool = tuple(self._generation.candidates.values())
        return Decision(query=query, ranking=(first, *rest), models=pool, scores={})

    def _permitted(self, decision: Decision) -> Decision:
        """Return *decision* with only the models that the request may use."""
        allowed = self._allowed or frozenset()
        ranking = tuple(model for model in decision.ranking if model.name in allowed)
        if not ranking:
            raise NoEligibleModel("this request may use none of the models worth asking")
        if len(ranking) == len(decision.ranking):
            return decision
        kept = {model.name for model in ranking}
        why = "this request may not use it"
        barred = {m.name: why for m in decision.ranking if m.name not in kept}
        return evolve(decision, ranking=ranking, excluded={**decision.excluded, **barred})

    def stream(self, model: Model | str, request: Request) -> AsyncGenerator[Chunk, None]:
        """Yield *model*'s chunks.

        Raises:
            Refused: The request may not use it.
        """
        name = model if isinstance(model, str) else model.name
        # Helpers such as judges are the router's own, not the client's choice.
        barred = self._allowed is not None and name not in self._allowed
        if barred and name in self._generation.candidates:
            raise Refused(f"this request may not use model '{name}'", model=name, status=403)
        found = self.models.get(name)  # where a request may be processed binds helpers as well
        if self._region is not None and found and self._region not in found.regions:
            why = f"model '{name}' is not in region '{self._region}'"
            raise Refused(why, model=name, status=403)
        self.asked = name
        return super().stream(model, request)


def asking(generation: Generation, metrics: Metrics, seconds: float, permit: Permit) -> Asking:
    """Return the session of one request.

    Args:
        generation: The router that serves, and its default model.
        metrics: Where decisions and failures of the router are counted.
        seconds: A decision may take.
        permit: Which models may be asked.
    """
    return generation.router.session(
        Asking, generation=generation, metrics=metrics, seconds=seconds, permit=permit
    )
