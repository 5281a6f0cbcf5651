"""Whether a model was good enough in place of the large one, as labels (Ding et al. 2024)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from llmrouter_core import Floats

Kind: TypeAlias = Literal["deterministic", "probabilistic", "transformed"]

_EDGE = 1e-9  # what differs by rounding is equal


def labels(gap: Floats, kind: Kind, tau: float) -> Floats:
    """Return how good each model was in place of the large one, in 0..1, (n, m).

        deterministic    1[H >= 0]
        probabilistic    sigmoid(H / tau), so that equal outcomes count half
        transformed      1[H >= -t], with the *t* of each model that `relaxation` finds

    Args:
        gap: *H*, the outcome less the large model's, (n, m), NaN where either is unknown.
        kind: Which label.
        tau: How large a gap is, in quality, for *probabilistic* to be sure of it.
    """
    if kind == "probabilistic":
        found: Floats = 1 / (1 + np.exp(-np.clip(gap / tau, -40, 40)))
        return found
    slack = np.zeros(gap.shape[1])
    if kind == "transformed":
        slack = np.array([relaxation(column[~np.isnan(column)]) for column in gap.T])
    return np.where(np.isnan(gap), np.nan, gap >= -slack - _EDGE)


def relaxation(gap: Floats) -> float:
    """Return the *t* >= 0 that tells the queries of *gap*, (n,), apart best.

    With p the share of `H >= -t`, two queries differ in their label with chance `2 p (1 - p)`,
    the mean absolute difference of labels that the paper maximises. Of equally good *t* the
    smallest is taken; 0 where the model never falls short.
    """
    short = np.unique(np.round(-gap[gap < -_EDGE], 9))
    if not len(short):
        return 0.0
    tried = np.concatenate([[0.0], short])
    below = np.searchsorted(np.sort(gap), -tried - _EDGE)
    share = 1 - below / len(gap)
    return float(tried[np.argmax(np.round(2 * share * (1 - share), 12))])
