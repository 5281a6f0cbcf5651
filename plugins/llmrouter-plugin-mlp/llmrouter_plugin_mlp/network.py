"""Several networks of one hidden layer, side by side."""

from __future__ import annotations

import numpy as np
from attrs import evolve, frozen
from llmrouter_core import Arrays, Floats, Ints

_WEIGHTS = ("origin", "inner", "inner_bias", "outer", "outer_bias")


@frozen(kw_only=True, eq=False)
class Network:
    """e networks, `sigmoid(outer_bias + outer' relu(inner_bias + inner' u))` each.

    Attributes:
        origin: Mean embedding, (d,), from which *u* is seen.
        inner: Weights of the hidden layers, (e, d, h).
        inner_bias: Their biases, (e, 1, h).
        outer: Weights of the outputs, (e, h, m).
        outer_bias: Their biases, (e, 1, m).
    """

    origin: Floats
    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: Floats

    def values(self, embeddings: Floats) -> Floats:
        """Return what each network says of *embeddings* (n, d), (e, n, m) in 0..1."""
        hidden = np.maximum(shaped(embeddings, self.origin) @ self.inner + self.inner_bias, 0)
        return sigmoid(hidden @ self.outer + self.outer_bias).astype(np.float64)

    def columns(self, order: Ints) -> Network:
        """Return the networks with their outputs in *order*, (m,)."""
        return evolve(self, outer=self.outer[..., order], outer_bias=self.outer_bias[..., order])

    def arrays(self) -> dict[str, Floats]:
        """Return the weights as arrays, for a state."""
        return {name: getattr(self, name) for name in _WEIGHTS}

    @classmethod
    def of(cls, state: Arrays) -> Network:
        """Return the networks that *state* holds."""
        return cls(**{name: state[name] for name in _WEIGHTS})


def shaped(embeddings: Floats, origin: Floats) -> Floats:
    """Return *embeddings* (n, d) seen from *origin* (d,), each of length sqrt(d)."""
    seen: Floats = embeddings.astype(np.float32) - origin
    length = np.sqrt(np.einsum("nd,nd->n", seen, seen) / seen.shape[1])
    seen /= np.maximum(length, np.float32(1e-9))[:, None]
    return seen


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow."""
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found
