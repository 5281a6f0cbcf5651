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
        order = sorted(range(len(models)), key=lambda column: models[column].reverse_scale)
        return np.tile(np.array(order, dtype=np.intp), (len(queries), 1))  # (m,) -> (n, m)
