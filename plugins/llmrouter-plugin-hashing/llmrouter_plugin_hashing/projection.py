"""From features to embeddings: hash each into a signed bucket, view by view."""

from __future__ import annotations

from typing import Any

import numpy as np
from llmrouter_core import Floats

from llmrouter_plugin_hashing.features import VIEWS, Features

_WEIGHTS = np.array([1.0, 0.7, 0.5, 1.0], np.float32)  # words, 3-grams, edges, shape

# Multiply-xorshift with odd constants mixes every bit of a key into the high half.
_SALTS = np.arange(1, VIEWS + 1, dtype=np.uint64) * np.uint64(0xC4CEB9FE1A85EC53)
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_HALF, _QUARTER, _ONE = np.uint64(32), np.uint64(16), np.uint64(1)


def project(features: Features, dimensions: int) -> Floats:
    """Return float32 (n, dimensions) with rows of length one, or zero for a text without features.

    A feature of key *h* and weight *w* adds `sign(h) * w` to bucket `h mod dimensions` of its
    text and view. The embedding is `normalise(sum over views of weight * normalise(damp(view)))`
    with `damp(x) = sign(x) * sqrt(|x|)`.
    """
    n = len(features.sizes)
    hashed = features.keys + np.repeat(_SALTS, features.sizes.sum(axis=0))
    hashed *= _FIRST
    hashed ^= hashed >> _HALF
    hashed *= _SECOND
    signs = (hashed >> _QUARTER & _ONE) * -2.0 + 1.0
    buckets = ((hashed >> _HALF) * np.uint64(dimensions) >> _HALF).astype(np.intp)
    buckets += np.repeat(np.arange(VIEWS * n) * dimensions, features.sizes.T.ravel())
    total = np.bincount(buckets, signs * features.weights, VIEWS * n * dimensions)
    views: Any = total.astype(np.float32).reshape(VIEWS, n, dimensions)
    size = np.abs(views)
    lengths = np.sqrt(size.sum(axis=2))  # of the damped views, (VIEWS, n)
    damped = np.copysign(np.sqrt(size), views)
    scale = _WEIGHTS[:, None] / np.maximum(lengths, 1e-9)
    summed: Floats = (damped * scale[:, :, None]).sum(axis=0)  # (VIEWS, n, d) -> (n, d)
    length = np.sqrt(np.einsum("nd,nd->n", summed, summed))
    summed /= np.maximum(length, 1e-9)[:, None]
    return summed
