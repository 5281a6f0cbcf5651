"""Keep a conversation on its warm model unless another gains more than the switch costs."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeGuard

import numpy as np
from attrs import define, field, validators
from llmrouter_core import (
    Chunk,
    ConfigError,
    Floats,
    Ints,
    Model,
    Query,
    Scores,
    Session,
    Solve,
    Step,
    hookimpl,
)

from llmrouter_plugin_sticky.conversation import goes_on, identity, within_tools
from llmrouter_plugin_sticky.memory import Memory, Warm

_share = validators.and_(validators.ge(0.0), validators.le(1.0))
_positive = validators.and_(validators.gt(0.0), validators.lt(math.inf))


@define(eq=False, kw_only=True)
class StickyExtension:
    """Move a conversation's warm model to the front of the ranking, where switching costs more.

    A model is warm while the provider still holds the prompt it has read for a conversation, so
    that reading it again is cheap. With *w* the warm model and *b* the selector's first,

        gain = (1 - t) * W * (quality_b - quality_w - margin)
        loss = t * (cost_b - saved_b - cost_w + saved_w)
        saved = discount * input price * tokens that are warm

    in US dollars, and *b* is asked where gain > loss. What is not predicted makes no gain.

    Attributes:
        margin: Quality, from 0 to 1, that another model must be better by, whatever it costs.
        willingness_to_pay: *W*, US dollars that an answer of quality 1 is worth.
        tradeoff: *t*, from quality first (0) to cost first (1); a query's facts may set it.
        discount: Share of the input price that a warm prompt saves.
        smallest: Tokens below which providers keep no prompt.
        warm: Seconds for which a prompt is kept after it was last read.
        conversations: How many conversations are remembered; the one unused longest goes first.
        quality: Name of the score that predicts quality.
        cost: Name of the score that predicts dollars.
    """

    margin: float = field(default=0.02, validator=_share)
    willingness_to_pay: float = field(
        default=0.01, validator=[validators.ge(0.0), validators.lt(math.inf)]
    )
    tradeoff: float = field(default=0.5, validator=_share)
    discount: float = field(default=0.9, validator=_share)
    smallest: int = field(default=1024, validator=validators.ge(0))
    warm: float = field(default=300.0, validator=_positive)
    conversations: int = field(default=10_000, validator=validators.ge(1))
    quality: str = "quality"
    cost: str = "cost"
    _memory: Memory = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._memory = Memory(self.conversations, self.warm)

    @property
    def remembered(self) -> int:
        """How many conversations are remembered."""
        return len(self._memory)

    # ------------------------------------------------------------------ deciding

    @hookimpl(wrapper=True)
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Generator[None, Ints | None, Ints | None]:
        """Return the ranking, with the warm model first where a conversation stays on it."""
        ranking = yield
        if not len(self._memory) or not _is_ranking(ranking, len(queries)):
            return ranking
        for row, query in enumerate(queries):
            if not goes_on(query):
                continue
            warm = self._memory.recall(identity(query))
            if not warm or _drawn(scores, row):
                continue
            kept = self._kept(row, query, models, scores, ranking, warm)
            if kept is not None:
                ranking = _with_first(ranking, row, kept)
        return ranking

    def _kept(
        self,
        row: int,
        query: Query,
        models: Sequence[Model],
        scores: Mapping[str, Scores],
        ranking: Ints,
        warm: Sequence[Warm],
    ) -> int | None:
        """Return the column that the conversation stays on, or None for the selector's own."""
        last = warm[-1].model
        vetoed = {
            column
            for one in scores.values()
            for column, value in enumerate(one.values[row].tolist())  # quicker than numpy here
            if value == -math.inf
        }
        ranked: list[int] = [
            j for j in ranking[row].tolist() if 0 <= j < len(models) and j not in vetoed
        ]
        [current] = [j for j in ranked if models[j].name == last][:1] or [-1]
        if current < 0 or ranked[0] == current:
            return None
        best = ranked[0]
        if within_tools(query):  # whoever asked for the tool reads its result
            return current
        knob = self._knob(query)
        gain = _difference(scores.get(self.quality), row, best, current)
        loss = _difference(scores.get(self.cost), row, best, current)
        saved = {one.model: self._saved(one, models) for one in warm}
        loss = (0.0 if math.isnan(loss) else loss) + saved[last]
        loss -= saved.get(models[best].name, 0.0)
        gain = (1 - knob) * self.willingness_to_pay * (gain - self.margin)
        return None if gain > knob * loss else current  # an unknown gain is none

    def _saved(self, warm: Warm, models: Sequence[Model]) -> float:
        """Return the dollars that the warm prompt saves the next call of its model."""
        price = next((model.price for model in models if model.name == warm.model), None)
        if price is None or warm.tokens < self.smallest:
            return 0.0
        return self.discount * price.input * warm.tokens / 1e6

    def _knob(self, query: Query) -> float:
        knob = query.facts.get("tradeoff", self.tradeoff)
        if isinstance(knob, bool) or not isinstance(knob, int | float) or not 0 <= knob <= 1:
            raise ConfigError(
                "query", [f"'tradeoff' must be a number from 0 to 1, got {knob!r} @ facts"]
            )
        return knob

    # ------------------------------------------------------------------ remembering

    @hookimpl(wrapper=True)
    def solve(self) -> Generator[None, Solve | None, Solve | None]:
        """Remember which model answered: after a fallback it is not the one that was chosen."""
        inner = yield
        return inner and self._around(inner)

    def _around(self, inner: Solve) -> Solve:
        async def solve(session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
            before = len(session.steps)
            try:
                async with aclosing(inner(session, query)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            finally:
                self._note(query, session.steps[before:])

        return solve

    def _note(self, query: Query, steps: Sequence[Step]) -> None:
        # Who has said something has read the prompt, even if the reader left in the middle.
        read = next((step for step in reversed(steps) if step.finish or step.text), None)
        if read is not None:
            tokens = read.usage.input_tokens + read.usage.output_tokens
            self._memory.note(identity(query), read.model, tokens)


def _is_ranking(found: Any, rows: int) -> TypeGuard[Ints]:
    """Return whether *found* is what a selector must return; core blames whoever did not."""
    return (
        isinstance(found, np.ndarray)
        and found.ndim == 2
        and found.dtype.kind == "i"
        and len(found) == rows
        and found.shape[1] > 0
    )


def _drawn(scores: Mapping[str, Scores], row: int) -> bool:
    """Return whether an experiment has drawn the model of *row*: its odds are logged by now."""
    drawn = scores.get("propensity")
    return drawn is not None and not np.isnan(drawn.values[row]).all()


def _difference(scores: Scores | None, row: int, best: int, current: int) -> float:
    if scores is None:
        return math.nan
    values: Floats = scores.values
    return float(values[row, best] - values[row, current])


def _with_first(ranking: Ints, row: int, column: int) -> Ints:
    """Return a copy of *ranking* in which *column* is first in *row*, before the others."""
    found = ranking.copy()
    others = ranking[row][ranking[row] != column]
    found[row] = [column, *others]
    return found
