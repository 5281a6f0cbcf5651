"""Score the dollars a call is expected to cost: price times expected tokens."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Self

import numpy as np
from attrs import define, evolve, field, frozen, validators
from llmrouter_core import Arrays, Dataset, Floats, Model, Query, Scores, hookimpl
from llmrouter_core.dataset import means
from llmrouter_core.types import text_of

Found = list[Scores | tuple[Scores, ...] | None]

_LEAST = 0.5
"""Characters a token, below which the tokens are those of messages that were not recorded."""


@frozen(kw_only=True, eq=False)
class _Pool:
    """What is known of the models of a pool, (m,) each.

    Attributes:
        models: The pool.
        lengths: Tokens of an answer of which nothing else is known.
        character: Dollars for a character of the request.
        token: Dollars for a token of the answer.
        cost: Mean cost that was recorded; NaN where none was.
    """

    models: Sequence[Model]
    lengths: Floats
    character: Floats
    token: Floats
    cost: Floats


@define(eq=False, kw_only=True)
class PriceScorer:
    """Predict `(input tokens * input price + output tokens * output price) / 10^6`, in dollars.

    It wraps `score`, so that it can read what the other scorers predict: where one predicts
    `output_tokens` for the query, that length counts; else the model's mean length in the training
    outcomes; else *output_tokens*. Input tokens are the request's characters over the characters
    per token learned for the model, or four. A model without a price is NaN, unless its mean cost
    was recorded.

    Attributes:
        name: Name of the score.
        output_tokens: Length of an answer about which nothing is known.
    """

    name: str = "cost"
    output_tokens: float = field(
        default=256.0, validator=[validators.gt(0), validators.lt(math.inf)]
    )
    _state: Arrays = field(init=False, factory=dict, repr=False)
    _pool: _Pool | None = field(init=False, default=None, repr=False)

    @hookimpl(wrapper=True)
    def score(
        self, queries: Sequence[Query], models: Sequence[Model]
    ) -> Generator[None, Found, Found]:
        """Add the cost, (n, m), to what the other scorers say."""
        found = yield
        return [*found, Scores(self.name, self._cost(queries, models, found))]

    def _cost(self, queries: Sequence[Query], models: Sequence[Model], found: Found) -> Floats:
        pool = self._pool
        if pool is None or pool.models is not models:  # the same at every decision of a router
            pool = self._pool = self._known(models)
        characters = np.array([[_characters(query)] for query in queries]).reshape(-1, 1)  # (n, 1)
        written = _predicted(found, "output_tokens")
        output = (
            pool.lengths if written is None else np.where(np.isnan(written), pool.lengths, written)
        )
        with np.errstate(invalid="ignore"):  # a model vetoed by a length of -inf may be free
            cost = characters * pool.character + output * pool.token  # (n, m)
        return np.where(np.isnan(cost), pool.cost, cost)

    def _known(self, models: Sequence[Model]) -> _Pool:
        """Return what is known of *models*."""
        lengths = self._learned("output_tokens", models)
        per_token = self._learned("characters_per_token", models)
        price = np.array(
            [
                [np.nan, np.nan] if m.price is None else [m.price.input, m.price.output]
                for m in models
            ]
        ).reshape(-1, 2)  # (m, 2)
        return _Pool(
            models=models,
            lengths=np.where(np.isnan(lengths), self.output_tokens, lengths),
            character=price[:, 0] / np.where(np.isnan(per_token), 4.0, per_token) / 1e6,
            token=price[:, 1] / 1e6,
            cost=self._learned("cost", models),
        )

    def _learned(self, what: str, models: Sequence[Model]) -> Floats:
        """Return what was learned of *what* for *models*, (m,); NaN where nothing was."""
        if not self._state:
            return np.full(len(models), np.nan)
        column = {name: j for j, name in enumerate(self._state["models"].tolist())}
        values = np.append(self._state[what], np.nan)
        return values[[column.get(model.name, -1) for model in models]]

    def fit(self, dataset: Dataset) -> Self:
        """Return a scorer that knows each model's mean length, mean cost and tokenizer."""
        characters = np.array([[float(_characters(query))] for query in dataset.queries])  # (n, 1)
        read = np.where(np.isnan(dataset.input_tokens), np.nan, characters)
        tokens = means(dataset.input_tokens)
        ratio = means(read) / np.where(tokens > 0, tokens, np.nan)
        known = ratio[~np.isnan(ratio)]
        if len(known) and np.median(known) < _LEAST:
            ratio = np.full_like(ratio, np.nan)
        return self.restore(
            {
                "models": np.array(dataset.models, dtype=np.str_),
                "output_tokens": means(dataset.output_tokens),
                "cost": means(dataset.cost),
                "characters_per_token": ratio,
            }
        )

    def joined(self, dataset: Dataset, name: str) -> Self:
        """Return a scorer that knows the means of model *name* too, from *dataset*."""
        own = self.fit(dataset.for_models([name])).state()
        known = self._state or self.fit(dataset.for_models([])).state()
        return self.restore({key: np.append(known[key], own[key]) for key in own})

    def state(self) -> Arrays:
        """Return the means, (m,) each."""
        return self._state

    def restore(self, state: Arrays) -> Self:
        """Return a scorer that knows *state*."""
        fitted = evolve(self)
        fitted._state = dict(state)
        return fitted


def _characters(query: Query) -> int:
    """Return how many characters the whole request of *query* has."""
    return max(sum(len(text_of(message)) for message in query.request.messages), len(query.text))


def _predicted(found: Found, name: str) -> Floats | None:
    """Return the values, (n, m), of the score *name* among what the scorers returned."""
    for item in found:
        for scores in item if isinstance(item, tuple) else (item,):
            if scores is not None and scores.name == name:
                return scores.values
    return None
