"""What a part must have to learn from outcomes."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from llmrouter_core.dataset import MEASURES, Dataset, Preference
from llmrouter_core.outcomes import STATUSES, query_id
from llmrouter_core.types import Arrays

__all__ = ["MEASURES", "STATUSES", "Dataset", "Preference", "Trainable", "query_id"]


@runtime_checkable
class Trainable(Protocol):
    """A part that learns: three methods, orthogonal to its hooks.

    Neither `fit` nor `restore` changes the part it is called on, so that another thread may go
    on deciding with it. State is arrays of numbers and text, never objects.
    """

    def fit(self, dataset: Dataset) -> Self:
        """Return a part like this one that has learned from *dataset*."""

    def state(self) -> Arrays:
        """Return what was learned."""

    def restore(self, state: Arrays) -> Self:
        """Return a part like this one that knows *state*."""
