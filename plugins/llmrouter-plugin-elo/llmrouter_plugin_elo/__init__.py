"""Score models by ratings from comparisons, of all queries or of similar ones."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer
from llmrouter_core.learning.calibration import Scale

from llmrouter_plugin_elo.comparisons import Comparisons
from llmrouter_plugin_elo.levels import fixed
from llmrouter_plugin_elo.local import Near
from llmrouter_plugin_elo.ratings import dispersion, refit

_GLOBAL, _POINTS = 30, 400 / math.log(10)  # steps; points of Elo's scale for a logit
_TOLD = 12  # ratings that the notes list


@define(eq=False, kw_only=True)
class EloScorer(LearnedScorer):
    """Bradley-Terry ratings from all comparisons of models on the same query.

    `P(i beats j) = sigmoid(r_i - r_j)` with `r ~ Normal(0, 1 / prior)`. Every two models that
    were asked the same query are compared, `s_ij = (1 + y_i - y_j) / 2`, so that equal scores
    count half to each side; preferences that users stated are comparisons too.

    *none* gives one rating per model: a fixed ranking, with the standard error of the sandwich
    `H^-1 J H^-1`. *similarity* refits the ratings for each query, as the similarity-weighted
    ranking of RouteLLM does (Ong et al. 2024, arXiv 2406.18665): the comparisons of the k most
    similar queries, weighted by `exp((sim_i - max sim) / t)`, move them away from the ratings of
    all queries, their prior mean.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`; with the weighting `none`, qualities follow from the
            ratings, whatever it is.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        weighting: Whose comparisons count: `similarity` or, all alike, `none`.
        prior: How strongly ratings are pulled to each other, in comparisons with the average.
        k: How many similar queries vote.
        temperature: *t*: how fast votes fade with distance.
        shrinkage: How strongly the ratings of a query are pulled to those of all queries.
    """

    scale: ClassVar[Scale] = "margin"

    weighting: Literal["none", "similarity"] = "similarity"
    prior: float = field(default=1.0, validator=[validators.ge(1e-6), validators.lt(math.inf)])
    k: int = field(default=100, validator=validators.ge(1))
    temperature: float = field(
        default=0.15, validator=[validators.ge(1e-6), validators.lt(math.inf)]
    )
    shrinkage: float = field(default=1.0, validator=[validators.ge(1e-6), validators.lt(math.inf)])

    def learn(self, dataset: Dataset) -> Arrays:
        """Return ratings (m,), their standard errors (m,) and, to refit them, all comparisons."""
        rows = Comparisons.of(dataset)
        start = np.zeros(len(dataset.models))
        found, inverse = refit(rows.wins()[None], start, self.prior, _GLOBAL)
        ratings = found[0] - found[0].mean()
        covariance = dispersion(rows, ratings, inverse[0], self.prior)
        state = {"ratings": ratings, "deviations": np.sqrt(np.diag(covariance).clip(min=0.0))}
        if self.weighting == "similarity":
            naive = float(np.trace(inverse[0])) - 1 / self.prior  # without that of the mean
            excess = float(np.trace(covariance)) / max(naive, 1e-12)
            state |= {"excess": np.array(excess), **Near.learn(dataset, rows)}
        return state

    def prepare(self, learned: Arrays) -> Near | Arrays:
        """Return where similar comparisons are found, or the ratings as they are."""
        return Near.of(learned) if "points" in learned else learned

    def predict(
        self, learned: Near | Arrays, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return the ratings and their standard errors, (n, m) each, in logits."""
        if isinstance(learned, Near):
            return learned.refit(embeddings, self.k, self.temperature, self.shrinkage)
        shape = len(embeddings), len(learned["ratings"])
        return (
            np.broadcast_to(learned["ratings"], shape),
            np.broadcast_to(learned["deviations"], shape),
        )

    def fit(self, dataset: Dataset) -> Self:
        """Return a scorer that learned from *dataset*, whose queries are embedded.

        Raises:
            NotFitted: There is nothing to learn from.
            DatasetError: None of the targets was recorded.
        """
        fitted = super().fit(dataset)
        state = fitted.state()
        if self.weighting == "similarity" or "ratings" not in state:
            return fitted
        # A mean over the queries a model was asked would undo what the comparisons tell.
        return self.restore({**state, **fixed(dataset.quality, state["ratings"])})

    def notes(self) -> list[str]:
        """Return the ratings, best first, beside what is known of the calibration."""
        if not self._state:
            return []
        state = self.state()
        # Qualities that follow from ratings were not calibrated on held-out queries.
        told = super().notes() if self.weighting == "similarity" else []
        if "ratings" not in state:
            return told
        best = np.argsort(-state["ratings"], kind="stable")[:_TOLD]
        listed = [
            f"{state['models'][j]} {1000 + _POINTS * state['ratings'][j]:.0f}"
            f" ± {_POINTS * state['deviations'][j]:.0f}"
            for j in best
        ]
        more = ", …" if len(state["ratings"]) > _TOLD else ""
        return [*told, f"scorer '{self.name}': ratings {', '.join(listed)}{more}"]
