"""Clusters of queries: where they lie, and which of them are near."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats, Ints

_DIRECTIONS = 48  # along which clusters are searched for: the widest; the rest is mostly noise
_STARTS = 2
_STEPS = 50
_SAME = 1e-9  # squared distance of rows that only differ by rounding


@frozen(kw_only=True, eq=False)
class Clusters:
    """g clusters of unit embeddings.

    Attributes:
        origin: Mean embedding, (d,), from which all are seen.
        centres: Mean member of each cluster, seen from there and of length one, (g, d).
    """

    origin: Floats
    centres: Floats

    @classmethod
    def fit(cls, embeddings: Floats, count: int, seed: int) -> tuple[Clusters, Ints]:
        """Return at most *count* clusters of *embeddings* (n, d), and the one of each row, (n,).

        k-means (Lloyd 1982) on the rows, centred, of length one, and reduced to their principal
        components. Rows are sorted first, so that their order in the file decides nothing.
        """
        content = [row.tobytes() for row in np.ascontiguousarray(embeddings)]
        order = np.array(sorted(range(len(content)), key=content.__getitem__), dtype=np.intp)
        ordered = embeddings[order]
        origin = ordered.mean(axis=0)
        seen = unit(ordered, origin)
        _, vectors = np.linalg.eigh(seen.T @ seen)
        labels = _labelled(seen @ vectors[:, ::-1][:, :_DIRECTIONS], count, seed)
        used, labels = np.unique(labels, return_inverse=True)
        centres = unit(_members(labels, len(used)) @ seen, np.zeros_like(origin))
        belongs = np.empty(len(order), np.intp)
        belongs[order] = labels
        return cls(origin=origin, centres=centres), belongs

    def weights(self, embeddings: Floats, nearest: int, temperature: float) -> Floats:
        """Return how much each cluster counts, (n, g): a softmax over the *nearest* of them."""
        near = unit(embeddings, self.origin) @ self.centres.T
        found: Floats = np.exp((near - near.max(axis=1, keepdims=True)) / temperature)
        count = near.shape[1]
        if nearest < count:
            bar = np.partition(near, count - nearest, axis=1)[:, count - nearest, None]
            found *= near >= bar
        found /= found.sum(axis=1, keepdims=True)
        return found

    def arrays(self) -> dict[str, Floats]:
        """Return the clusters as arrays, for a state."""
        return {"origin": self.origin, "centres": self.centres}

    @classmethod
    def of(cls, state: Arrays) -> Clusters:
        """Return the clusters that *state* holds."""
        return cls(origin=state["origin"], centres=state["centres"])


def unit(points: Floats, origin: Floats) -> Floats:
    """Return *points* (n, d) seen from *origin* (d,), of length one; zero stays zero."""
    seen: Floats = points - origin
    seen /= np.maximum(np.sqrt(np.einsum("nd,nd->n", seen, seen)), 1e-9)[:, None]
    return seen


def _labelled(points: Floats, count: int, seed: int) -> Ints:
    """Return the cluster of each of *points*, (n,): the best of a few starts."""
    rng = np.random.default_rng(seed)
    found: list[tuple[float, Ints]] = []
    for _ in range(_STARTS):
        centres = _spread(points, count, rng)
        labels = np.full(len(points), -1, np.intp)
        for _ in range(_STEPS):
            far = np.square(centres).sum(axis=1) - 2 * points @ centres.T
            before, labels = labels, far.argmin(axis=1)
            if np.array_equal(before, labels):
                break
            members = _members(labels, len(centres))
            size = members.sum(axis=1, keepdims=True)
            centres = np.where(size > 0, members @ points / np.maximum(size, 1), centres)
        found.append((float(np.square(points - centres[labels]).sum()), labels))
    return min(found, key=lambda one: one[0])[1]


def _spread(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return at most *count* of *points*, drawn far from each other (Arthur & Vassilvitskii 2007).

    Each next one is drawn with a chance that grows with its squared distance from those there
    are; it ends where every point is one of them.
    """
    chosen = [points[rng.integers(len(points))]]
    far = np.square(points - chosen[0]).sum(axis=1)
    while len(chosen) < count and far.max() > _SAME:
        drawn = int(rng.choice(len(points), p=far / far.sum()))
        chosen.append(points[drawn])
        far = np.minimum(far, np.square(points - chosen[-1]).sum(axis=1))
    return np.array(chosen)


def _members(labels: Ints, count: int) -> Floats:
    """Return 1 where a row belongs to a cluster and 0 elsewhere, (count, n)."""
    found: Floats = (labels == np.arange(count)[:, None]).astype(np.float32)
    return found
