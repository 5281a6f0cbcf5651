"""Score models by how likely each is good enough in place of the best one."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, DatasetError, Floats, Query
from llmrouter_core.learning import LearnedScorer

from llmrouter_plugin_hybrid_llm.gap import Gaps
from llmrouter_plugin_hybrid_llm.labels import Kind, labels


@define(eq=False, kw_only=True)
class HybridLlmScorer(LearnedScorer):
    """Regress, for each model, whether it is good enough in place of the large one.

    Hybrid LLM (Ding et al. 2024, arXiv 2404.14618) labels a query by its gap `H = y_small -
    y_large` and asks the small model where the predicted label p reaches a threshold. Here every
    model is the small one in turn, and p, a ridge regression on the embedding, says what quality
    to expect:

        quality_m = quality_large + a_m + b_m p_m

    with *a* and *b* from the regression of H on the label. Raw predictions are then calibrated
    as in every scorer that learns. The standard error is that of both ridge regressions.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        labels: `probabilistic`, `deterministic` or `transformed`; see `labels.labels`.
        tau: How large a gap is, in quality, for *probabilistic* labels to be sure of it.
        large: The model that all are compared with; where empty, the one of the best mean
            quality, of equals the first by name.
    """

    labels: Kind = "probabilistic"
    tau: float = field(default=0.3, validator=[validators.gt(0), validators.lt(math.inf)])
    large: str = ""

    def fit(self, dataset: Dataset) -> Self:
        """Return a scorer that learned from *dataset*, whose queries are embedded.

        Raises:
            NotFitted: There is nothing to learn from.
            DatasetError: None of the targets was recorded, or no quality of *large*.
        """
        known = [
            model
            for model, column in zip(dataset.models, dataset.quality.T, strict=True)
            if not np.isnan(column).all()
        ]
        if self.large and "quality" in self.targets and known and self.large not in known:
            raise DatasetError(
                f"the outcomes tell no quality of model '{self.large}', which scorer "
                f"'{self.name}' is told is the large one; set large to one of {', '.join(known)}"
            )
        return super().fit(dataset)

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the column of the large model, and the regressions of its quality and labels."""
        assert dataset.embeddings is not None
        large = self._large(dataset)
        gap = dataset.quality - dataset.quality[:, [large]]
        label = labels(gap, self.labels, self.tau)
        found = Gaps.fit(dataset.embeddings, dataset.quality, label, large)
        return {"large": np.asarray(large), **found.arrays()}

    def _large(self, dataset: Dataset) -> int:
        """Return the column of the large model: the one that is named, or else the best.

        From each mean its standard error is taken off, with the spread of all outcomes, so that
        one lucky answer makes none large; of models asked equally often the best mean wins. A
        named model that was asked nothing, as may be in a fold, leaves it to the best.
        """
        known = ~np.isnan(dataset.quality)
        if self.large and known[:, dataset.models.index(self.large)].any():
            return dataset.models.index(self.large)
        count = known.sum(axis=0)
        asked = [j for j in range(len(count)) if count[j]] or list(range(len(count)))
        total = np.where(known, dataset.quality, 0.0).sum(axis=0)
        spread = float(np.std(dataset.quality[known])) if known.any() else 0.0
        often = np.maximum(count, 1)
        least = np.round(total / often - spread / np.sqrt(often), 9)  # equal but for rounding
        return min(asked, key=lambda j: (-least[j], dataset.models[j]))

    def prepare(self, learned: Arrays) -> Gaps:
        """Return the regressions that *learned* holds."""
        return Gaps.of(learned)

    def predict(
        self, learned: Gaps, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return expected quality and its standard error, (n, m) each."""
        return learned.estimate(embeddings)

    def notes(self) -> list[str]:
        """Return what is worth knowing of what was learned, as sentences; none before training."""
        notes = super().notes()
        if "large" not in self._state:
            return notes
        large = str(self._state["models"][int(self._state["large"])])
        return [*notes, f"scorer '{self.name}': every model is compared with '{large}'"]
