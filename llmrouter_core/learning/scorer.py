"""What every scorer that learns from outcomes is, but for its algorithm."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from attrs import define, evolve, field, validators

from llmrouter_core.dataset import Dataset
from llmrouter_core.errors import DatasetError, NotFitted
from llmrouter_core.hooks import hookimpl
from llmrouter_core.learning.amounts import AMOUNTS, Amounts
from llmrouter_core.learning.calibration import Calibration, Kind, Scale
from llmrouter_core.learning.holding import held_out
from llmrouter_core.learning.joining import Joined
from llmrouter_core.types import Arrays, Floats, Model, Query, Scores

TARGETS = ("quality", *AMOUNTS)


@define(eq=False, kw_only=True)
class LearnedScorer:
    """A scorer that regresses every model's outcomes; a house adds `learn` and `predict`.

    `learn` returns what its algorithm learned as arrays, `predict` what these say of queries. The
    rest is the same in every house: the options below, the columns of the pool, calibration on
    held-out folds, standard errors, amounts, and state.

    Attributes:
        name: Name of the score that predicts quality; amounts go by their own names.
        calibration: How raw predictions become expected qualities, learned on held-out folds:
            `platt`, `isotonic` or `none`.
        folds: How many folds are held out in turn.
        targets: What is predicted: `quality`, and of `output_tokens`, `latency` and `cost` those
            that were recorded.
        seed: Seed of everything random.
    """

    scale: ClassVar[Scale] = "probability"
    """Scale of what `predict` says: expected qualities, or margins of any size."""

    name: str = "quality"
    calibration: Kind = "platt"
    folds: int = field(default=5, validator=[validators.ge(2), validators.le(100)])
    targets: tuple[str, ...] = field(
        default=("quality", "output_tokens", "latency"),
        validator=[validators.min_len(1), validators.deep_iterable(validators.in_(TARGETS))],
    )
    seed: int = field(default=0, validator=validators.ge(0))
    _state: Arrays = field(init=False, factory=dict, repr=False)
    _learned: Any = field(init=False, default=None, repr=False)
    _columns: Mapping[str, int] = field(init=False, factory=dict, repr=False)
    _calibrated: Calibration | None = field(init=False, default=None, repr=False)
    _amounts: Amounts | None = field(init=False, default=None, repr=False)
    _joined: Joined | None = field(init=False, default=None, repr=False)
    _pool: tuple[Sequence[Model], list[int]] | None = field(init=False, default=None, repr=False)

    # ------------------------------------------------------------------ what a house adds

    def learn(self, dataset: Dataset) -> Arrays:
        """Return what the algorithm learns from *dataset*, as arrays of numbers or text.

        Args:
            dataset: Embeddings (n, d), quality (n, m) with NaN for gaps; a model may have no
                outcome at all in it, because folds are taken from it.
        """
        raise NotImplementedError

    def prepare(self, learned: Arrays) -> Any:
        """Return *learned* as `predict` likes it: computed once, when it is restored."""
        return learned

    def predict(
        self, learned: Any, queries: Sequence[Query], embeddings: Floats
    ) -> Floats | tuple[Floats, Floats]:
        """Return a finite raw prediction for each learned model, (n, m), and its standard error.

        Without a standard error of its own, the scorer gets that of the jackknife over folds.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ scoring

    @hookimpl
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> tuple[Scores, ...]:
        """Return what is predicted for each target, (n, m) each.

        Raises:
            NotFitted: It was not trained, or not for one of *models*.
        """
        pool = self._pool
        if pool is None or pool[0] is not models:  # the same at every decision of a router
            self._known()
            pool = self._pool = models, self._places(models)
        columns = pool[1]
        found = []
        if "quality" in self.targets:
            found.append((self.name, *self.estimate(queries, embeddings)))
        if self._amounts is not None:
            assert self._joined is not None
            for name, values, std in self._amounts.predict(embeddings):
                found.append((name, *self._joined.extend_amounts(name, values, std)))
        if columns == list(range(len(self._columns))):
            return tuple([Scores(*one) for one in found])
        return tuple([Scores(name, v[:, columns], s[:, columns]) for name, v, s in found])

    def estimate(self, queries: Sequence[Query], embeddings: Floats) -> tuple[Floats, Floats]:
        """Return expected quality and standard error for all models it knows, (n, m) each."""
        assert self._calibrated is not None
        assert self._joined is not None
        raw, std = self._raw(self._learned, queries, embeddings)
        if std is None:
            std = np.repeat(self._state["spread"][None], len(raw), axis=0)
        values, error = self._calibrated.apply(raw, std)
        return self._joined.extend(values, std if error is None else error)

    def raw(self, dataset: Dataset) -> Floats:
        """Return the raw predictions for the embedded queries of *dataset*, (n, m)."""
        assert dataset.embeddings is not None
        return self._raw(self._learned, dataset.queries, dataset.embeddings)[0]

    def _raw(
        self, learned: Any, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats | None]:
        found = self.predict(learned, queries, embeddings)
        return found if isinstance(found, tuple) else (found, None)

    # ------------------------------------------------------------------ learning

    def fit(self, dataset: Dataset) -> Self:
        """Return a scorer that learned from *dataset*, whose queries are embedded.

        Raises:
            NotFitted: There is nothing to learn from.
            DatasetError: None of the targets was recorded.
        """
        if dataset.embeddings is None or not len(dataset):
            raise NotFitted(f"scorer '{self.name}' needs embedded queries to learn from")
        recorded = [t for t in self.targets if not np.isnan(getattr(dataset, t)).all()]
        if not recorded:
            raise DatasetError(
                f"the outcomes have no {' and no '.join(self.targets)}, which scorer "
                f"'{self.name}' is to predict; record it, or change its targets"
            )
        amounts = [target for target in recorded if target != "quality"]
        state = {
            "models": np.array(dataset.models, dtype=np.str_),
            **Joined.none(len(dataset.models)).arrays(),
            **Amounts.fit(dataset, amounts).arrays(),
        }
        if "quality" in recorded:
            state |= self._taught(dataset)
        return self.restore(state)

    def _taught(self, dataset: Dataset) -> dict[str, Any]:
        """Return what is learned of quality, calibrated on queries that were held out."""
        learned = dict(self.learn(dataset))
        m = len(dataset.models)
        raw: Floats
        spread: Floats
        if self.calibration == "none" and self.scale == "probability":
            none: Floats = np.zeros((0, m))
            raw, quality, spread = none, none, np.zeros(m)
        else:
            held = held_out(
                lambda part: self._predictor(self.learn(part)),
                dataset,
                self._predictor(learned),
                self.folds,
                self.seed,
            )
            raw, quality, spread = held.values, dataset.quality[held.rows], held.spread
        calibrated = Calibration.fit(self.calibration, self.scale, raw, quality)
        return {**learned, **calibrated.arrays(), "spread": spread}

    def _predictor(self, learned: Arrays) -> Any:
        ready = self.prepare(learned)

        def predict(dataset: Dataset) -> Floats:
            assert dataset.embeddings is not None
            return self._raw(ready, dataset.queries, dataset.embeddings)[0]

        return predict

    def joined(self, dataset: Dataset, name: str) -> Self:
        """Return a scorer that knows the model *name* too, from its outcomes in *dataset*.

        What was learned of the others stays as it is. See `Joined` for the equation.

        Args:
            dataset: Embedded queries with outcomes of the new model on some, the anchors; the
                others say what queries there are, so give all that the anchors were chosen from.
                Outcomes of the other models are used where they are known, else what is
                predicted for them.
            name: The new model.

        Raises:
            NotFitted: It was not trained.
            DatasetError: The new model has no outcome there, or is known already.
        """
        self._known()
        if name in self._columns:
            raise DatasetError(
                f"scorer '{self.name}' knows model '{name}' already; train it again"
            )
        column = {model: j for j, model in enumerate(dataset.models)}
        outcome = (
            dataset.quality[:, column[name]] if name in column else np.full(len(dataset), np.nan)
        )
        if np.isnan(outcome).all():
            raise DatasetError(f"model '{name}' has no outcome to learn from; ask it first")
        assert dataset.embeddings is not None
        assert self._joined is not None
        assert self._amounts is not None
        m = self._joined.weights.shape[1]
        known = np.full((len(dataset), m), 0.5)  # without quality only amounts are of interest
        if self._calibrated is not None:
            known = np.full((len(dataset), m), np.nan)
            for model, j in list(self._columns.items())[:m]:
                if model in column:
                    known[:, j] = dataset.quality[:, column[model]]
            gaps = np.flatnonzero(np.isnan(known).any(axis=1))
            few = dataset.take(gaps)
            if len(gaps):
                expected = self.estimate(few.queries, dataset.embeddings[gaps])[0][:, :m]
                known[gaps] = np.where(np.isnan(known[gaps]), expected, known[gaps])
        taken = {
            target: (getattr(dataset, target)[:, column[name]], values.mean(axis=1))
            for target, values, _ in self._amounts.predict(dataset.embeddings)
        }
        joined = self._joined.with_model(known, outcome, taken)
        state = {**self._state, **joined.arrays()}
        state["models"] = np.array([*self._columns, name], dtype=np.str_)
        return self.restore(state)

    def state(self) -> Arrays:
        """Return what was learned, calibration and amounts included."""
        return self._known()

    def restore(self, state: Arrays) -> Self:
        """Return a scorer that knows *state*."""
        fitted = evolve(self)
        # As they lie in a file: sums of arrays that lie otherwise differ in the last bit.
        state = {key: np.asarray(array, order="C") for key, array in state.items()}
        fitted._state = state
        fitted._columns = {name: j for j, name in enumerate(state["models"].tolist())}
        fitted._joined = Joined.of(state)
        fitted._amounts = Amounts.of(state)
        if "calibration_kind" in state:
            fitted._calibrated = Calibration.of(state)
            fitted._learned = fitted.prepare(state)
        return fitted

    def notes(self) -> list[str]:
        """Return what is worth knowing of what was learned, as sentences; none before training."""
        if self._calibrated is None or not self._calibrated.counts.any():
            return []
        one = self._calibrated
        common, own = (f"{slope:.2f}" for slope in one.slopes)
        told = f"calibrated by {one.kind} on {int(one.counts.max()):,} held-out queries"
        if one.kind == "platt":
            told += f", slopes {common} (all models) and {own} (between models)"
        if not np.isnan(one.before).all():
            before, after = np.nanmean(one.before), np.nanmean(one.after)
            told += f"; Brier score {before:.4f} before, {after:.4f} after"
        return [f"scorer '{self.name}': {told}"]

    # ------------------------------------------------------------------ what it knows

    def _known(self) -> Arrays:
        if not self._state:
            raise NotFitted(
                f"scorer '{self.name}' has not been trained; "
                "train it: llmrouter train router.toml outcomes.jsonl"
            )
        return self._state

    def _places(self, models: Sequence[Model]) -> list[int]:
        """Return the column of each of *models* among those that were learned."""
        missing = [model.name for model in models if model.name not in self._columns]
        if missing:
            raise NotFitted(
                f"scorer '{self.name}' learned {', '.join(self._columns)} but not "
                f"{', '.join(missing)}; train again, or take them out of the pool"
            )
        return [self._columns[model.name] for model in models]
