"""The members of a stack: what each says of queries, and of queries that were held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Dataset, DatasetError, Floats, Ints, Model, Query, Trainable
from llmrouter_core.learning import LearnedScorer, held_out

from llmrouter_plugin_stack.familiarity import FEATURES, Familiarity

Tell: TypeAlias = Callable[[Sequence[Query], Floats], tuple[Floats, Floats | None]]
"""From queries and embeddings to predictions and their standard errors, (n, m) each."""


def scales(members: Mapping[str, Any]) -> list[str]:
    """Return the scale on which each member predicts."""
    return [getattr(member, "scale", "probability") for member in members.values()]


@frozen(eq=False)
class Panel:
    """Fitted members.

    Attributes:
        tells: What each member says; None for one whose word does not count.
        m: How many models they know.
        states: What each member learned, by its name.
    """

    tells: tuple[Tell | None, ...]
    m: int
    states: Mapping[str, Arrays]

    @classmethod
    def fit(cls, members: Mapping[str, Any], dataset: Dataset) -> Panel:
        """Return the members, having learned from *dataset*."""
        tells, states = [], {}
        for name, member in members.items():
            if isinstance(member, LearnedScorer):
                states[name] = member.learn(dataset)
            elif isinstance(member, Trainable):
                states[name] = member.fit(dataset).state()
            else:
                states[name] = {}
            tells.append(_tell(member, states[name], dataset.models))
        return cls(tuple(tells), len(dataset.models), states)

    @classmethod
    def of(cls, members: Mapping[str, Any], state: Arrays, used: Sequence[bool]) -> Panel:
        """Return the members that *state* holds; those not *used* are never asked."""
        models = tuple(state["stacked"].tolist())
        states = {
            name: {
                key.removeprefix(f"{name}."): array
                for key, array in state.items()
                if key.startswith(f"{name}.")
            }
            for name in members
        }
        tells = [
            _tell(member, states[name], models) if use else None
            for (name, member), use in zip(members.items(), used, strict=True)
        ]
        return cls(tuple(tells), len(models), states)

    def predict(self, queries: Sequence[Query], embeddings: Floats) -> tuple[Floats, Floats]:
        """Return predictions and standard errors of the k members, (k, n, m) each.

        A standard error that a member does not state is NaN; so is all of an unused member.
        """
        shape = (len(self.tells), len(queries), self.m)
        values, std = np.zeros(shape), np.full(shape, np.nan)
        for place, tell in enumerate(self.tells):
            if tell is not None:
                values[place], error = tell(queries, embeddings)
                if error is not None:
                    std[place] = error
        return values, std

    def arrays(self) -> dict[str, Any]:
        """Return what the members learned, each name after the member's and a full stop."""
        return {
            f"{name}.{key}": array
            for name, state in self.states.items()
            for key, array in state.items()
        }


def _tell(member: Any, state: Arrays, models: Sequence[str]) -> Tell:
    """Return what *member*, which learned *state*, says."""
    if isinstance(member, LearnedScorer):
        ready = member.prepare(state)

        def tell(queries: Sequence[Query], embeddings: Floats) -> tuple[Floats, Floats | None]:
            found = member.predict(ready, queries, embeddings)
            return found if isinstance(found, tuple) else (found, None)

        return tell
    fitted: Any = member.restore(state) if isinstance(member, Trainable) else member
    pool = [Model(name=name) for name in models]
    wanted = [name for name in ("queries", "models", "embeddings") if name in _arguments(fitted)]

    def ask(queries: Sequence[Query], embeddings: Floats) -> tuple[Floats, Floats | None]:
        offered = {"queries": queries, "models": pool, "embeddings": embeddings}
        found = fitted.score(**{name: offered[name] for name in wanted})
        scores = found[0] if isinstance(found, tuple) else found
        if scores is None:  # it says nothing of these queries
            return np.full((len(queries), len(pool)), 0.5), None
        return np.nan_to_num(scores.values, nan=0.5, neginf=0.0), scores.std

    return ask


def _arguments(member: Any) -> Sequence[str]:
    from inspect import signature

    return tuple(signature(member.score).parameters)


@frozen(kw_only=True, eq=False)
class Told:
    """What members said of queries that were held out.

    Attributes:
        values: Predictions, (k, h, m).
        std: Their standard errors, (k, h, m); NaN where not stated.
        features: How familiar each query was to those that were learned from, (h, f).
        quality: Outcomes, (h, m).
    """

    values: Floats
    std: Floats
    features: Floats
    quality: Floats


def cross_fitted(
    members: Mapping[str, Any], dataset: Dataset, fold: Ints | None, folds: int, seed: int
) -> Told:
    """Return what *members* say of queries of *dataset* that they did not learn from.

    Args:
        members: The scorers, untrained.
        dataset: Embedded outcomes.
        fold: The fold of each query, (n,); drawn by group where None.
        folds: How many folds.
        seed: Seed of the folds.

    Raises:
        DatasetError: The queries are of a single group, so none can be held out.
    """
    k, m = len(members), len(dataset.models)

    def learn(part: Dataset) -> Callable[[Dataset], Floats]:
        panel, familiarity = Panel.fit(members, part), Familiarity.fit(part, seed)

        def predict(asked: Dataset) -> Floats:
            assert asked.embeddings is not None
            values, std = panel.predict(asked.queries, asked.embeddings)
            flat = [np.moveaxis(one, 1, 0).reshape(len(asked), -1) for one in (values, std)]
            return np.hstack([*flat, familiarity.features(asked.embeddings)])

        return predict

    def nothing(asked: Dataset) -> Floats:
        return np.zeros((len(asked), 2 * k * m + FEATURES))

    held = held_out(learn, dataset, nothing, folds, seed, fold=fold)
    if not len(held.rows):
        raise DatasetError(
            "all queries are of one group, so a stack cannot hold any out; give queries of "
            "several groups, or use one of its members alone"
        )
    values, std, features = np.split(held.values, [k * m, 2 * k * m], axis=1)
    shape = (len(held.rows), k, m)
    return Told(
        values=np.moveaxis(values.reshape(shape), 0, 1),
        std=np.moveaxis(std.reshape(shape), 0, 1),
        features=features,
        quality=dataset.quality[held.rows],
    )
