"""Comparisons of models on the same query, ties counted half to each side."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Dataset, Floats, Ints


@frozen(eq=False)
class Comparisons:
    """Rows in which at least two models can be compared.

    A row of scores compares every two models that were asked the query, `s_ij = (1 + y_i - y_j)
    / 2`: 1 where one answer is right and the other wrong, 1/2 where they are equally good. A
    preference is a row of two models, 1 for the better and 0 for the other, equal for a tie.

    Attributes:
        values: Scores, (c, m), 0 where unknown.
        known: Which are known, float (c, m): 1 or 0.
        queries: Row of the data set that each was asked, (c,).
        scores: How many rows are scores; the others are preferences.
    """

    values: Floats
    known: Floats
    queries: Ints
    scores: int

    @classmethod
    def of(cls, dataset: Dataset) -> Comparisons:
        """Return the comparisons in *dataset*, those of preferences last."""
        column = {name: j for j, name in enumerate(dataset.models)}
        liked = [one for one in dataset.preferences if {one.better, one.worse} <= column.keys()]
        judged = np.full((len(liked), len(column)), np.nan)
        for row, one in zip(judged, liked, strict=True):
            row[column[one.better]] = 1.0
            row[column[one.worse]] = 1.0 if one.tie else 0.0
        rows = np.concatenate([dataset.quality, judged])
        queries = np.append(np.arange(len(dataset)), [one.query for one in liked])
        compared = (~np.isnan(rows)).sum(axis=1) > 1
        known = ~np.isnan(rows[compared])
        return cls(
            values=np.where(known, rows[compared], 0.0),
            known=known.astype(float),
            queries=queries[compared].astype(np.intp),
            scores=int(compared[: len(dataset)].sum()),
        )

    def wins(self) -> Floats:
        """Return how often each model (row) wins against each other (column), (m, m)."""
        found: Floats = wins(self.known[None], self.values[None], np.ones((1, len(self.known))))[0]
        return found


def wins(known: Floats, values: Floats, weights: Floats) -> Floats:
    """Return weighted wins of each model against each other, (n, m, m), zero on the diagonal.

    Each pair of a row that knows a models weighs 1/a: a row then weighs as much as the a - 1
    differences that are free in it, and not as its a (a - 1) / 2 pairs, which repeat each other.

    Args:
        known: Which scores are known, (n, c, m).
        values: Scores, 0 where unknown, (n, c, m).
        weights: Weight of each row, (n, c).
    """
    share = known * (weights / np.maximum(known.sum(axis=2), 1.0))[:, :, None]
    turned = share.transpose(0, 2, 1)
    met = turned @ known  # how often i met j
    scored = (share * values).transpose(0, 2, 1) @ known  # what i scored where it met j
    found: Floats = (met + scored - scored.transpose(0, 2, 1)) / 2
    every = np.arange(found.shape[1])
    found[:, every, every] = 0.0
    return found
