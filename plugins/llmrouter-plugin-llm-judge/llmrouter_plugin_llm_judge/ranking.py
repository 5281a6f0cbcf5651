"""From a difficulty to the order in which models are asked."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from attrs import frozen
from llmrouter_core import Chunk, Decision, Model, Query, Request

if TYPE_CHECKING:
    from llmrouter_core import Session

_RECENT = 100


def ranked(models: Sequence[Model], difficulty: float) -> tuple[Model, ...]:
    """Return *models* in the order in which to ask them, (m,).

    Sorted from small to large, the one at place *difficulty*, from 0 to 1, comes first. Larger
    ones follow, then smaller ones: a model that fails is better replaced by a better one.
    """
    order = sorted(models, key=lambda model: model.scale)
    first = int(difficulty * (len(order) - 1) + 0.5)
    return (*order[first:], *order[:first][::-1])


@frozen
class Ranked:
    """A session in which a decision has been taken, for core's single shot to answer by.

    Attributes:
        session: The door to the models.
        decision: What it decides, whoever asks.
    """

    session: Session
    decision: Decision

    @property
    def fallbacks(self) -> int:
        """How many further models may be asked when one fails."""
        return self.session.fallbacks

    async def decide(self, query: Query) -> Decision:
        """Return the decision."""
        return self.decision

    def stream(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        """Yield what *model* answers."""
        return self.session.stream(model, request)


class Share:
    """Keeps what may happen to a share of the last hundred queries from happening more often."""

    def __init__(self, most: float) -> None:
        self._most = round(most * _RECENT)
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._lock = Lock()

    def grants(self, wanted: bool) -> bool:
        """Count one query, and return whether it gets what it wants."""
        with self._lock:
            before = sum(self._recent) - (len(self._recent) == _RECENT and self._recent[0])
            given = wanted and before < self._most
            self._recent.append(given)
        return given
