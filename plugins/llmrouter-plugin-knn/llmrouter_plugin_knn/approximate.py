"""The nearest of very many points, approximately: an inverted file of Faiss."""

from __future__ import annotations

from typing import Any

import numpy as np
from llmrouter_core import Arrays, ConfigError, Floats, Ints

from llmrouter_plugin_knn.neighbours import Search, nearest

_TRAINED = 64  # points a list is trained on
_FEWEST = 1000  # points, below which an exact search is quicker


def lists(points: Floats, seed: int) -> dict[str, Any]:
    """Return the centres of the lists, (c, d), and the list of each of *points*, (p,).

    They are k-means clusters, about four roots of the number of points; both are plain arrays,
    so that nothing of Faiss is written into artefacts. Few points have no lists.

    Raises:
        ConfigError: Faiss is not installed.
    """
    if len(points) < _FEWEST:
        return {}
    faiss = _faiss()
    count = min(int(4 * np.sqrt(len(points))), len(points) // 39)
    means = faiss.Kmeans(
        points.shape[1],
        count,
        niter=10,
        seed=seed + 1,
        spherical=True,
        max_points_per_centroid=_TRAINED,
    )
    means.train(points)
    _, belongs = means.index.search(points, 1)
    return {"lists": means.centroids.astype(np.float32), "belongs": belongs[:, 0].astype(np.int32)}


def near(learned: Arrays, probes: int) -> Search:
    """Return the search through the *probes* nearest lists of what was *learned*.

    Raises:
        ConfigError: Faiss is not installed.
    """
    faiss = _faiss()
    points, centres = learned["points"], np.ascontiguousarray(learned["lists"])
    quantiser = faiss.IndexFlatIP(points.shape[1])
    quantiser.add(centres)
    index = faiss.IndexIVFFlat(
        quantiser, points.shape[1], len(centres), faiss.METRIC_INNER_PRODUCT
    )
    index.is_trained = True
    belongs = np.ascontiguousarray(learned["belongs"], dtype=np.int64)
    rows = np.arange(len(points), dtype=np.int64)
    index.add_core(
        len(points),
        faiss.swig_ptr(np.ascontiguousarray(points)),
        faiss.swig_ptr(rows),
        faiss.swig_ptr(belongs),
    )
    index.nprobe = min(probes, len(centres))

    def search(queries: Floats, k: int) -> tuple[Ints, Floats]:
        similarity, found = index.search(np.ascontiguousarray(queries), min(k, len(points)))
        for row in np.flatnonzero((found < 0).any(axis=1)):  # its lists hold too few points
            rest, close = nearest(queries[row : row + 1], points, min(k, len(points)))
            found[row], similarity[row] = rest[0], close[0]
        return found, similarity

    return search


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "scorer",
            [
                'search = "approximate" needs Faiss; install it: '
                "pip install llmrouter-plugin-knn[ann] @ search"
            ],
        ) from error
    faiss.omp_set_num_threads(1)  # decisions are parallel by request, not inside one
    return faiss
