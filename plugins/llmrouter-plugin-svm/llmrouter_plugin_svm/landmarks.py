"""A radial kernel by landmarks: few features that stand for all training queries."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats

_STEPS = 3  # of k-means; more was measured to change nothing
_LEAST = 1e-6  # of the largest eigenvalue, below which a direction is rounding


@frozen(kw_only=True, eq=False)
class Landmarks:
    """Nystroem features of a radial kernel (Williams & Seeger 2000).

        k(x, z) = exp(-width * |u(x) - z|^2),  features(x) = k(x, Z) K(Z, Z)^(-1/2)

    with u(x) the embedding seen from the origin, of length one. The landmarks are the centres of
    a short k-means, which were measured to predict better than queries drawn at random (as Zhang
    et al. 2008 found).

    Attributes:
        origin: Mean embedding, (d,).
        points: Landmarks, (l, d).
        width: *width*.
        whitening: Inverse root of the kernel among landmarks, (l, r); empty after a restart, as
            only learning needs it.
    """

    origin: Floats
    points: Floats
    width: float
    whitening: Floats

    @classmethod
    def fit(cls, embeddings: Floats, count: int, width: float, seed: int) -> Landmarks:
        """Return at most *count* landmarks for *embeddings* (n, d)."""
        origin = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        seen = _unit(embeddings, origin)
        points = _centres(seen, count, seed)
        values, vectors = np.linalg.eigh(_radial(points, points, width).astype(np.float64))
        used = values > _LEAST * values[-1]
        whitening = vectors[:, used] / np.sqrt(values[used])
        return cls(origin=origin, points=points, width=width, whitening=whitening)

    def kernel(self, embeddings: Floats) -> Floats:
        """Return the kernel of *embeddings* (n, d) with the landmarks, (n, l)."""
        return _radial(_unit(embeddings, self.origin), self.points, self.width)

    def features(self, embeddings: Floats) -> Floats:
        """Return the features of *embeddings* (n, d), (n, r), whose products are the kernel."""
        found: Floats = self.kernel(embeddings) @ self.whitening
        return found

    def arrays(self) -> dict[str, Floats]:
        """Return what predictions need, for a state."""
        return {"origin": self.origin, "points": self.points, "width": np.array(self.width)}

    @classmethod
    def of(cls, state: Arrays) -> Landmarks:
        """Return the landmarks that *state* holds."""
        return cls(
            origin=state["origin"],
            points=state["points"],
            width=float(state["width"]),
            whitening=np.zeros((len(state["points"]), 0)),
        )


def _unit(embeddings: Floats, origin: Floats) -> Floats:
    seen: Floats = embeddings.astype(np.float32) - origin
    seen /= np.maximum(np.sqrt(np.einsum("nd,nd->n", seen, seen)), 1e-9)[:, None]
    return seen


def _radial(left: Floats, right: Floats, width: float) -> Floats:
    """Return exp(-width * squared distance), (n, l), in single precision."""
    far = -2 * left @ right.T
    far += np.einsum("nd,nd->n", left, left)[:, None]
    far += np.einsum("nd,nd->n", right, right)
    np.maximum(far, 0, out=far)
    far *= np.float32(-width)
    found: Floats = np.exp(far, out=far)
    return found


def _centres(seen: Floats, count: int, seed: int) -> Floats:
    """Return at most *count* centres of the rows of *seen*, which come sorted."""
    new = np.ones(len(seen), dtype=np.bool_)
    new[1:] = (seen[1:] != seen[:-1]).any(axis=1)
    distinct = np.flatnonzero(new)
    chosen = np.random.default_rng(seed).permutation(distinct)[:count]
    points: Floats = seen[chosen]
    for _ in range(_STEPS):
        near = (seen @ points.T - np.square(points).sum(axis=1) / 2).argmax(axis=1)
        total = np.zeros_like(points)
        np.add.at(total, near, seen)
        size = np.bincount(near, minlength=len(points))[:, None]
        points = np.where(size > 0, total / np.maximum(size, 1).astype(np.float32), points)
    return points
