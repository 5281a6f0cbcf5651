"""What the other router would have decided, from whatever the log holds of each query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from llmrouter_core import Floats, Ints, LLMRouter, Scores

from llmrouter_plugin_ope.errors import NoEstimate
from llmrouter_plugin_ope.log import Log
from llmrouter_plugin_ope.records import PROPENSITY

SOURCES = ("text", "embedding", "scores")
_BATCH = 1024  # queries decided at a time


@frozen(kw_only=True, eq=False)
class Target:
    """What a router decides on a log.

    Attributes:
        log: The decisions it could be asked about.
        models: Names of the m models of the log, then of those that only this router has.
        shares: How likely each stands first, (n, m); rows add up to 1.
        source: What it decided from: `text`, `embedding` or `scores`.
        left_out: Decisions of the log that do not hold this.
        quality: What it predicts of each model of the log, (n, m), or None.
    """

    log: Log
    models: tuple[str, ...]
    shares: Floats
    source: str
    left_out: int
    quality: Floats | None = None


def decided(log: Log, router: LLMRouter, source: str | None = None) -> Target:
    """Return what *router* decides on *log*.

    Args:
        log: The log.
        router: The other router. One that draws (extension `experiment`) is known by its
            propensities, any other by what it puts first.
        source: What to decide from; by default what most decisions hold, texts before
            embeddings before scores. From scores only the selector decides, on what the logged
            router predicted; a router without scorers is asked this way first.

    Raises:
        NoEstimate: The log holds nothing that the router could decide from.
    """
    rows = {
        "text": [i for i, query in enumerate(log.queries) if query.text.strip()],
        "embedding": _embedded(log),
        "scores": list(range(len(log))) if log.scores else [],
    }
    predicts = any(part.kind == "scorer" for part in router.config.parts)
    order = SOURCES if predicts else ("scores", *SOURCES)
    chosen = source or max(order, key=lambda name: len(rows[name]))  # the first of equals
    if not rows[chosen]:
        raise NoEstimate(
            f"the log holds no {chosen if source else 'texts, embeddings or scores'} of its "
            "queries, so the policy cannot be asked; have the server log them"
        )
    kept = log if len(rows[chosen]) == len(log) else log.take(rows[chosen])
    pool = [model.name for model in router.pipeline.models]
    models = (*log.models, *(name for name in pool if name not in log.models))
    place = [models.index(name) for name in pool]
    shares = np.zeros((len(kept), len(models)))
    quality = np.full(shares.shape, np.nan)
    for start in range(0, len(kept), _BATCH):
        block = slice(start, min(len(kept), start + _BATCH))
        ranking, scores = _asked(kept, router, chosen, block)
        found = np.eye(len(pool))[ranking[:, 0]]
        drawn = scores.get(PROPENSITY)
        if drawn is not None:
            known = ~np.isnan(drawn.values).any(axis=1)
            found[known] = drawn.values[known]
        shares[block, place] = found
        if chosen != "scores" and "quality" in scores:
            quality[block, place] = scores["quality"].values
    known = np.isfinite(quality[:, : len(log.models)])
    return Target(
        log=kept,
        models=models,
        shares=shares,
        source=chosen,
        left_out=len(log) - len(kept),
        quality=np.where(known, quality[:, : len(log.models)], np.nan) if known.any() else None,
    )


def _asked(log: Log, router: LLMRouter, source: str, block: slice) -> tuple[Ints, dict[str, Any]]:
    """Return the ranking, (n, k), and the scores of some queries."""
    queries, pipeline = log.queries[block], router.pipeline
    if source == "text":
        return pipeline.rank(queries)
    if source == "embedding":
        embeddings = [one for one in log.embeddings[block] if one is not None]
        return pipeline.rank(queries, np.stack(embeddings))
    scores = _logged(log, [model.name for model in pipeline.models], block)
    ranking = pipeline.select(queries, scores)
    if (ranking[:, 0] < 0).any():
        raise NoEstimate("the policy ranks no model for some decisions; loosen a rule of it")
    return ranking, scores


def _logged(log: Log, pool: Sequence[str], block: slice) -> dict[str, Scores]:
    """Return the logged scores in the columns of *pool*, and a place for odds of its own."""
    found = {}
    for name, values in log.scores.items():
        columns = np.full((block.stop - block.start, len(pool)), np.nan)
        for place, model in enumerate(pool):
            if model in log.models:
                columns[:, place] = values[block, log.models.index(model)]
        found[name] = Scores(name, columns)
    found[PROPENSITY] = Scores(PROPENSITY, np.full((block.stop - block.start, len(pool)), np.nan))
    return found


def _embedded(log: Log) -> list[int]:
    """Return the decisions whose embedding is there, of the length that most have."""
    sizes = [0 if one is None else len(one) for one in log.embeddings]
    common = max(set(sizes) - {0}, key=sizes.count, default=0)
    return [i for i, size in enumerate(sizes) if size == common] if common else []
