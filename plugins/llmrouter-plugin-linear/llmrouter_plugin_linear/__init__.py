"""Score models by a linear regression of their quality on the embedding."""

from collections.abc import Sequence
from typing import Literal

from attrs import define
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer, Ridge

from llmrouter_plugin_linear.logistic import Logistic


@define(eq=False, kw_only=True)
class LinearScorer(LearnedScorer):
    """One linear model per candidate over the embedding of the query.

    *squared* is ridge regression, `quality_m = mean_m + (x - centre)' b_m` (Hoerl & Kennard 1970),
    the plug-in estimate of CARROT (Somerstep et al. 2025, arXiv 2502.03261) at its simplest;
    *logistic* is `quality_m = sigmoid(a_m + (x - centre)' b_m)` with fractional targets. The
    strength of the penalty is shared by all models and chosen by leaving one query out.

    The standard error is that of the regression, `noise_m * sqrt(1/n + (x - centre)' G (x -
    centre))` with `G = (X'X + strength)^-1`, exact along the 64 widest directions of the
    embeddings.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        loss: What is minimised: `squared` or `logistic`.
    """

    loss: Literal["squared", "logistic"] = "squared"

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the regression of quality (n, m) on embeddings (n, d)."""
        assert dataset.embeddings is not None
        ridge = Ridge.fit(dataset.embeddings, dataset.quality)
        if self.loss == "squared":
            return ridge.arrays()
        return Logistic.fit(dataset.embeddings, dataset.quality, ridge).arrays()

    def prepare(self, learned: Arrays) -> Ridge | Logistic:
        """Return the regression that *learned* holds."""
        return Logistic.of(learned) if "intercepts" in learned else Ridge.of(learned)

    def predict(
        self, learned: Ridge | Logistic, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return expected quality and its standard error, (n, m) each."""
        return learned.estimate(embeddings)
