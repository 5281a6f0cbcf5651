"""`select`: the first that answers ranks; wrappers may rank anew."""

from typing import Any

import numpy as np
from attrs import define, field

from llmrouter_core import LLMRouter, hookimpl
from llmrouter_core.testing import toy_models


@define(eq=False, kw_only=True)
class Fixed:
    """Always the same columns, or pass."""

    columns: list[int] | None
    asked: int = field(init=False, default=0)

    @hookimpl
    def select(self, queries: Any, models: Any, scores: Any) -> Any:
        self.asked += 1
        return None if self.columns is None else np.tile(self.columns, (len(queries), 1))


@define(eq=False, kw_only=True)
class Loyal:
    """Move the model a user's facts name to the front."""

    @hookimpl(wrapper=True)
    def select(self, queries: Any, models: Any) -> Any:
        ranking = yield
        names = [model.name for model in models]
        rows = []
        for query, row in zip(queries, ranking.tolist(), strict=True):
            wanted = names.index(query.facts["wants"]) if "wants" in query.facts else row[0]
            rows.append([wanted, *(column for column in row if column != wanted)])
        return np.array(rows)


def router(*parts: Any) -> LLMRouter:
    return LLMRouter(models=toy_models(), parts=list(parts))


def test_the_first_that_answers_ranks() -> None:
    """One that passes leaves it to the next; the last is not asked."""
    passes, first, last = Fixed(columns=None), Fixed(columns=[1, 0]), Fixed(columns=[2])

    decision = router(passes, first, last).decide("?")

    assert [model.name for model in decision.ranking] == ["maths", "small"]
    assert decision.excluded == {"large": "the selector did not rank it"}
    assert (passes.asked, first.asked, last.asked) == (1, 1, 0)


def test_a_wrapper_ranks_anew_query_by_query() -> None:
    """What it returns is checked like any ranking."""
    found = router(Loyal(), Fixed(columns=[0, 1, 2]))

    assert found.decide("?").model.name == "small"
    assert found.decide("?", facts={"wants": "large"}).model.name == "large"
