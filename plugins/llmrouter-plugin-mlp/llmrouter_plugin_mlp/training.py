"""How the networks learn: Adam on the cross-entropy of known outcomes, until held-out ones tire.

Kingma & Ba 2015 (arXiv 1412.6980) for the steps, Srivastava et al. 2014 for dropout.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from llmrouter_core import Floats
from numpy.typing import NDArray

from llmrouter_plugin_mlp.network import Network, shaped, sigmoid

_BATCH = 128
_MEMORY, _SQUARES = 0.9, 0.999  # how much of the past Adam's two means keep
_BETTER = 1e-5  # by which the loss must fall to count as better

Mask = NDArray[np.bool_]


@frozen(kw_only=True)
class Settings:
    """How networks are trained.

    Attributes:
        hidden: Width of the hidden layer, h.
        dropout: Share of it that is silent at each step.
        rate: Step size.
        epochs: How often all queries are gone through at most.
        patience: After so many epochs in which no network got better, training ends.
    """

    hidden: int
    dropout: float
    rate: float
    epochs: int
    patience: int


def train(
    embeddings: Floats, quality: Floats, kept: Mask, settings: Settings, seed: int
) -> Network:
    """Return one network per row of *kept*, each with the weights that were best on what it kept.

    Outputs start at the mean of their model, and gaps have no gradient: a model without outcomes
    stays at the mean of all.

    Args:
        embeddings: (n, d).
        quality: (n, m) in 0..1, NaN for gaps.
        kept: Queries that a network does not learn from, (e, n). Where that leaves none to learn
            from or none to look at, the network learns from all and looks at all.
        settings: How.
        seed: Seed of the start, of the order of queries, and of dropout.
    """
    rng = np.random.default_rng(seed)
    known = ~np.isnan(quality)
    target = np.where(known, quality, 0.0).astype(np.float32)
    told = known.any(axis=1)
    parted: Mask = np.logical_and((kept & told).any(axis=1), (~kept & told).any(axis=1))
    whole = ~parted[:, None]
    learned, looked_at = ~kept | whole, kept | whole
    origin = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    seen = shaped(embeddings, origin)
    weights = _start(seen.shape[1], settings.hidden, _logits(target, known), len(kept), rng)
    adam = _Adam(weights, settings.rate)
    best = [weight.copy() for weight in weights]
    lowest = _losses(weights, seen, target, known, looked_at)
    waited = 0
    for _ in range(settings.epochs):
        for rows in _batches(len(seen), rng):
            used = known[rows] & learned[:, rows, None]
            adam.step(_gradients(weights, seen[rows], target[rows], used, settings.dropout, rng))
        loss = _losses(weights, seen, target, known, looked_at)
        better = loss < lowest - _BETTER
        lowest = np.where(better, loss, lowest)
        for record, weight in zip(best, weights, strict=True):
            record[better] = weight[better]
        waited = 0 if better.any() else waited + 1
        if waited >= settings.patience:
            break
    inner, inner_bias, outer, outer_bias = best
    return Network(
        origin=origin, inner=inner, inner_bias=inner_bias, outer=outer, outer_bias=outer_bias
    )


def _logits(target: Floats, known: Mask) -> Floats:
    """Return the logit of each model's mean, (m,), drawn a little towards that of all."""
    overall = (target.sum(dtype=np.float64) + 0.5) / (known.sum() + 1.0)
    mean = (target.sum(axis=0, dtype=np.float64) + overall) / (known.sum(axis=0) + 1.0)
    found: Floats = np.log(mean / (1 - mean))
    return found


def _start(
    wide: int, hidden: int, logits: Floats, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Return random hidden layers (He et al. 2015) and outputs that say *logits* of all."""
    inner = rng.standard_normal((count, wide, hidden), dtype=np.float32)
    inner *= np.float32(np.sqrt(2 / wide))
    return [
        inner,
        np.zeros((count, 1, hidden), np.float32),
        np.zeros((count, hidden, len(logits)), np.float32),
        np.tile(logits.astype(np.float32), (count, 1, 1)),
    ]


def _batches(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    order = rng.permutation(count)
    for first in range(0, count, _BATCH):
        yield order[first : first + _BATCH]


def _gradients(
    weights: list[Floats],
    seen: Floats,
    target: Floats,
    used: Mask,
    dropout: float,
    rng: np.random.Generator,
) -> list[Floats]:
    """Return the gradient of the mean cross-entropy of the cells *used*, (e, n, m)."""
    inner, inner_bias, outer, outer_bias = weights
    hidden = np.maximum(seen @ inner + inner_bias, 0)  # (e, n, h)
    if dropout:
        heard = rng.random(hidden.shape, dtype=np.float32) >= dropout
        hidden *= heard / np.float32(1 - dropout)
    rest = np.where(used, sigmoid(hidden @ outer + outer_bias) - target, 0) / np.float32(len(seen))
    back = rest @ outer.transpose(0, 2, 1)
    back *= hidden > 0
    if dropout:
        back /= np.float32(1 - dropout)
    return [
        seen.T @ back,
        back.sum(axis=1, keepdims=True),
        hidden.transpose(0, 2, 1) @ rest,
        rest.sum(axis=1, keepdims=True),
    ]


def _losses(
    weights: list[Floats], seen: Floats, target: Floats, known: Mask, looked_at: Mask
) -> Floats:
    """Return the mean cross-entropy of each network on the queries it looks at, (e,)."""
    found = np.zeros(len(looked_at))
    for member, rows in enumerate(looked_at):
        inner, inner_bias, outer, outer_bias = (weight[member] for weight in weights)
        x = np.maximum(seen[rows] @ inner + inner_bias, 0) @ outer + outer_bias
        loss = np.logaddexp(0, x) - target[rows] * x
        found[member] = loss[known[rows]].mean(dtype=np.float64) if known[rows].any() else 0.0
    return found


class _Adam:
    """Steps of Adam on *weights*, which it changes in place."""

    def __init__(self, weights: list[Floats], rate: float) -> None:
        self.weights = weights
        self.rate = rate
        self.means = [np.zeros_like(weight) for weight in weights]
        self.squares = [np.zeros_like(weight) for weight in weights]
        self.steps = 0

    def step(self, gradients: list[Floats]) -> None:
        self.steps += 1
        first = np.float32(self.rate / (1 - _MEMORY**self.steps))
        second = np.float32(1 / (1 - _SQUARES**self.steps))
        for weight, gradient, mean, square in zip(
            self.weights, gradients, self.means, self.squares, strict=True
        ):
            mean += np.float32(1 - _MEMORY) * (gradient - mean)
            square += np.float32(1 - _SQUARES) * (gradient * gradient - square)
            weight -= first * mean / (np.sqrt(second * square) + np.float32(1e-8))
