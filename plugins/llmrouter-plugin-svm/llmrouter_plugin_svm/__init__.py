"""Score models by support vector machines on the embedding, one per model."""

from collections.abc import Sequence

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer

from llmrouter_plugin_svm.landmarks import Landmarks
from llmrouter_plugin_svm.machines import regressions


@define(eq=False, kw_only=True)
class SvmScorer(LearnedScorer):
    """Support vector regression of every model's quality, with a radial kernel.

        quality_m = a_m + sum over landmarks z of w_zm * exp(-width * |u - z|^2)

    with *u* the embedding, centred and of length one. The machines are linear in Nystroem
    features (Williams & Seeger 2000) of the landmarks, so that a decision costs as much however
    many queries were learned from. One machine learns what a query has in common for all models,
    and one per model what is left; the loss of both is the squared one beyond *tube* (Drucker et
    al. 1996). Gaps are left out. Without a standard error of its own, the scorer has that of the
    jackknife over folds.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        landmarks: How many landmarks there are at most.
        width: *width* of the kernel; greater is narrower.
        tube: Errors of quality up to this one cost nothing.
    """

    landmarks: int = field(default=384, validator=[validators.ge(1), validators.le(4096)])
    width: float = field(default=2.0, validator=[validators.gt(0), validators.le(100)])
    tube: float = field(default=0.05, validator=[validators.ge(0), validators.lt(0.5)])

    def learn(self, dataset: Dataset) -> Arrays:
        """Return landmarks (l, d), their weights (l, m) and the intercepts (m,)."""
        assert dataset.embeddings is not None
        columns = np.argsort(dataset.models)
        quality = dataset.quality[:, columns]
        # By content, not by place: the order of rows and columns decides nothing.
        keys = [
            (x.tobytes(), y.tobytes()) for x, y in zip(dataset.embeddings, quality, strict=True)
        ]
        rows = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
        embeddings = dataset.embeddings[rows]
        found = Landmarks.fit(embeddings, self.landmarks, self.width, self.seed)
        slopes, intercepts = regressions(found.features(embeddings), quality[rows], self.tube)
        back = np.argsort(columns)
        return {
            **found.arrays(),
            "weights": (found.whitening @ slopes[:, back]).astype(np.float32),
            "intercepts": intercepts[back],
        }

    def prepare(self, learned: Arrays) -> tuple[Landmarks, Floats, Floats]:
        """Return landmarks, weights and intercepts."""
        return Landmarks.of(learned), learned["weights"], learned["intercepts"]

    def predict(
        self,
        learned: tuple[Landmarks, Floats, Floats],
        queries: Sequence[Query],
        embeddings: Floats,
    ) -> Floats:
        """Return expected quality, (n, m)."""
        landmarks, weights, intercepts = learned
        found: Floats = landmarks.kernel(embeddings) @ weights + intercepts
        return found
