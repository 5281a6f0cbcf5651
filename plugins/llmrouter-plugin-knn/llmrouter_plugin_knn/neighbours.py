"""The nearest of many points by cosine, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from llmrouter_core import Floats, Ints

Search: TypeAlias = Callable[[Floats, int], tuple[Ints, Floats]]
"""From unit queries (n, d) and k to the rows of neighbours and their cosines, (n, k) each."""


def unit(points: Floats, centre: Floats) -> Floats:
    """Return *points* (n, d) seen from *centre* (d,), scaled to length one; zero stays zero."""
    seen: Floats = points - centre
    length = np.sqrt(np.einsum("nd,nd->n", seen, seen))
    seen /= np.maximum(length, 1e-9)[:, None]
    return seen


def nearest(queries: Floats, points: Floats, k: int) -> tuple[Ints, Floats]:
    """Return the rows of the k nearest *points* and their cosines, (n, k) each, in no order."""
    similarity = queries @ points.T  # (n, p)
    count = len(points)
    if k >= count:
        every = np.broadcast_to(np.arange(count), similarity.shape)
        return every, similarity
    # Partitioning values and then looking for them is quicker than partitioning their places.
    bar = np.partition(similarity, count - k, axis=1)[:, count - k, None]
    places = np.flatnonzero(similarity >= bar)
    shape = (len(queries), k)
    if len(places) == len(queries) * k:
        return places.reshape(shape) % count, similarity.take(places).reshape(shape)
    found = np.argpartition(similarity, count - k, axis=1)[:, count - k :]  # some are equally near
    return found, np.take_along_axis(similarity, found, axis=1)
