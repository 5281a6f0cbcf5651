"""Score models by how they did on the nearest clusters of queries."""

import math
from collections.abc import Sequence

from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer, Table

from llmrouter_plugin_cluster.clusters import Clusters

_MEMBERS = 10  # queries that there are for each cluster, at least


@define(eq=False, kw_only=True)
class ClusterScorer(LearnedScorer):
    """Mean scores of every model on clusters of queries; the nearest clusters count.

    k-means on unit embeddings, a mean score for each cluster and model, and for a query the mean
    over its nearest clusters: Avengers-Pro (Zhang et al. 2025, arXiv 2508.12631), with means that
    are shrunk. That paper mixes normalised cost into the table by a weight *alpha*; here costs
    stay in dollars and are weighed by the selector.

    The standard error is that of the means, from the outcomes in the clusters.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        clusters: How many clusters, at most; there are never fewer than 10 queries for each.
        nearest: How many clusters count for a query.
        shrinkage: How many outcomes the mean of the model and of the cluster counts for in a cell.
        temperature: How fast clusters fade with distance; small trusts only the nearest.
    """

    clusters: int = field(default=64, validator=validators.ge(1))
    nearest: int = field(default=5, validator=validators.ge(1))
    shrinkage: float = field(default=10.0, validator=[validators.gt(0), validators.lt(math.inf)])
    temperature: float = field(
        default=0.1, validator=[validators.ge(1e-6), validators.lt(math.inf)]
    )

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the clusters' centres (g, d) and the table of their means (g, m)."""
        assert dataset.embeddings is not None
        count = max(1, min(self.clusters, len(dataset) // _MEMBERS))
        clusters, belongs = Clusters.fit(dataset.embeddings, count, self.seed)
        found = len(clusters.centres)
        table = Table.fit(dataset.quality, belongs, found, self.shrinkage)
        return {**clusters.arrays(), **table.arrays()}

    def prepare(self, learned: Arrays) -> tuple[Clusters, Table]:
        """Return the clusters and their table."""
        return Clusters.of(learned), Table.of(learned)

    def predict(
        self, learned: tuple[Clusters, Table], queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return the mean over the nearest clusters and its standard error, (n, m) each."""
        clusters, table = learned
        return table.mixed(clusters.weights(embeddings, self.nearest, self.temperature))
