"""Score models by small neural networks with one output per model."""

from collections.abc import Sequence

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Arrays, Dataset, Floats, Query
from llmrouter_core.learning import LearnedScorer
from llmrouter_core.splitting import folds

from llmrouter_plugin_mlp.network import Network
from llmrouter_plugin_mlp.training import Settings, train

_PARTS = 5  # of the queries, one of which each member keeps to see when to stop


@define(eq=False, kw_only=True)
class MlpScorer(LearnedScorer):
    """Networks of one hidden layer and a sigmoid output per model, of which the mean is taken.

        quality_m = mean over members of sigmoid(a_m + v_m' relu(W u + b))

    with *u* the embedding, centred and of length sqrt(d). Every output learns the fractional
    quality of its model by cross-entropy over the known outcomes. Members differ by their random
    start and by the part of the queries on which they see when to stop; the standard error is
    the standard deviation between them (deep ensembles: Lakshminarayanan et al. 2017, arXiv
    1612.01474). One member alone has that of the jackknife over folds.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        hidden: Width of the hidden layer.
        members: How many networks there are.
        dropout: Share of the hidden layer that is silent at each step of the training.
        rate: Step size of Adam.
        epochs: How often the queries are gone through at most.
        patience: After so many epochs in which no member got better, training ends.
    """

    hidden: int = field(default=64, validator=[validators.ge(1), validators.le(1024)])
    members: int = field(default=5, validator=[validators.ge(1), validators.le(50)])
    dropout: float = field(default=0.3, validator=[validators.ge(0), validators.lt(1)])
    rate: float = field(default=2e-3, validator=[validators.gt(0), validators.le(1)])
    epochs: int = field(default=40, validator=validators.ge(1))
    patience: int = field(default=3, validator=validators.ge(1))

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the weights of the networks: (e, d, h) and (e, h, m), with their biases."""
        assert dataset.embeddings is not None
        columns = np.argsort(dataset.models)
        quality = dataset.quality[:, columns]
        # By content, not by place: the order of rows and columns decides nothing.
        keys = [
            (x.tobytes(), y.tobytes(), text)
            for x, y, text in zip(dataset.embeddings, quality, dataset.texts, strict=True)
        ]
        rows = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
        part = folds(zip(dataset.groups, dataset.texts, strict=True), _PARTS, self.seed)[rows]
        settings = Settings(
            hidden=self.hidden,
            dropout=self.dropout,
            rate=self.rate,
            epochs=self.epochs,
            patience=self.patience,
        )
        kept = np.stack([part == member % _PARTS for member in range(self.members)])
        network = train(dataset.embeddings[rows], quality[rows], kept, settings, self.seed)
        return network.columns(np.argsort(columns)).arrays()

    def prepare(self, learned: Arrays) -> Network:
        """Return the networks that *learned* holds."""
        return Network.of(learned)

    def predict(
        self, learned: Network, queries: Sequence[Query], embeddings: Floats
    ) -> Floats | tuple[Floats, Floats]:
        """Return expected quality and the standard deviation between members, (n, m) each."""
        said = learned.values(embeddings)
        mean: Floats = said.mean(axis=0)
        return mean if len(said) == 1 else (mean, said.std(axis=0, ddof=1))
