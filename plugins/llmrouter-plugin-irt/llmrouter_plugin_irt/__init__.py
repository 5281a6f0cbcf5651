"""Score models by item response theory: abilities of models, demands of queries."""

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from attrs import define, field, frozen, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import Calibration, LearnedScorer
from llmrouter_core.learning.calibration import Scale

from llmrouter_plugin_irt.newcomers import Newcomers
from llmrouter_plugin_irt.responses import Responses

_EDGE = 1e-6


@frozen(kw_only=True, eq=False)
class _Learned:
    """What is computed once when a state is restored."""

    responses: Responses
    newcomers: Newcomers


@define(eq=False, kw_only=True)
class IrtScorer(LearnedScorer):
    """The probability that a model of some abilities meets the demands of a query.

    Multidimensional two-parameter logistic item response (Reckase 2009, Multidimensional Item
    Response Theory),

        P(model m answers x well) = sigmoid(a(x)' theta_m + d_m - b(x))

    whose demands *a* and difficulty *b* are linear in the embedding of the query, as in IRT-Router
    (Song et al. 2025, arXiv 2506.01048). All has Gaussian priors; outcomes between 0 and 1 count
    as fractions of a success.

    A model that joins later gets its ability, `theta` and `d`, from a few answers, and nothing
    else is learned anew: see `joined`.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        dimensions: How many abilities a model has, k.
        directions: How many principal directions of the embeddings are looked at.
    """

    scale: ClassVar[Scale] = "margin"

    dimensions: int = field(default=2, validator=validators.ge(1))
    directions: int = field(default=256, validator=validators.ge(1))

    def learn(self, dataset: Dataset) -> Arrays:
        """Return abilities (m, k), levels (m,), and slopes of demands (d, k) and difficulty."""
        assert dataset.embeddings is not None
        return Responses.fit(
            dataset.embeddings, dataset.quality, self.dimensions, self.directions
        ).arrays()

    def prepare(self, learned: Arrays) -> _Learned:
        """Return the responses that *learned* holds, and the models that joined."""
        return _Learned(responses=Responses.of(learned), newcomers=Newcomers.of(learned))

    def predict(self, learned: _Learned, queries: Sequence[Query], embeddings: Floats) -> Floats:
        """Return the logits of the models that were learned, (n, m)."""
        return learned.responses.logits(embeddings)

    def estimate(self, queries: Sequence[Query], embeddings: Floats) -> tuple[Floats, Floats]:
        """Return expected quality and standard error for all models it knows, (n, m + j) each.

        The j models that joined follow the m that were learned, whose estimates stay as they
        were.
        """
        values, std = super().estimate(queries, embeddings)
        learned: _Learned = self._learned
        m = len(learned.responses.levels)
        if not len(learned.newcomers.abilities):
            return values, std
        known, spread = values[:, :m], std[:, :m]
        more, error = learned.newcomers.predict(
            learned.responses.demands(embeddings) * self._slope(), _mean_logit(known)
        )
        error = np.sqrt(np.square(error) + np.square(spread.mean(axis=1, keepdims=True)))
        return np.hstack([known, more]), np.hstack([spread, error])

    def joined(self, dataset: Dataset, name: str) -> Self:
        """Return a scorer that knows the model *name* too, from its outcomes in *dataset*.

        Its ability z = (theta, d) is the most likely one given its answers,

            max  sum_q log P(y_q | x_q, z) + log N(z | mean and covariance of the known models)

        where demands and difficulty, as calibrated, stay as they are. Its amounts are those of
        `LearnedScorer.joined`.

        Args:
            dataset: Embedded queries with outcomes of the new model.
            name: The new model.

        Raises:
            NotFitted: It was not trained.
            DatasetError: The new model has no outcome there, or is known already.
        """
        state = dict(super().joined(dataset, name).state())
        if "calibration_kind" in state:
            assert dataset.embeddings is not None
            outcome = dataset.quality[:, dataset.models.index(name)]
            answered = np.flatnonzero(~np.isnan(outcome))
            embeddings = dataset.embeddings[answered]
            queries = [dataset.queries[row] for row in answered.tolist()]
            learned: _Learned = self._learned
            m = len(learned.responses.levels)
            state |= learned.newcomers.with_model(
                learned.responses.demands(embeddings) * self._slope(),
                _mean_logit(self.estimate(queries, embeddings)[0][:, :m]),
                outcome[answered],
                self._abilities(),
            ).arrays()
        return self.restore(state)

    def _slope(self) -> float:
        """Return by how much held-out queries shrank what tells models apart."""
        assert self._calibrated is not None
        return float(self._calibrated.slopes[1])

    def _abilities(self) -> Floats:
        """Return ability and calibrated level, from the mean, of each learned model, (m, k + 1).

        Calibration keeps the form, logit_m = mean(x) + slope * a(x)' theta_m + level_m, because
        abilities have mean zero.
        """
        calibrated: Calibration | None = self._calibrated
        assert calibrated is not None
        responses: Responses = self._learned.responses
        level = calibrated.intercepts + self._slope() * (responses.levels - calibrated.centre)
        return np.column_stack([responses.abilities, level - level.mean()])


def _mean_logit(values: Floats) -> Floats:
    inside = np.clip(values, _EDGE, 1 - _EDGE)
    found: Floats = np.log(inside / (1 - inside)).mean(axis=1)
    return found
