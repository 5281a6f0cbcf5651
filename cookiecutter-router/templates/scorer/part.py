"""{{ cookiecutter.__summary | trim('.') }}."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from attrs import define, evolve, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Model, NotFitted, Query, Scores, hookimpl


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Predict each model's quality by a straight line over the length of the query.

    Attributes:
        name: What is predicted.
        ridge: How strongly the slopes are pulled towards zero.
    """

    name: str = "quality"
    ridge: float = field(default=1.0, validator=validators.gt(0))
    _learned: Arrays = field(init=False, repr=False, factory=dict)

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
        """Return the expected quality, (n, m); NaN for a model never seen in training."""
        learned = self.state()
        column = {name: place for place, name in enumerate(learned["models"].tolist())}
        lines = np.pad(learned["lines"], ((0, 0), (0, 1)), constant_values=np.nan)
        lines = lines[:, [column.get(model.name, -1) for model in models]]  # (2, m)
        return Scores(self.name, np.clip(_lengths(queries) @ lines, 0, 1))

    def fit(self, dataset: Dataset) -> Self:
        """Return a scorer that knows one line per model, by ridge regression."""
        x = _lengths(dataset.queries)  # (n, 2)
        known = ~np.isnan(dataset.quality)  # (n, m)
        gram = np.einsum("ni,nj,nm->mij", x, x, known) + np.diag([1e-9, self.ridge])
        moments = np.where(known, dataset.quality, 0.0).T @ x  # (m, 2)
        lines = np.linalg.solve(gram, moments[..., None])[..., 0].T  # (2, m)
        lines = np.where(known.any(axis=0), lines, np.nan)
        return self.restore({"models": np.array(dataset.models), "lines": lines})

    def state(self) -> Arrays:
        """Return the names of the models, (m,), and their lines, (2, m)."""
        if not self._learned:
            raise NotFitted(f"scorer '{self.name}' was not trained; run: llmrouter train")
        return self._learned

    def restore(self, state: Arrays) -> Self:
        """Return a scorer that knows *state*."""
        fitted = evolve(self)
        fitted._learned = state
        return fitted


def _lengths(queries: Sequence[Query]) -> Floats:
    """Return a constant and the logarithm of the word count, (n, 2)."""
    words = np.array([len(query.text.split()) for query in queries], dtype=float)
    return np.stack([np.ones_like(words), np.log1p(words)], axis=1)
