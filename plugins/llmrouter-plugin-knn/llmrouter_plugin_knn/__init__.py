"""Score models by how they did on the k most similar queries."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from attrs import define, evolve, field, validators
from llmrouter_core import (
    Arrays,
    Dataset,
    DatasetError,
    Floats,
    Model,
    NotFitted,
    Query,
    Scores,
    hookimpl,
)

from llmrouter_plugin_knn.neighbours import nearest, unit
from llmrouter_plugin_knn.regression import Outcomes, moments

_TARGETS = ("quality", "output_tokens", "latency", "cost")
_BLOCK = 256  # queries compared with all training queries at a time, at most
_CELLS = 1 << 23  # outcomes of neighbours looked at at a time, which bounds the memory: 32 MiB


@define(eq=False, kw_only=True)
class KnnScorer:
    """k nearest neighbour regression of every model's outcome, shrunk to the model's mean.

    The estimate is `(sum_i w_i y_i + s * mean) / (sum_i w_i + s)` over the k training queries
    nearest by cosine whose outcome y_i is known, with `w_i = exp((sim_i - max sim) / t)`. It is
    the kNN regression that Li (2025, arXiv 2505.12601) finds hard to beat, with shrinkage.
    Embeddings are centred on the training mean first: what all queries share says nothing.

    The standard error is the weighted standard deviation over the root of the effective number of
    neighbours; the mean counts as *s* of them.

    Attributes:
        name: Name of the score that predicts quality; other targets go by their own names.
        k: How many neighbours vote.
        shrinkage: *s*: weight of the model's mean, in nearest neighbours.
        temperature: *t*: how fast votes fade with distance; small trusts only the nearest.
        targets: What is predicted, of quality, output_tokens, latency and cost; a target without
            any training outcome is left out.
        texts: Whether the texts of the training queries are kept, to be shown as examples. They
            are then part of the artefacts.
    """

    name: str = "quality"
    k: int = field(default=100, validator=validators.ge(1))
    shrinkage: float = field(default=5.0, validator=[validators.gt(0), validators.lt(math.inf)])
    temperature: float = field(default=0.15, validator=[validators.gt(0), validators.lt(math.inf)])
    targets: tuple[str, ...] = field(
        default=("quality", "output_tokens", "latency"),
        validator=[
            validators.min_len(1),
            validators.deep_iterable(validators.in_(_TARGETS)),
        ],
    )
    texts: bool = False
    _state: Arrays = field(init=False, factory=dict, repr=False)
    _outcomes: Outcomes = field(init=False, repr=False)

    @hookimpl
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> tuple[Scores, ...]:
        """Return what is predicted for each target, (n, m) each."""
        state, targets = self._learned(), self._outcomes.targets
        shape = (len(queries), *self._outcomes.shape)
        mean, std = np.empty(shape), np.empty(shape)
        gathered = min(self.k, len(state["points"])) * self._outcomes.packed.shape[1]
        block = max(1, min(_BLOCK, _CELLS // gathered))
        for start in range(0, len(queries), block):
            rows = slice(start, start + block)
            found, similarity = nearest(
                unit(embeddings[rows], state["centre"]), state["points"], self.k
            )
            mean[rows], std[rows] = self._outcomes.estimate(
                found, similarity, self.shrinkage, self.temperature
            )
        columns = self._columns(models)
        if columns != list(range(shape[2])):
            mean, std = mean[:, :, columns], std[:, :, columns]
        return tuple(
            Scores(self.name if target == "quality" else target, mean[:, t], std[:, t])
            for t, target in enumerate(targets)
        )

    def examples(self, query: Query, embedding: Floats, limit: int = 5) -> list[Mapping[str, Any]]:
        """Return the training queries nearest to *query* and what each model scored on them."""
        state = self._learned()
        found, similarity = nearest(
            unit(embedding[None, :], state["centre"]), state["points"], limit
        )
        order = np.argsort(-similarity[0], kind="stable")
        examples: list[Mapping[str, Any]] = []
        for row, near in zip(found[0][order], similarity[0][order], strict=True):
            example: dict[str, Any] = {"id": str(state["ids"][row]), "similarity": float(near)}
            if state["tasks"][row]:
                example["task"] = str(state["tasks"][row])
            if "texts" in state:
                example["text"] = str(state["texts"][row])
            outcomes = zip(state["models"].tolist(), state["values"][row, 0], strict=True)
            example[state["targets"][0].item()] = {
                model: None if np.isnan(value) else float(value) for model, value in outcomes
            }
            examples.append(example)
        return examples

    def fit(self, dataset: Dataset) -> Self:
        """Return a scorer that remembers *dataset*, whose embeddings are (n, d)."""
        if dataset.embeddings is None or not len(dataset):
            raise NotFitted(f"scorer '{self.name}' needs embedded queries to learn from")
        targets = [t for t in self.targets if not np.isnan(getattr(dataset, t)).all()]
        if not targets:
            raise DatasetError(
                f"the outcomes have no {' and no '.join(self.targets)}, which scorer "
                f"'{self.name}' is to predict; record it, or change its targets"
            )
        values = np.stack([getattr(dataset, target) for target in targets], axis=1)  # (n, t, m)
        centre = dataset.embeddings.mean(axis=0)
        mean, variance = moments(values)
        state = {
            "points": unit(dataset.embeddings, centre),
            "centre": centre,
            "values": values.astype(np.float32),
            "mean": mean,
            "variance": variance,
            "targets": np.array(targets, dtype=np.str_),
            "models": np.array(dataset.models, dtype=np.str_),
            "ids": np.array(dataset.ids, dtype=np.str_),
            "tasks": np.array(dataset.tasks, dtype=np.str_),
        }
        if self.texts:
            state["texts"] = np.array([query.text for query in dataset.queries], dtype=np.str_)
        return self.restore(state)

    def state(self) -> Arrays:
        """Return the centred points (n, d), the outcomes (n, t, m) and their moments (t, m)."""
        return self._learned()

    def restore(self, state: Arrays) -> Self:
        """Return a scorer that remembers *state*."""
        fitted = evolve(self)
        fitted._state = dict(state)
        fitted._outcomes = Outcomes.of(state)
        return fitted

    def _learned(self) -> Arrays:
        if not self._state:
            raise NotFitted(
                f"scorer '{self.name}' (knn) has not been trained; "
                "train it: llmrouter train router.toml outcomes.jsonl"
            )
        return self._state

    def _columns(self, models: Sequence[Model]) -> list[int]:
        """Return the column of each of *models* among those that were learned."""
        known = self._outcomes.columns
        missing = [model.name for model in models if model.name not in known]
        if missing:
            raise NotFitted(
                f"scorer '{self.name}' (knn) learned {', '.join(known)} but not "
                f"{', '.join(missing)}; train again, or take them out of the pool"
            )
        return [known[model.name] for model in models]
