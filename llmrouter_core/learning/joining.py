"""A model that joins later, expressed by those that were learned, from a few answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen

from llmrouter_core.dataset import means
from llmrouter_core.learning.amounts import AMOUNTS
from llmrouter_core.types import Arrays, Floats, Ints

_STRENGTHS = tuple(float(2**power) for power in range(-2, 8))
# Belief that a new model finds hard what the others find hard, as a sum of squares: that of fifty
# anchors was measured to be about four.
_COMMON = 10.0
_LEVEL = 0.25  # standard deviation of a model's level around the pool's, before it is asked
_LEAST = 0.01  # variance of an outcome that is taken for granted, however equal a few are
_TURNS = 10  # of the power iteration; the direction need not be exact


@frozen(kw_only=True, eq=False)
class Joined:
    """Models that joined, as linear combinations of the m models that were learned.

    If the outcome of a model is `y = bias + sum_j w_j y_j` plus noise that has nothing to do with
    the query, then so is its expectation, `E[y | q] = bias + sum_j w_j E[y_j | q]`: the weights
    are learned from answers to a few anchor queries, the rest from what is known already. This is
    a regression estimator of the mean (Cochran 1977, chapter 7), in other words a control variate,
    and a factor model with the known models as factors.

    Attributes:
        weights: (k, m), for k models that joined.
        bias: (k,).
        error: Standard error of each model's level, (k,).
        ratios: Its tokens, seconds and dollars over the mean that is predicted for the m learned
            models, (k, 3), in the order of `AMOUNTS`; 1 where they are not known.
        scatter: Standard error of each ratio, (k, 3); NaN where it is not known.
    """

    weights: Floats
    bias: Floats
    error: Floats
    ratios: Floats
    scatter: Floats

    @classmethod
    def none(cls, m: int) -> Joined:
        """Return that no model joined those *m*."""
        no: Floats = np.zeros((0, len(AMOUNTS)))
        return cls(
            weights=np.zeros((0, m)), bias=np.zeros(0), error=np.zeros(0), ratios=no, scatter=no
        )

    def with_model(
        self,
        known: Floats,
        outcome: Floats,
        amounts: Mapping[str, tuple[Floats, Floats]] | None = None,
    ) -> Joined:
        """Return these and one more model.

        Ridge regression of the outcomes on those of the known models, pulled towards what all of
        them share, its strength chosen by leaving one anchor out. The level is that of the
        anchors, moved by the regression to the known models' mean over all rows, and shrunk
        towards the pool's by how inexact it is (Efron & Morris 1973).

        Args:
            known: Outcomes of the learned models, (n, m), without gaps, on all queries that the
                anchors were chosen from, or on the anchors only.
            outcome: Outcomes of the new model, (n,); NaN where it was not asked.
            amounts: For some of `AMOUNTS`, what the new model took and the mean of what is
                predicted for the learned ones, (n,) each; NaN where the first is not known.
        """
        rows = np.flatnonzero(~np.isnan(outcome))
        a, m = len(rows), known.shape[1]
        seen = known[rows] - known[rows].mean(axis=0)
        rest = outcome[rows] - outcome[rows].mean()
        common = seen.mean(axis=1)
        shared = (common @ rest + _COMMON) / (common @ common + _COMMON)
        shared = min(max(float(shared), 0.0), 1.5)
        own, error = _ridge(seen, rest - shared * common)
        weights = own + shared / m
        middle = known.mean(axis=0)
        level = float((outcome[rows] - (known[rows] - middle) @ weights).mean())
        doubt = max(error, _LEAST) / a
        trust = _LEVEL**2 / (_LEVEL**2 + doubt)
        level = trust * level + (1 - trust) * middle.mean()
        ratios, scatter = _ratios(amounts or {})
        return Joined(
            weights=np.vstack([self.weights, weights]),
            bias=np.append(self.bias, level - weights @ middle),
            error=np.append(self.error, np.sqrt(trust * doubt)),
            ratios=np.vstack([self.ratios, ratios]),
            scatter=np.vstack([self.scatter, scatter]),
        )

    def extend(self, values: Floats, std: Floats) -> tuple[Floats, Floats]:
        """Return *values* and *std*, (n, m), with a column for each model that joined."""
        if not len(self.bias):
            return values, std
        more = np.clip(values @ self.weights.T + self.bias, 0.0, 1.0)
        spread = np.sqrt(np.square(std) @ np.square(self.weights.T) + np.square(self.error))
        return np.hstack([values, more]), np.hstack([std, spread])

    def extend_amounts(self, name: str, values: Floats, std: Floats) -> tuple[Floats, Floats]:
        """Return amounts *name* and *std*, (n, m), with a column for each model that joined.

        A model takes its ratio times the mean of the others; where its ratio is not known, that
        mean, as uncertain as the others differ.
        """
        if not len(self.bias):
            return values, std
        ratio, scatter = (each[:, AMOUNTS.index(name)] for each in (self.ratios, self.scatter))
        mean = values.mean(axis=1, keepdims=True)
        unsure = np.sqrt(np.square(std).sum(axis=1, keepdims=True)) / values.shape[1]
        spread = np.sqrt(np.square(unsure * ratio) + np.square(mean * scatter))
        spread = np.where(np.isnan(scatter), values.std(axis=1, keepdims=True), spread)
        return np.hstack([values, mean * ratio]), np.hstack([std, spread])

    def arrays(self) -> dict[str, Floats]:
        """Return them as arrays, for a state."""
        return {
            "joined_weights": self.weights,
            "joined_bias": self.bias,
            "joined_error": self.error,
            "joined_ratios": self.ratios,
            "joined_scatter": self.scatter,
        }

    @classmethod
    def of(cls, state: Arrays) -> Joined:
        """Return what *state* holds."""
        return cls(
            weights=state["joined_weights"],
            bias=state["joined_bias"],
            error=state["joined_error"],
            ratios=state["joined_ratios"],
            scatter=state["joined_scatter"],
        )


def _ridge(seen: Floats, rest: Floats) -> tuple[Floats, float]:
    """Return the slopes, (m,), and the squared error of leaving one row out.

    Args:
        seen: (a, m), centred.
        rest: (a,), centred.
    """
    left, size, right = np.linalg.svd(seen, full_matrices=False)
    along = left.T @ rest
    best: tuple[float, Floats] | None = None
    for strength in _STRENGTHS:
        kept = np.square(size) / (np.square(size) + strength)
        leverage = np.square(left) @ kept + 1 / len(seen)
        missed = (rest - left @ (kept * along)) / np.maximum(1 - leverage, 0.05)
        error = float(np.square(missed).mean())
        if best is None or error < best[0]:
            best = error, right.T @ (size / (np.square(size) + strength) * along)
    assert best is not None
    return best[1], best[0]


def _ratios(amounts: Mapping[str, tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return the ratio of sums and its standard error for each amount, (3,) each.

    Cochran 1977, equation 6.13: the error is that of the residuals `taken - ratio * expected`.
    """
    ratios, scatter = np.ones(len(AMOUNTS)), np.full(len(AMOUNTS), np.nan)
    for name, (taken, expected) in amounts.items():
        told = ~np.isnan(taken)
        total, count = float(expected[told].sum()), int(told.sum())
        if total <= 0:
            continue
        place = AMOUNTS.index(name)
        ratios[place] = ratio = float(taken[told].sum()) / total
        if count > 1:
            missed = np.square(taken[told] - ratio * expected[told]).sum() / (count - 1)
            scatter[place] = np.sqrt(count * missed) / total
    return ratios, scatter


def anchors(quality: Floats, budget: int, *, seed: int = 0) -> Ints:
    """Return rows of *quality*, (n, m), that stand for all, to ask a new model.

    The queries are halved again and again along the direction in which the outcomes of the known
    models differ most, until there are as many equal parts as anchors; each part gives one at
    random. So every query stands the same chance, and all kinds of queries are among the anchors,
    as with the clusters of Polo et al. 2024. The most informative queries (a D-optimal design)
    are odd ones: they were measured to mistake a model's level by half as much again.

    Args:
        quality: Outcomes of the learned models; gaps count as the model's mean.
        budget: How many anchors; all rows where there are not more.
        seed: Seed of the draw.
    """
    n = len(quality)
    budget = min(budget, n)
    if budget < 1:
        return np.zeros(0, dtype=np.intp)
    filled = np.where(np.isnan(quality), np.nan_to_num(means(quality)), quality)
    rng = np.random.default_rng(seed)
    parts = [(np.arange(n), budget)]
    found: list[int] = []
    while parts:
        rows, count = parts.pop()
        if count == 1:
            found.append(int(rng.choice(rows)))
            continue
        ordered = rows[np.argsort(_along(filled[rows]), kind="stable")]
        half = count // 2
        cut = round(len(rows) * half / count)
        parts += [(ordered[cut:], count - half), (ordered[:cut], half)]
    return np.array(found, dtype=np.intp)


def _along(values: Floats) -> Floats:
    """Return where each row lies along the direction in which the rows differ most, (n,)."""
    seen = values - values.mean(axis=0)
    direction = seen[np.argmax(np.square(seen).sum(axis=1))]
    for _ in range(_TURNS):
        turned = seen.T @ (seen @ direction)
        length = np.linalg.norm(turned)
        if length == 0:
            break
        direction = turned / length
    found: Floats = seen @ direction
    return found
