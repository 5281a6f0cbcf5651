"""A weak and a strong model: how much of the gap is recovered for how many strong calls.

RouteLLM (Ong et al. 2024, arXiv 2406.18665, section 2) measures a router between two models by

    PGR     = (quality - weak) / (strong - weak)        the performance gap recovered
    APGR    = integral from 0 to 1 of PGR(s) ds         s: the share of calls to the strong model
    CPT(x)  = the least s at which PGR(s) >= x          the call-performance threshold

The curve PGR(s) comes from thresholds on the order in which the router would move queries to the
strong model. It starts at (0, 0) and ends at (1, 1); between two thresholds it is straight, which
is what mixing them by a coin gives. Random choice has APGR = 0.5 and CPT(x) = x.
"""

from __future__ import annotations

import numpy as np

from llmrouter_core.types import Floats

_STEPS = 50  # thresholds, so that one moves about 2 % of the queries


def thresholds(eagerness: Floats) -> list[Floats]:
    """Return which queries go to the strong model, at each threshold, bool (n,) each.

    Args:
        eagerness: How much each query wants the strong model, (n,); equals move together, and
            what is unknown moves last.
    """
    eagerness = np.where(np.isnan(eagerness), -np.inf, eagerness)
    levels = np.unique(eagerness)[1:]  # at the lowest of all everything is strong: the end (1, 1)
    if len(levels) > _STEPS:
        ordered = np.sort(eagerness)
        cuts = (np.arange(1, _STEPS) * len(ordered)) // _STEPS
        levels = np.intersect1d(ordered[cuts], levels)
    return [eagerness >= level for level in levels]


def curve(shares: Floats, recovered: Floats) -> tuple[Floats, Floats]:
    """Return *shares* and *recovered*, (R, p), from few strong calls to many, with both ends."""
    order = np.argsort(shares, axis=1, kind="stable")
    ends = np.zeros((len(shares), 1)), np.ones((len(shares), 1))
    x = np.concatenate([ends[0], np.take_along_axis(shares, order, axis=1), ends[1]], axis=1)
    y = np.concatenate([ends[0], np.take_along_axis(recovered, order, axis=1), ends[1]], axis=1)
    return x, y


def apgr(x: Floats, y: Floats) -> Floats:
    """Return the area under each row of a curve, (R,)."""
    area: Floats = (np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2).sum(axis=1)
    return area


def cpt(x: Floats, y: Floats, wanted: float) -> Floats:
    """Return the least share of strong calls that recovers *wanted* of the gap, (R,)."""
    reached = y >= wanted
    first = np.argmax(reached, axis=1)  # there is one: every curve ends at 1
    rows = np.arange(len(y))
    before = np.maximum(first - 1, 0)
    rise = y[rows, first] - y[rows, before]
    part = np.where(rise > 0, (wanted - y[rows, before]) / np.where(rise > 0, rise, 1.0), 0.0)
    place: Floats = x[rows, before] + part * (x[rows, first] - x[rows, before])
    return np.where(np.isnan(y).any(axis=1), np.nan, place)
