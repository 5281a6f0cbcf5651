"""Replay of a router's decisions over recorded outcomes: no model is called."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from llmrouter_core.config import Part
from llmrouter_core.errors import ConfigError
from llmrouter_core.evaluation.policies import Outcome, expected_costs, one_hot
from llmrouter_core.outcomes import FAILED, STATUSES
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.types import Floats, Ints, Model, Query

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset

BATCH = 1024
"""Queries decided at a time."""

TRADEOFFS = (
    *(0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    *(0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0),
)
"""The settings of the knob, closer towards 1: a knob weighs by t / (1 - t)."""

_PROBED = 64  # queries that show whether facts turn the knob


@frozen(kw_only=True, eq=False)
class Decisions:
    """What a router decides for n queries, at its own setting and along its knob.

    Attributes:
        ranking: Columns of the pool, best first, intp (n, k).
        turned: The same at each setting of the knob; empty where there is none.
        quality: Predicted quality, (n, m), or None where no scorer predicts it.
    """

    ranking: Ints
    turned: Mapping[float, Ints]
    quality: Floats | None


def decide(
    router: LLMRouter,
    test: Dataset,
    tell: Callable[[float], None],
    tradeoffs: Sequence[float] = TRADEOFFS,
) -> Decisions:
    """Return what *router* decides for the queries of *test*."""
    rankings: list[Ints] = []
    predictions: list[Floats] = []
    turned: dict[float, list[Ints]] = {}
    knobs = pipelines(router, tradeoffs)
    facts = not knobs and _reads_facts(router, test.queries[:_PROBED])
    pipeline = router.pipeline
    for rows in batches(len(test)):
        queries = test.queries[rows]
        embeddings = None if test.embeddings is None else test.embeddings[rows]
        if embeddings is None and pipeline.wants_embeddings:
            embeddings = pipeline.embed(queries)
        ranking, scores = pipeline.rank(queries, embeddings)
        rankings.append(ranking)
        if "quality" in scores:
            predictions.append(scores["quality"].values)
        for tradeoff, other in list(knobs.items()):
            try:
                turned.setdefault(tradeoff, []).append(other.select(queries, scores))
            except ConfigError:  # such as a knob towards costs that no scorer predicts
                del knobs[tradeoff], turned[tradeoff]
        for tradeoff in tradeoffs if facts else ():
            asked = _told(queries, tradeoff)
            turned.setdefault(tradeoff, []).append(pipeline.rank(asked, embeddings)[0])
        tell(rows.stop / len(test))
    return Decisions(
        ranking=_stacked(rankings),
        turned={tradeoff: _stacked(found) for tradeoff, found in turned.items()},
        quality=np.concatenate(predictions) if predictions else None,
    )


def batches(n: int) -> Iterator[slice]:
    """Yield *n* rows as slices of one batch each."""
    for start in range(0, n, BATCH):
        yield slice(start, min(n, start + BATCH))


def pipelines(router: LLMRouter, tradeoffs: Sequence[float]) -> dict[float, Pipeline]:
    """Return a pipeline for each setting of the selector's `tradeoff`; none if it has none."""
    own = {part.plugin.tradeoff for part in router.config.parts if _has_knob(part)}
    if not own:
        return {}
    parts = router.pipeline.parts
    return {t: Pipeline(router.models, turned(parts, t)) for t in sorted({*tradeoffs, *own})}


def turned(parts: Sequence[Part], tradeoff: float) -> tuple[Part, ...]:
    """Return *parts* with the knob of selectors and solvers at *tradeoff*."""
    return tuple(
        evolve(part, plugin=_at(part.plugin, tradeoff)) if _has_knob(part) else part
        for part in parts
    )


def _has_knob(part: Part) -> bool:
    value = getattr(part.plugin, "tradeoff", None)
    return part.kind in ("selector", "solver") and isinstance(value, float)


def _at(plugin: Any, tradeoff: float) -> Any:
    found = copy.copy(plugin)  # keeps what was learned, which building it anew would not
    found.tradeoff = tradeoff
    return found


def _reads_facts(router: LLMRouter, queries: Sequence[Query]) -> bool:
    """Return whether `tradeoff` among the facts of a query changes what is decided."""
    low, again, high = (router.pipeline.rank(_told(queries, end))[0] for end in (0.0, 0.0, 1.0))
    drawn = not np.array_equal(low, again)  # a router that tosses coins reads no facts
    return not drawn and not np.array_equal(low, high)


def _told(queries: Sequence[Query], tradeoff: float) -> list[Query]:
    return [evolve(query, facts={**query.facts, "tradeoff": tradeoff}) for query in queries]


def _stacked(rankings: Sequence[Ints]) -> Ints:
    """Return *rankings* as one, padded with -1 to the longest."""
    width = max((ranking.shape[1] for ranking in rankings), default=1)
    padded = [
        np.pad(ranking, ((0, 0), (0, width - ranking.shape[1])), constant_values=-1)
        for ranking in rankings
    ]
    return np.concatenate(padded) if padded else np.zeros((0, width), np.intp)


def delivered(test: Dataset) -> Any:
    """Return which cells gave the user an answer, whole or truncated, bool (n, m)."""
    came = [STATUSES.index(name) for name in STATUSES if name not in ("unasked", *FAILED)]
    return np.isin(test.status, came)


def answer_costs(test: Dataset, pool: Sequence[Model]) -> Floats:
    """Return US dollars of each answer, (n, m); NaN where none came, as `follow` has it."""
    return np.where(delivered(test), expected_costs(test, pool), np.nan)


def follow(ranking: Ints, test: Dataset, costs: Floats, fallbacks: int) -> Outcome:
    """Return what becomes of each query that is asked along *ranking* until a model answers.

    A failed or unasked cell moves on to the next model; a truncated one does not, because the
    user has got that answer: its quality is unknown, its cost is known. Failed calls on the way
    cost what was recorded for them, and nothing where nothing was.

    Args:
        ranking: Columns of the pool, best first, -1 for none, intp (n, k).
        test: The outcomes.
        costs: US dollars of each call, (n, m).
        fallbacks: How many further models may be asked.
    """
    n, m = test.quality.shape
    came = delivered(test)
    quality, spent = np.full(n, np.nan), np.zeros(n)
    column, waiting = np.maximum(ranking[:, 0], 0), np.ones(n, bool)
    for place in range(min(ranking.shape[1], fallbacks + 1)):
        asked = np.flatnonzero(waiting & (ranking[:, place] >= 0))
        chosen = ranking[asked, place]
        answers = came[asked, chosen]
        cost = costs[asked, chosen]
        spent[asked] += np.where(answers, cost, np.nan_to_num(cost, nan=0.0))
        rows, chosen = asked[answers], chosen[answers]
        quality[rows], column[rows], waiting[rows] = test.quality[rows, chosen], chosen, False
    spent[waiting] = np.nan  # nobody answered, so there is no answer to have a price
    return Outcome(quality=quality, cost=spent, shares=one_hot(column, m))
