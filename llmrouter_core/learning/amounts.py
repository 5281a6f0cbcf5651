"""How many tokens, seconds and dollars a call will take: one mechanism for every scorer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from llmrouter_core.dataset import Dataset
from llmrouter_core.learning.ridge import Ridge
from llmrouter_core.types import Arrays, Floats

AMOUNTS = ("output_tokens", "latency", "cost")
"""What can be predicted beside quality; each is a matrix of the outcomes."""


@frozen(kw_only=True, eq=False)
class Amounts:
    """Ridge regressions of amounts, as they are: what is billed is the arithmetic mean.

    Attributes:
        names: What is predicted.
        ridges: A regression of each, with a column for each model.
        least: The smallest amount seen of each model, below which nothing is predicted; one
            (m,) for each name.
    """

    names: tuple[str, ...]
    ridges: tuple[Ridge, ...]
    least: tuple[Floats, ...]

    @classmethod
    def fit(cls, dataset: Dataset, names: Sequence[str]) -> Amounts:
        """Return what predicts *names*; one without any outcome is left out."""
        assert dataset.embeddings is not None
        told = [name for name in names if not np.isnan(getattr(dataset, name)).all()]
        matrices = [getattr(dataset, name) for name in told]
        return cls(
            names=tuple(told),
            ridges=tuple(Ridge.fit(dataset.embeddings, values) for values in matrices),
            least=tuple(
                np.nan_to_num(np.fmin.reduce(values, axis=0, initial=np.inf), posinf=0.0)
                for values in matrices
            ),
        )

    def predict(self, embeddings: Floats) -> list[tuple[str, Floats, Floats]]:
        """Return name, amounts and their standard errors, (n, m) each."""
        found = []
        for name, ridge, least in zip(self.names, self.ridges, self.least, strict=True):
            values, std = ridge.estimate(embeddings)
            found.append((name, np.maximum(values, least), std))
        return found

    def arrays(self) -> dict[str, Floats]:
        """Return the regressions as arrays, for a state."""
        found: dict[str, Floats] = {"amounts": np.array(self.names, dtype=np.str_)}
        for name, ridge, least in zip(self.names, self.ridges, self.least, strict=True):
            found |= {**ridge.arrays(f"{name}_"), f"{name}_least": least}
        return found

    @classmethod
    def of(cls, state: Arrays) -> Amounts:
        """Return what *state* holds."""
        names = tuple(state["amounts"].tolist())
        return cls(
            names=names,
            ridges=tuple(Ridge.of(state, f"{name}_") for name in names),
            least=tuple(state[f"{name}_least"] for name in names),
        )
