"""Score models by how they did on the k most similar queries."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from attrs import define, field, frozen, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer

from llmrouter_plugin_knn.approximate import lists, near
from llmrouter_plugin_knn.neighbours import Search, nearest, unit
from llmrouter_plugin_knn.regression import Outcomes, moments

_BLOCK = 256  # queries compared with all training queries at a time, at most
_CELLS = 1 << 23  # outcomes of neighbours looked at at a time, which bounds the memory: 32 MiB


@frozen(eq=False)
class _Learned:
    """What `KnnScorer` needs at hand: where to search, and the outcomes found there."""

    centre: Floats
    search: Search
    rows: int
    outcomes: Outcomes


@define(eq=False, kw_only=True)
class KnnScorer(LearnedScorer):
    """k nearest neighbour regression of every model's outcome, shrunk to the model's mean.

    The estimate is `(sum_i w_i y_i + s * mean) / (sum_i w_i + s)` over the k training queries
    nearest by cosine whose outcome y_i is known, with `w_i = exp((sim_i - max sim) / t)`. It is
    the kNN regression that Li (2025, arXiv 2505.12601) finds hard to beat, with shrinkage.
    Embeddings are centred on the training mean first: what all queries share says nothing.

    The standard error is the weighted standard deviation over the root of the effective number of
    neighbours; the mean counts as *s* of them.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        k: How many neighbours vote.
        shrinkage: *s*: weight of the model's mean, in nearest neighbours.
        temperature: *t*: how fast votes fade with distance; small trusts only the nearest.
        search: `exact`, or `approximate` for hundreds of thousands of queries: an inverted file
            of Faiss, which needs `llmrouter-plugin-knn[ann]`.
        probes: How many of the file's lists an approximate search reads.
        texts: Whether the texts of the training queries are kept, to be shown as examples. They
            are then part of the artefacts.
    """

    k: int = field(default=100, validator=validators.ge(1))
    shrinkage: float = field(default=5.0, validator=[validators.gt(0), validators.lt(math.inf)])
    temperature: float = field(
        default=0.15, validator=[validators.ge(1e-6), validators.lt(math.inf)]
    )
    search: Literal["exact", "approximate"] = "exact"
    probes: int = field(default=32, validator=validators.ge(1))
    texts: bool = False

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the centred points (n, d), their outcomes (n, m) and what is shrunk to, (m,)."""
        assert dataset.embeddings is not None
        centre = dataset.embeddings.mean(axis=0)
        mean, variance = moments(dataset.quality)
        state = {
            "points": unit(dataset.embeddings, centre),
            "centre": centre,
            "values": dataset.quality.astype(np.float32),
            "mean": mean,
            "variance": variance,
            "ids": np.array(dataset.ids, dtype=np.str_),
            "tasks": np.array(dataset.tasks, dtype=np.str_),
        }
        if self.search == "approximate":
            state |= lists(state["points"], self.seed)
        if self.texts:
            state["texts"] = np.array(dataset.texts, dtype=np.str_)
        return state

    def prepare(self, learned: Arrays) -> _Learned:
        """Return where to search, and the outcomes packed so that one product sums them."""
        points = learned["points"]
        found = near(learned, self.probes) if "lists" in learned else None
        return _Learned(
            centre=learned["centre"],
            search=found or (lambda queries, k: nearest(queries, points, k)),
            rows=len(points),
            outcomes=Outcomes.of(learned),
        )

    def predict(
        self, learned: _Learned, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return the shrunk mean and its standard error, (n, m) each."""
        outcomes = learned.outcomes
        shape = len(queries), len(outcomes.mean)
        mean, std = np.empty(shape), np.empty(shape)
        gathered = min(self.k, learned.rows) * outcomes.packed.shape[1]
        block = max(1, min(_BLOCK, _CELLS // gathered))
        for start in range(0, len(queries), block):
            rows = slice(start, start + block)
            found, similarity = learned.search(unit(embeddings[rows], learned.centre), self.k)
            mean[rows], std[rows] = outcomes.estimate(
                found, similarity, self.shrinkage, self.temperature
            )
        return mean, std

    def examples(self, query: Query, embedding: Floats, limit: int = 5) -> list[Mapping[str, Any]]:
        """Return the training queries nearest to *query* and what each model scored on them."""
        state = self.state()
        found, similarity = self._learned.search(unit(embedding[None, :], state["centre"]), limit)
        order = np.argsort(-similarity[0], kind="stable")
        examples: list[Mapping[str, Any]] = []
        for row, near_by in zip(found[0][order], similarity[0][order], strict=True):
            example: dict[str, Any] = {"id": str(state["ids"][row]), "similarity": float(near_by)}
            if state["tasks"][row]:
                example["task"] = str(state["tasks"][row])
            if "texts" in state:
                example["text"] = str(state["texts"][row])
            example["quality"] = {
                str(model): None if np.isnan(value) else float(value)
                for model, value in zip(state["models"], state["values"][row], strict=False)
            }
            examples.append(example)
        return examples
