"""Curves in the plane of cost and quality: hulls, the area under them, and what they save.

A point may be mixed with any other by a coin, so the upper hull of some points is what they can
reach; dearer and worse points never lower it, so it does not decrease. RouterBench (Hu et al.
2024, arXiv 2403.12031, section 3) sums a router up as

    AIQ = 1 / (c_max - c_min) * integral from c_min to c_max of hull(c) dc

and calls the hull of the single models the *Zero router*: it learns nothing. Here the range of
costs is that of the single models for every router. Right of its last point a hull is flat; left
of its first one it is the line to the origin, where nothing is asked and nothing gained.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmrouter_core.types import Floats


def hull(costs: Floats, quality: Floats) -> tuple[Floats, Floats]:
    """Return the vertices of the non-decreasing upper hull of points, cheapest first.

    Args:
        costs: US dollars, (p,).
        quality: Scores, (p,); a point with an unknown number is left out.
    """
    known = ~(np.isnan(costs) | np.isnan(quality))
    order = np.lexsort((-quality[known], costs[known]))
    kept: list[tuple[float, float]] = []
    for x, y in zip(costs[known][order].tolist(), quality[known][order].tolist(), strict=True):
        if kept and y <= kept[-1][1]:
            continue  # dearer and no better: the hull is flat from here on
        while len(kept) > 1 and _below(kept[-2], kept[-1], (x, y)):
            kept.pop()
        kept.append((x, y))
    found = np.array(kept).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _below(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    """Return whether *middle* is on or under the line from *left* to *right*."""
    run, rise = right[0] - left[0], right[1] - left[1]
    return (middle[1] - left[1]) * run <= rise * (middle[0] - left[0])


def area(costs: Floats, quality: Floats, low: float, high: float) -> float:
    """Return the AIQ of points: the mean height of their hull from *low* to *high* dollars."""
    if not high > low:
        return float("nan")
    x, y = hull(costs, quality)
    if not len(x):
        return float("nan")
    inside = x[(x > low) & (x < high)]
    places = np.concatenate([[low], inside, [high]])
    heights = _height(x, y, places)
    trapezoids = np.diff(places) * (heights[1:] + heights[:-1]) / 2
    return float(trapezoids.sum() / (high - low))


def _height(x: Floats, y: Floats, places: Floats) -> Floats:
    """Return the hull with vertices *x*, *y* at *places*."""
    if x[0] > 0:  # the line to the origin
        x, y = np.concatenate([[0.0], x]), np.concatenate([[0.0], y])
    return np.interp(places, x, y)


def height(costs: Floats, quality: Floats, place: float) -> float:
    """Return the quality that points reach at *place* dollars a query."""
    x, y = hull(costs, quality)
    return float(_height(x, y, np.array([place]))[0]) if len(x) else float("nan")


def price(costs: Floats, quality: Floats, wanted: float) -> float:
    """Return the dollars at which points reach the quality *wanted*; inf if they never do."""
    x, y = hull(costs, quality)
    if not len(x) or np.isnan(wanted):
        return float("nan")
    if wanted > y[-1] + 1e-12:
        return float("inf")
    return float(np.interp(wanted, y, x))  # the cheapest point where even that is good enough


def mixture(costs: Floats, quality: Floats, place: float) -> Floats:
    """Return the share of each single model in the Zero router at *place* dollars, (m,).

    Two neighbours on the hull are mixed so that the expected cost is *place*; below the cheapest
    vertex that one is all there is, and above the dearest there is nothing more to buy.
    """
    x, y = hull(costs, quality)
    shares = np.zeros(len(costs))
    found = [
        int(np.flatnonzero((costs == a) & (quality == b))[0]) for a, b in zip(x, y, strict=True)
    ]
    right = int(np.searchsorted(x, place))
    if right == 0 or right == len(x):
        shares[found[min(right, len(x) - 1)]] = 1.0
        return shares
    part = (place - x[right - 1]) / (x[right] - x[right - 1])
    shares[found[right - 1]], shares[found[right]] = 1 - part, part
    return shares


def each(function: Callable[..., float], *columns: Floats) -> Floats:
    """Return *function* of every row of *columns*, (R,): of every resample."""
    return np.array([function(*row) for row in zip(*columns, strict=True)])
