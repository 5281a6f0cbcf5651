"""Score models by how they did on the nearest clusters of queries."""

import math
from collections.abc import Sequence

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer

_STEPS = 20
_FINITE = [validators.gt(0), validators.lt(math.inf)]


@define(eq=False, kw_only=True)
class ClusterScorer(LearnedScorer):
    """A table of mean scores by cluster of queries and model, as Avengers-Pro has it.

    Queries are clustered by spherical k-means (Dhillon & Modha 2001) on centred embeddings of
    length one. A cell is the mean score, shrunk to the model's mean; a query takes the mean of its
    nearest clusters, weighted by their nearness (Zhang et al. 2025, arXiv 2508.12631):

        mean_cm = (sum y + s * mean_m) / (n_cm + s)
        quality_m = sum_c w_c mean_cm,  w_c ~ exp(cos(x, centre_c) / t)  over the nearest

    The standard error is that of a share in as many outcomes.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        clusters: How many clusters; fewer where there are not ten queries for each.
        nearest: How many of the nearest count.
        shrinkage: *s*: how many outcomes the model's mean counts for in a cell.
        temperature: *t*: how fast weights fade with distance.
    """

    clusters: int = field(default=48, validator=validators.ge(1))
    nearest: int = field(default=3, validator=validators.ge(1))
    shrinkage: float = field(default=8.0, validator=_FINITE)
    temperature: float = field(default=0.07, validator=_FINITE)

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the centres of the clusters (c, d) and the table of means, (c, m)."""
        assert dataset.embeddings is not None
        centre = dataset.embeddings.mean(axis=0)
        order = np.argsort(np.array(dataset.ids), kind="stable")  # whatever the order of the rows
        points = _unit(dataset.embeddings[order] - centre)
        quality = dataset.quality[order]
        count = max(1, min(self.clusters, len(points) // 10))
        centres, labels = _clustered(points, count, self.seed)
        known = ~np.isnan(quality)
        filled = np.where(known, quality, 0.0)
        seen = known.sum(axis=0)
        overall = filled.sum() / max(int(seen.sum()), 1)
        mean = np.where(seen > 0, filled.sum(axis=0) / np.maximum(seen, 1), overall)
        belongs = (labels == np.arange(count)[:, None]).astype(np.float64)  # (c, n)
        counts = belongs @ known + self.shrinkage
        means = (belongs @ filled + self.shrinkage * mean) / counts
        return {"centre": centre, "centres": centres, "means": means, "counts": counts}

    def predict(
        self, learned: Arrays, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return the mean of the nearest clusters and its standard error, (n, m) each."""
        cosine = _unit(embeddings - learned["centre"]) @ learned["centres"].T  # (n, c)
        count = cosine.shape[1]
        if self.nearest < count:
            bar = np.partition(cosine, count - self.nearest, axis=1)[:, count - self.nearest, None]
            cosine = np.where(cosine >= bar, cosine, -np.inf)
        weights = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / self.temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        means, counts = learned["means"], learned["counts"]
        variance = np.maximum(means * (1 - means), 1e-3) / counts  # (c, m)
        return weights @ means, np.sqrt(np.square(weights) @ variance)


def _clustered(points: Floats, count: int, seed: int) -> tuple[Floats, Floats]:
    """Return *count* centres, (c, d), and the cluster of each of *points*, (n,)."""
    rng = np.random.default_rng(seed)
    centres = points[np.sort(rng.permutation(len(points))[:count])]
    labels = np.zeros(len(points), np.intp)
    for _ in range(_STEPS):
        labels = np.argmax(points @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, points)
        empty = ~sums.any(axis=1)
        centres = np.where(empty[:, None], centres, _unit(sums))
    return centres, labels


def _unit(rows: Floats) -> Floats:
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    found: Floats = rows / np.maximum(length, 1e-9)[:, None]
    return found
