"""Try models on a share of the traffic, with the propensity of every choice."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import converters, define, field, validators
from llmrouter_core import (
    Call,
    Chunk,
    ConfigError,
    Ints,
    Model,
    Query,
    Scores,
    Session,
    Solve,
    hookimpl,
)

from llmrouter_plugin_experiment.arms import Arm, is_ranking
from llmrouter_plugin_experiment.drawing import Draws
from llmrouter_plugin_experiment.shadows import Shadows

__all__ = ["PROPENSITY", "Arm", "ExperimentExtension"]

PROPENSITY = "propensity"
"""Name of the `Scores` that hold, in a decision, how likely each model was to stand first."""

_share = validators.and_(validators.ge(0.0), validators.le(1.0))


@define(eq=False, kw_only=True)
class ExperimentExtension:
    """Draw who stands first: by chance, by an arm, or as the router has it.

    With e = *explore*, w_k the weights of the arms, E the models that may answer x, f_k(x) the
    first model of arm k and f(x) that of the router,

        propensity(a | x) = e [a in E] / |E| + sum_k w_k [a = f_k(x)]
                            + (1 - e - sum_k w_k) [a = f(x)]

    and this is what `Decision.scores["propensity"]` holds, (m,). NaN says that nothing was drawn.

    Attributes:
        explore: Share of the traffic that any model in the ranking answers, all alike likely.
        arms: Other rankings and their shares.
        by: What keeps its draw: a `conversation` (a fact), a `user`, or nothing but a `query`.
            Where a query names none, it is drawn by itself.
        seed: Seed of the draws; without one only those by conversation or user can be repeated.
        shadow: Model that is asked too, after the answer is out; nobody sees what it says.
        shadow_share: Share of the answers after which it is asked.
        shadow_path: File that gets a JSON line of each shadow call; without one they go to the
            logger `llmrouter.experiment`.
        shadow_texts: Whether those lines hold the question and both answers.
        shadow_limit: Shadow calls at a time; further ones are left out.
    """

    explore: float = field(default=0.0, validator=_share)
    arms: tuple[Arm, ...] = ()
    by: Literal["query", "conversation", "user"] = field(
        default="conversation", validator=validators.in_(("query", "conversation", "user"))
    )
    seed: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    shadow: str | None = field(default=None, validator=validators.optional(validators.min_len(1)))
    shadow_share: float = field(default=1.0, validator=_share)
    shadow_path: Path | None = field(default=None, converter=converters.optional(Path))
    shadow_texts: bool = False
    shadow_limit: int = field(default=8, validator=validators.ge(1))
    _draws: Draws = field(init=False, repr=False)
    _shadows: Shadows | None = field(init=False, repr=False, default=None)

    def __attrs_post_init__(self) -> None:
        taken = self.explore + sum(arm.weight for arm in self.arms)
        if taken > 1 + 1e-9:
            problem = f"explore and the weights of the arms are {taken:g} together; at most 1"
            raise ConfigError("extension.experiment", [f"{problem} @ arms"])
        self._draws = Draws(self.by, self.seed)
        if self.shadow is not None:
            self._shadows = Shadows(
                self.shadow, self.shadow_path, texts=self.shadow_texts, limit=self.shadow_limit
            )

    @property
    def shadows_dropped(self) -> int:
        """How many shadow calls were left out or could not be written down."""
        return 0 if self._shadows is None else self._shadows.dropped

    # ------------------------------------------------------------------ deciding

    # Odds are known only when there is a ranking, but a decision keeps what scorers return. So a
    # place for them is scored, which is this part's own, and filled in when the model is drawn.

    @hookimpl(wrapper=True)
    def score(
        self, queries: Sequence[Query], models: Sequence[Model]
    ) -> Generator[None, list[Any], list[Any]]:
        """Add the place of the propensities, NaN (n, m)."""
        found = yield
        if isinstance(found, list):
            return [*found, Scores(PROPENSITY, np.full((len(queries), len(models)), np.nan))]
        return found

    @hookimpl(wrapper=True)
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Generator[None, Ints | None, Ints | None]:
        """Return rankings whose first models are drawn, and write down how likely each was."""
        ranking = yield
        if not is_ranking(ranking, len(queries), len(models)):
            return ranking
        own: list[list[int]] = ranking.tolist()  # quicker than numpy on the few columns of a pool
        others = [arm.rankings(queries, models, scores, own) for arm in self.arms]
        vetoes = _vetoes(scores, len(queries))
        place = scores[PROPENSITY].values if PROPENSITY in scores else None
        rows = []
        for row, (query, never) in enumerate(zip(queries, vetoes, strict=True)):
            allowed = [
                [column for column in found[row] if column >= 0 and column not in never]
                for found in (own, *others)
            ]
            odds, drawn = self._drawn(query, allowed, len(models))
            rows.append(drawn)
            if place is not None:
                place[row] = odds
        return _padded(rows)

    def _drawn(
        self, query: Query, allowed: Sequence[list[int]], models: int
    ) -> tuple[list[float], list[int]]:
        """Return the odds of each model, (m,), and the ranking that was drawn.

        Args:
            query: What is decided.
            allowed: The columns of the router's ranking that may answer, then those of each arm.
            models: How many models there are, m.
        """
        own, *arms = allowed
        if not own:
            return [math.nan] * models, own  # nobody may answer: core says so
        odds = [0.0] * models
        for column in own:
            odds[column] = self.explore / len(own)
        chance, which = self._draws.draw(query)
        chosen, reached = own, self.explore
        for arm, found in zip(self.arms, arms, strict=True):
            order = found or own  # an arm that ranks nobody leaves it to the router
            odds[order[0]] += arm.weight
            if reached <= chance < reached + arm.weight:
                chosen = order
            reached += arm.weight
        odds[own[0]] += max(0.0, 1.0 - reached)
        if chance < self.explore:
            first = own[int(which * len(own))]
            chosen = [first, *(column for column in own if column != first)]
        return odds, chosen

    # ------------------------------------------------------------------ answering

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Remember how the shadow is called; calls themselves pass as they are."""
        inner = yield
        if inner is not None and self._shadows is not None:
            self._shadows.learn(model, inner)
        return inner

    @hookimpl(wrapper=True)
    def solve(self) -> Generator[None, Solve | None, Solve | None]:
        """Ask the shadow once an answer is out."""
        inner = yield
        return inner if inner is None or self._shadows is None else self._around(inner)

    def _around(self, inner: Solve) -> Solve:
        async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            before = len(session.steps)
            async with aclosing(inner(session, query)) as chunks:
                async for chunk in chunks:
                    yield chunk
            if self._shadows is not None and self._draws.chance() < self.shadow_share:
                self._shadows.start(query, session.steps[before:])

        return solve

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None] | None:
        """End the shadow calls that are under way when the router closes."""
        return None if self._shadows is None else self._shadows.open()


def _vetoes(scores: Mapping[str, Scores], rows: int) -> list[set[int]]:
    """Return the columns of each row that some score says may never answer."""
    found: list[set[int]] = [set() for _ in range(rows)]
    for one in scores.values():
        for never, values in zip(found, one.values.tolist(), strict=True):
            if -math.inf in values:
                never.update(column for column, value in enumerate(values) if value == -math.inf)
    return found


def _padded(rows: Sequence[Sequence[int]]) -> Ints:
    """Return *rows* as one array, each padded with -1."""
    width = max((len(row) for row in rows), default=1) or 1
    found: Ints = np.full((len(rows), width), -1, np.intp)
    for row, columns in zip(found, rows, strict=True):
        row[: len(columns)] = columns
    return found
