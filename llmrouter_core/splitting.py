"""Which queries are held out: whole groups, equal texts together, a share of every task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def held_out(queries: Iterable[tuple[str, str, str]], test: float, seed: int) -> set[str]:
    """Return the groups that are held out, drawn at random within each task.

    Groups that share a text count as one: the same question must not stand on both sides.

    Args:
        queries: Group, task and text of each query; only a hash of the text is kept.
        test: Share of the groups of each task that is held out.
        seed: Seed of the draw.
    """
    if not 0 < test < 1:
        raise ValueError(f"'test' must be between 0 and 1: {test}")
    strata: dict[str, list[list[str]]] = {}
    for task, members in _clusters(queries):
        strata.setdefault(task, []).append(members)
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for _, clusters in sorted(strata.items()):
        clusters.sort()
        for i in rng.permutation(len(clusters))[: round(len(clusters) * test)]:
            chosen.update(clusters[i])
    return chosen


def folds(queries: Iterable[tuple[str, str]], count: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of each query, (n,), from 0 to *count* - 1: whole groups, drawn at random.

    Groups that share a text count as one, as for `held_out`.

    Args:
        queries: Group and text of each query.
        count: How many folds; where there are fewer groups, some folds are empty.
        seed: Seed of the draw.
    """
    listed = list(queries)
    clusters = sorted(members for _, members in _clusters((g, "", t) for g, t in listed))
    drawn = np.random.default_rng(seed).permutation(len(clusters)) % count
    fold_of = {
        group: int(fold)
        for fold, members in zip(drawn, clusters, strict=True)
        for group in members
    }
    return np.array([fold_of[group] for group, _ in listed], dtype=np.intp)


def _clusters(queries: Iterable[tuple[str, str, str]]) -> list[tuple[str, list[str]]]:
    """Return groups, those that share a text together, each with the task of its first group."""
    parent: dict[str, str] = {}
    task_of: dict[str, str] = {}
    asked_by: dict[int, str] = {}
    for group, task, text in queries:
        parent.setdefault(group, group)
        task_of.setdefault(group, task)
        one, other = _root(parent, group), _root(parent, asked_by.setdefault(hash(text), group))
        parent[other] = one
    joined: dict[str, list[str]] = {}
    for group in parent:
        joined.setdefault(_root(parent, group), []).append(group)
    # The first by name stands for its task, whatever the order of the queries.
    return [(task_of[min(members)], sorted(members)) for members in joined.values()]


def _root(parent: dict[str, str], group: str) -> str:
    """Return the group that stands for all those joined with *group*."""
    while parent[group] != group:
        parent[group] = parent[parent[group]]
        group = parent[group]
    return group
