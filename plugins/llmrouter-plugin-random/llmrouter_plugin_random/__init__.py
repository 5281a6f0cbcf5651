"""Rank at random: a seeded draw that is the same in every process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from json import dumps
from typing import Any, Literal

import numpy as np
from attrs import Attribute, define, field
from llmrouter_core import ConfigError, Ints, Model, Query, hookimpl
from llmrouter_core.structuring import near


def _weights(_: Any, attribute: Attribute[Any], value: Mapping[str, float]) -> None:
    """Check that every weight may be one."""
    wrong = [name for name, weight in value.items() if not 0 <= weight < math.inf]
    if wrong:
        raise ValueError(f"'{attribute.name}' are finite and not negative; correct '{wrong[0]}'")


@define(eq=False, kw_only=True)
class RandomSelector:
    """Rank by an exponential race: sampling by weight, without replacement.

    Model *j* of weight w_j gets the key `-log(u_j) / w_j`, with u_j uniform on (0, 1), and the
    smallest key stands first: the exponential form of Efraimidis and Spirakis 2006 (algorithm A,
    doi 10.1016/j.ipl.2005.11.003). So P(j first) = w_j / sum(w), and each further rank is drawn in
    the same way among those that are left, whether they follow or others were vetoed.

    u_j is a hash of the seed, the query and the model's name. Nothing is remembered: a batch
    equals its single queries, processes agree, and the order of the pool does not matter.

    Attributes:
        seed: Seed of the draw.
        weights: The weight of each model by name; a model that is not listed weighs 1. Models of
            weight 0 come last, in an even draw of their own.
        by: What the draw depends on besides the seed: `query` for its text and its user, `user`
            for who asks alone, so that they always meet the same model (the text decides where
            nobody says who asks).
    """

    seed: int = 0
    weights: Mapping[str, float] = field(factory=dict, validator=_weights)
    by: Literal["query", "user"] = "query"

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        """Return every model for every query, (n, m).

        Raises:
            ConfigError: A weight is for a model that is no candidate.
        """
        names = [model.name for model in models]
        for name in self.weights:
            if name not in names:
                reason = f"there is no candidate '{name}'{near(name, names)}"
                raise ConfigError("router", [f"{reason} @ selector.weights"])
        ranking = np.empty((len(queries), len(names)), dtype=np.intp)
        for row, query in zip(ranking, queries, strict=True):
            keys = self._keys(query, names)
            row[:] = sorted(range(len(names)), key=keys.__getitem__)
        return ranking

    def _keys(self, query: Query, names: Sequence[str]) -> list[tuple[float, float, str]]:
        """Return the sort key of each model, m."""
        alone = self.by == "user" and query.user is not None
        # JSON keeps fields apart and writes lone surrogates as ASCII.
        drawn = blake2b(dumps([self.seed, query.user, None if alone else query.text]).encode())
        keys = []
        for name in names:
            one = drawn.copy()
            one.update(dumps(name).encode())
            waited = -math.log(_uniform(one.digest()))  # of the exponential distribution
            weight = self.weights.get(name, 1.0)
            keys.append((waited / weight if weight else math.inf, waited, name))
        return keys


def _uniform(digest: bytes) -> float:
    """Return a number strictly between 0 and 1, exact in 53 bits, out of 52 of *digest*."""
    return ((int.from_bytes(digest[:8], "big") >> 12) + 0.5) / 2**52
