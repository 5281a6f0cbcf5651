"""{{ cookiecutter.__summary | trim('.') }}."""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define
from llmrouter_core import Ints, Model, Query, Scores, hookimpl


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Rank the preferred models first, then the others from small to large.

    Attributes:
        order: Names of the preferred models, best first.
    """

    order: tuple[str, ...] = ()

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        """Return the same order for every query, (n, m)."""
        place = {name: place for place, name in enumerate(self.order)}
        keys = [(place.get(model.name, len(place)), model.scale) for model in models]
        order = sorted(range(len(models)), key=keys.__getitem__)
        return np.tile(np.array(order, dtype=np.intp), (len(queries), 1))  # (m,) -> (n, m)
