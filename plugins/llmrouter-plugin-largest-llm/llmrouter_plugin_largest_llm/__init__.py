"""Select the largest model first: no training, no embedding, no network."""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define
from llmrouter_core import Ints, Model, Query, Scores, hookimpl


@define(eq=False, kw_only=True)
class LargestLlmSelector:
    """Rank by all parameters, then active parameters, then price, all descending, then name.

    A model whose size is unknown comes after every model whose size is known.
    """

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        """Return the same order for every query, (n, m)."""
        order = sorted(range(len(models)), key=lambda column: _descending(models[column]))
        return np.tile(np.array(order, dtype=np.intp), (len(queries), 1))  # (m,) -> (n, m)


def _descending(model: Model) -> tuple[float, float, float, str]:
    """Return a sort key from large to small; what is unknown sorts last."""
    active, size, price, name = (0.0 if part == float("inf") else part for part in model.scale)
    return -float(size), -float(active), -float(price), str(name)
