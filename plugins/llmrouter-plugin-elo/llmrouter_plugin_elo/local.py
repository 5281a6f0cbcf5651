"""Ratings that are refitted for each query, from the comparisons of similar ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Dataset, Floats, Ints

from llmrouter_plugin_elo.comparisons import Comparisons, wins
from llmrouter_plugin_elo.ratings import refit

_BLOCK = 128  # queries refitted at a time
_STEPS = 3  # of Newton's method, from the ratings of all queries


@frozen(eq=False, kw_only=True)
class Near:
    """The comparisons, and where they lie.

    Attributes:
        centre: Mean embedding, (d,).
        points: Embeddings of the comparisons from there, of length one, float32 (c, d).
        known: Which scores are known, (c, m).
        values: Scores, 0 where unknown, (c, m).
        easiness: How far the scores of a row lie above the means of their models, (c, 1); 0 for
            preferences, which say nothing of it.
        scored: Which rows are scores, (c, 1).
        ratings: Ratings of all queries, (m,).
        excess: Variance of the ratings over that of the inverse Hessian.
    """

    centre: Floats
    points: Floats
    known: Floats
    values: Floats
    easiness: Floats
    scored: Floats
    ratings: Floats
    excess: float

    @staticmethod
    def learn(dataset: Dataset, rows: Comparisons) -> dict[str, Any]:
        """Return the comparisons as arrays, for a state."""
        assert dataset.embeddings is not None
        centre = dataset.embeddings.mean(axis=0)
        return {
            "centre": centre,
            "points": _unit(dataset.embeddings, centre)[rows.queries],
            "values": np.where(rows.known > 0, rows.values, np.nan).astype(np.float32),
            "scored": np.arange(len(rows.queries)) < rows.scores,
        }

    @classmethod
    def of(cls, state: Arrays) -> Near:
        """Return what *state* holds."""
        known = ~np.isnan(state["values"])
        values = np.where(known, state["values"], 0.0).astype(float)
        scored = state["scored"][:, None].astype(float)
        mean = (values * scored).sum(axis=0) / np.maximum((known * scored).sum(axis=0), 1)
        above = np.where(known, values - mean, 0.0).sum(axis=1, keepdims=True)
        return cls(
            centre=state["centre"],
            points=state["points"],
            known=known.astype(float),
            values=values,
            easiness=scored * above / np.maximum(known.sum(axis=1, keepdims=True), 1),
            scored=scored,
            ratings=state["ratings"],
            excess=float(state["excess"]),
        )

    def refit(
        self, embeddings: Floats, k: int, temperature: float, shrinkage: float
    ) -> tuple[Floats, Floats]:
        """Return ratings and their standard errors, (n, m) each.

        To the ratings, whose mean says nothing, is added in logits how easy similar queries are:
        no choice depends on it, but how good the chosen model will be does.
        """
        shape = len(embeddings), len(self.ratings)
        found, std = np.empty(shape), np.empty(shape)
        for start in range(0, len(embeddings), _BLOCK):
            rows = slice(start, start + _BLOCK)
            near, weights = self._near(embeddings[rows], k, temperature)
            won = wins(self.known[near], self.values[near], weights)
            ratings, inverse = refit(won, self.ratings, shrinkage, _STEPS)
            easy = (weights[:, None, :] @ self.easiness[near])[:, 0]
            heard = (weights[:, None, :] @ self.scored[near])[:, 0]
            level = 4 * easy / (heard + shrinkage)  # 4: logits for a quality, at one half
            found[rows] = ratings - ratings.mean(axis=1, keepdims=True) + level
            variance = np.diagonal(inverse, axis1=1, axis2=2) - 1 / (shape[1] * shrinkage)
            std[rows] = np.sqrt(self.excess * np.maximum(variance, 0.0))
        return found, std

    def _near(self, embeddings: Floats, k: int, temperature: float) -> tuple[Ints, Floats]:
        """Return rows of the nearest comparisons, and their weights, (n, k) each."""
        similarity = _unit(embeddings, self.centre) @ self.points.T
        count = similarity.shape[1]
        if k < count:
            near: Ints = np.argpartition(similarity, count - k, axis=1)[:, count - k :]
            similarity = np.take_along_axis(similarity, near, axis=1)
        else:
            near = np.broadcast_to(np.arange(count), similarity.shape)
        best = similarity.max(axis=1, keepdims=True, initial=-1.0)
        return near, np.exp((similarity - best) / temperature).astype(float)


def _unit(points: Floats, centre: Floats) -> Floats:
    seen: Floats = points - centre
    length = np.sqrt(np.einsum("nd,nd->n", seen, seen))
    seen /= np.maximum(length, 1e-9)[:, None]
    return seen
