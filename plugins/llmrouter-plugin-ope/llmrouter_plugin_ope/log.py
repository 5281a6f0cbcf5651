"""A log as arrays: what was decided, how likely it was, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from attrs import field, frozen
from llmrouter_core import Floats, Ints, Query
from llmrouter_core.outcomes import Repairs

from llmrouter_plugin_ope.errors import NoEstimate
from llmrouter_plugin_ope.files import records
from llmrouter_plugin_ope.records import Record


@frozen(kw_only=True, eq=False)
class Log:
    """n decisions among m models that have propensities.

    Attributes:
        queries: What was asked; the text is empty where it was not logged.
        models: Names of all models that any decision could choose from, m of them.
        chosen: Column of the model that stood first, intp (n,).
        propensities: How likely each model was to stand first, (n, m); 0 outside the pool.
        reward: How good the answer was, 0 to 1, (n,); NaN where nobody said.
        cost: US dollars of all calls, (n,); NaN where unknown.
        groups: What is resampled together, n names.
        scores: What was predicted when it was decided, by name, (n, m); NaN is unknown.
        embeddings: float32 of each query where it was logged.
    """

    queries: tuple[Query, ...]
    models: tuple[str, ...]
    chosen: Ints
    propensities: Floats
    reward: Floats
    cost: Floats
    groups: tuple[str, ...]
    scores: Mapping[str, Floats] = field(factory=dict)
    embeddings: tuple[Floats | None, ...] = field()

    @embeddings.default
    def _none(self) -> tuple[Floats | None, ...]:
        return (None,) * len(self.queries)

    def __len__(self) -> int:
        return len(self.queries)

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        by: str = "conversation",
        since: float | None = None,
        skip_bad: bool = False,
        repairs: Repairs | None = None,
    ) -> Self:
        """Return the decisions in a folder of JSONL files.

        Args:
            path: The folder that the server logs into, or one file.
            by: What is resampled together: a `conversation`, a `user` or single `query`.
            since: Seconds since 1970; decisions taken before, or at no known time, are left out.
            skip_bad: Whether to leave out rows that are wrong.
            repairs: Where what was left out is counted.

        Raises:
            DatasetError: There is no log, or a row is wrong.
            NoEstimate: No decision has propensities.
        """
        noted = repairs if repairs is not None else Repairs()
        found = records(Path(path), skip_bad=skip_bad, repairs=noted)
        recent = found if since is None else [one for one in found if one.when >= since]
        chosen = [one for one in recent if not _pinned(one)]
        kept = [one for one in chosen if one.propensities is not None]
        for count, what in (
            (len(found) - len(recent), "a decision taken too early"),
            (len(recent) - len(chosen), "a request that named its model, so nothing was decided"),
            (len(chosen) - len(kept), "a decision without propensities"),
        ):
            for _ in range(count):
                noted.note(f"left out: {what}")
        if not kept:
            raise NoEstimate(
                f"{path}: none of its {len(chosen):,} decisions has propensities, so nobody knows "
                "what else could have been chosen; let a share of the traffic explore "
                "(extension 'experiment', explore = 0.05) and log anew"
            )
        return cls.of(kept, by=by)

    @classmethod
    def of(cls, found: Sequence[Record], *, by: str = "conversation") -> Self:
        """Return decisions that all have propensities as arrays."""
        names = tuple(dict.fromkeys(name for one in found for name in one.models))
        column = {name: j for j, name in enumerate(names)}
        propensities = np.zeros((len(found), len(names)))
        scores: dict[str, Any] = {}
        for row, one in enumerate(found):
            places = [column[name] for name in one.models]
            propensities[row, places] = one.propensities or 0.0
            for name, values in one.scores.items():
                if name not in scores:
                    scores[name] = np.full(propensities.shape, np.nan)
                scores[name][row, places] = values
        return cls(
            queries=tuple(_query(one) for one in found),
            models=names,
            chosen=np.array([column[one.chosen] for one in found], np.intp),
            propensities=propensities,
            reward=np.array([one.reward for one in found]),
            cost=np.array([one.cost for one in found]),
            groups=tuple(_group(one, by) for one in found),
            scores=scores,
            embeddings=tuple(one.embedding for one in found),
        )

    def take(self, rows: Sequence[int]) -> Self:
        """Return the decisions at *rows*."""
        index = np.asarray(rows, np.intp)
        return type(self)(
            queries=tuple(self.queries[i] for i in index),
            models=self.models,
            chosen=self.chosen[index],
            propensities=self.propensities[index],
            reward=self.reward[index],
            cost=self.cost[index],
            groups=tuple(self.groups[i] for i in index),
            scores={name: values[index] for name, values in self.scores.items()},
            embeddings=tuple(self.embeddings[i] for i in index),
        )


def _pinned(one: Record) -> bool:
    """Return whether the request named its model, so that there was no pool to choose from."""
    return len(one.models) == 1 and not one.scores


def _query(one: Record) -> Query:
    facts = dict(one.facts)
    if one.conversation is not None:
        facts.setdefault("conversation", one.conversation)
    return Query(text=one.text or "", user=one.user, facts=facts)


def _group(one: Record, by: str) -> str:
    if by == "user" and one.user is not None:
        return f"user {one.user}"
    if by == "conversation" and one.conversation is not None:
        return f"conversation {one.user}\0{one.conversation}"
    return f"query {one.id}"
