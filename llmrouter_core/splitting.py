"""Which queries are held out: whole groups, equal texts together, a share of every task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


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
    strata: dict[str, list[list[str]]] = {}
    for members in joined.values():
        first = min(members)  # whatever the order of the queries
        strata.setdefault(task_of[first], []).append(sorted(members))
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for _, clusters in sorted(strata.items()):
        clusters.sort()
        for i in rng.permutation(len(clusters))[: round(len(clusters) * test)]:
            chosen.update(clusters[i])
    return chosen


def _root(parent: dict[str, str], group: str) -> str:
    """Return the group that stands for all those joined with *group*."""
    while parent[group] != group:
        parent[group] = parent[parent[group]]
        group = parent[group]
    return group
