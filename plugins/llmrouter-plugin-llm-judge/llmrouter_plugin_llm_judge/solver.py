"""The solver: judge, then ask."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from attrs import define, evolve, field, validators
from llmrouter_core import CallError, Chunk, ConfigError, Query, Solve, hookimpl
from llmrouter_core.solving import SingleShot
from llmrouter_core.structuring import near

from llmrouter_plugin_llm_judge.prompt import DIFFICULTY, Label, label_of, request_for
from llmrouter_plugin_llm_judge.ranking import Ranked, Share, ranked

if TYPE_CHECKING:
    from llmrouter_core import Session


@define(eq=False, kw_only=True)
class LlmJudgeSolver:
    """Ask a small model whether a query is easy, medium or hard, and then whom that calls for.

    Candidates are those of the router's ranking, so vetoes hold. Sorted from small to large, the
    first is asked about an easy query, the middle one about a medium one and the last about a hard
    one; if it fails before a word, larger ones follow, then smaller ones. With *use_tradeoff* the
    router's own ranking decides instead: the fact `tradeoff` is 1 for easy, 0.5 for medium and 0
    for hard, unless the query brings its own.

    A query can talk the judge into a label, and into nothing else: it is quoted as data, no model
    is named, and what is not exactly one label counts as none. Without a label, for whatever
    reason, *default* applies; a note says so.

    Attributes:
        judge: Name of the model that judges, best with `routable = false`; the smallest of the
            pool by default.
        seconds: How long judging may take.
        default: The label where the judge gives none.
        most: Greatest share of the last 100 queries that the judge may rate above *default*.
        twice: Ask a second time, at the same time, with the labels in reverse order, and take the
            mean.
        use_tradeoff: Set the fact `tradeoff` and follow the router's own ranking.
        longest: Characters of a query that the judge reads: the head and the tail of a longer one.
    """

    judge: str | None = field(default=None, validator=validators.optional(validators.min_len(1)))
    seconds: float = field(default=5.0, validator=[validators.gt(0), validators.le(3600)])
    default: Label = "medium"
    most: float = field(default=1.0, validator=[validators.ge(0), validators.le(1)])
    twice: bool = False
    use_tradeoff: bool = False
    longest: int = field(default=2000, validator=validators.ge(16))
    _counts: Counter[str] = field(init=False, repr=False, factory=Counter)
    _share: Share = field(init=False, repr=False)
    _key: bytes = field(init=False, repr=False, factory=lambda: secrets.token_bytes(32))

    def __attrs_post_init__(self) -> None:
        self._share = Share(self.most)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many judgements each label got, and how many queries had `none` or were `capped`."""
        return dict(self._counts)

    @hookimpl
    def solve(self) -> Solve:
        """Return the function that answers a query."""
        return self._answer

    async def _answer(self, session: Session, query: Query) -> AsyncGenerator[Chunk, None]:
        if self.use_tradeoff:
            if "tradeoff" not in query.facts:
                difficulty, note = await self._judged(session, query)
                yield Chunk(kind="note", text=note)
                query = evolve(query, facts={**query.facts, "tradeoff": 1 - difficulty})
            decision = await session.decide(query)
        else:
            decision = await session.decide(query)
            if len(decision.ranking) > 1:  # else there is nothing to choose
                difficulty, note = await self._judged(session, query)
                yield Chunk(kind="note", text=note)
                decision = evolve(decision, ranking=ranked(decision.ranking, difficulty))
        answer = SingleShot().solve()
        async with aclosing(answer(cast("Session", Ranked(session, decision)), query)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _judged(self, session: Session, query: Query) -> tuple[float, str]:
        """Return how hard *query* is, from 0 to 1, and the note that says so."""
        import asyncio

        judge = self._judge(session)
        orders: list[Sequence[Label]] = [tuple(DIFFICULTY), tuple(DIFFICULTY)[::-1]]
        asks = [self._label(session, judge, query, order) for order in orders[: 1 + self.twice]]
        labels = [label for label in await asyncio.gather(*asks) if label is not None]
        self._counts.update(labels if labels else ("none",))
        usual = DIFFICULTY[self.default]
        if not labels:
            self._share.grants(False)
            return usual, f"no judgement by {judge}: taken as {self.default}"
        said = " and ".join(dict.fromkeys(labels))
        difficulty = sum(DIFFICULTY[label] for label in labels) / len(labels)
        above = difficulty > usual
        if self._share.grants(above) is above:
            return difficulty, f"judged {said} by {judge}"
        self._counts["capped"] += 1
        return usual, f"judged {said} by {judge}, too often: taken as {self.default}"

    async def _label(
        self, session: Session, judge: str, query: Query, order: Sequence[Label]
    ) -> Label | None:
        """Return the judge's label; None where it gives none, fails or takes too long."""
        import asyncio

        if not query.text.strip():
            return None
        request = request_for(query.text, order, key=self._key, longest=self.longest)
        try:
            async with asyncio.timeout(self.seconds):
                step = await session.ask(judge, request)
        except (CallError, TimeoutError):
            return None
        return label_of(step.text)

    def _judge(self, session: Session) -> str:
        """Return the name of the model that judges."""
        if self.judge is None:
            return min(session.models.values(), key=lambda model: model.scale).name
        if self.judge not in session.models:
            reason = f"there is no model '{self.judge}'{near(self.judge, session.models)}"
            raise ConfigError("router", [f"{reason} @ solver.judge"])
        return self.judge
