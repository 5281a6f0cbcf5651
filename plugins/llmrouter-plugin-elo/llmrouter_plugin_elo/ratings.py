"""Bradley-Terry ratings with a Gaussian prior, of many tables of wins at once."""

from __future__ import annotations

import numpy as np
from llmrouter_core import Floats, Ints
from numpy.typing import NDArray

from llmrouter_plugin_elo.comparisons import Comparisons

_LEAP = 2.0  # by which no rating changes in more than one step of Newton's method


def refit(wins: Floats, prior: Floats, precision: float, steps: int) -> tuple[Floats, Floats]:
    """Return the ratings, (n, m), and the inverse Hessian at them, (n, m, m).

    The mean of the ratings says nothing: the prior alone holds it.

    They maximise the posterior of `P(i beats j) = sigmoid(r_i - r_j)` (Bradley & Terry 1952)
    with `r ~ Normal(prior, 1 / precision)`, by Newton's method.

    Args:
        wins: How often i beat j, ties half, (n, m, m) with a diagonal of zeros.
        prior: Where the ratings are pulled to, and where the search starts, (m,).
        precision: How strongly they are.
        steps: How many steps to take.
    """
    met = wins + wins.transpose(0, 2, 1)
    ratings: Floats = np.broadcast_to(prior, wins.shape[:2])
    every = np.arange(wins.shape[1])
    for _ in range(steps):
        chance = _chance(ratings)
        gradient = (met * chance - wins).sum(axis=2) + precision * (ratings - prior)
        hessian = _hessian(met, chance, precision, every)
        step = np.linalg.solve(hessian, gradient[:, :, None].astype(np.float64))
        ratings = ratings - np.clip(step[:, :, 0], -_LEAP, _LEAP)
    return ratings, np.linalg.inv(_hessian(met, _chance(ratings), precision, every))


def dispersion(rows: Comparisons, ratings: Floats, inverse: Floats, precision: float) -> Floats:
    """Return the covariance of centred *ratings* that does not take pairs for independent, (m, m).

    All pairs of a row share its few outcomes, so that the inverse Hessian is wrong by a factor;
    the sandwich `H^-1 (sum_q g_q g_q' + precision) H^-1` (Huber 1967) takes the gradient of each
    row as one draw, and the prior as one more.
    """
    known, values = rows.known, rows.values
    m = len(ratings)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1.0)
    scored = (count * (1 + values) - values.sum(axis=1, keepdims=True) - 1) / 2
    expected = known @ (_chance(ratings[None])[0] * (1 - np.eye(m))).T
    gradient = known * (scored - expected) / count  # (c, m)
    found = inverse @ (gradient.T @ gradient + precision * np.eye(m)) @ inverse
    centring = np.eye(m) - 1 / m
    centred: Floats = centring @ found @ centring
    return centred


def _chance(ratings: Floats) -> Floats:
    """Return the chance that i beats j, (n, m, m), for *ratings* (n, m)."""
    found: Floats = 1 / (1 + np.exp(np.clip(ratings[:, None, :] - ratings[:, :, None], -40, 40)))
    return found


def _hessian(met: Floats, chance: Floats, precision: float, every: Ints) -> NDArray[np.float64]:
    found = np.asarray(-met * chance * (1 - chance), dtype=np.float64)
    found[:, every, every] = precision - found.sum(axis=2)
    return found
