"""Score models by a factorisation that learns from pairs which model does better."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer


@define(eq=False, kw_only=True)
class MfScorer(LearnedScorer):
    """A bilinear score of query and model, `s_m(x) = b_m + v_m' W (x - centre)`, of low rank.

    It is the form of RouteLLM's matrix factorisation (Ong et al. 2024, arXiv 2406.18665) and of
    EmbedLLM (Zhuang et al. 2024, arXiv 2410.02223). *pairwise* fits differences between models
    asked the same query,

        min sum_q sum_ij ((y_qi - y_qj) - (s_i - s_j))^2

    which is a regression of the scores from which each query's mean was taken; ties are
    differences of zero, and what all models share of a query is regressed beside it. *score* fits
    the scores themselves. Both are reduced-rank ridge regressions (Izenman 1975), in closed form:
    the ridge solution, projected on the directions in which its fit varies most.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        loss: What is fitted: `pairwise` or `score`.
        rank: Length of a model's vector *v*.
        strength: Strength of the penalty on the slopes.
    """

    loss: Literal["pairwise", "score"] = "pairwise"
    rank: int = field(default=4, validator=validators.ge(1))
    strength: float = field(default=30.0, validator=[validators.ge(1e-6), validators.lt(math.inf)])

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the models' vectors (r, m), the projection (d, r), and what all share, (d,)."""
        assert dataset.embeddings is not None
        centre = dataset.embeddings.mean(axis=0)
        x = (dataset.embeddings - centre).astype(np.float64)
        known = ~np.isnan(dataset.quality)
        filled = np.where(known, dataset.quality, 0.0)
        seen = known.sum(axis=0)
        overall = filled.sum() / max(int(seen.sum()), 1)
        bias = np.where(seen > 0, filled.sum(axis=0) / np.maximum(seen, 1), overall)
        away = np.where(known, dataset.quality - bias, 0.0)
        asked = np.maximum(known.sum(axis=1, keepdims=True), 1)
        common = away.sum(axis=1, keepdims=True) / asked  # (n, 1)
        target = away - common if self.loss == "pairwise" else away
        target = np.where(known, target, 0.0)
        gram = x.T @ x + self.strength * np.eye(x.shape[1])
        slopes = np.linalg.solve(gram, x.T @ np.hstack([target, common]))
        own, shared = slopes[:, :-1], slopes[:, -1]
        if self.loss == "score":
            shared = np.zeros_like(shared)
        fitted = x @ own
        _, directions = np.linalg.eigh(fitted.T @ fitted)
        vectors = directions[:, ::-1][:, : self.rank]  # (m, r)
        return {
            "centre": centre,
            "bias": bias,
            "vectors": vectors.T,
            "projection": (own @ vectors).astype(np.float32),
            "shared": shared.astype(np.float32),
        }

    def predict(self, learned: Arrays, queries: Sequence[Query], embeddings: Floats) -> Floats:
        """Return the scores, (n, m)."""
        x = embeddings - learned["centre"]
        found: Floats = learned["bias"] + (x @ learned["projection"]) @ learned["vectors"]
        return found + (x @ learned["shared"])[:, None]
