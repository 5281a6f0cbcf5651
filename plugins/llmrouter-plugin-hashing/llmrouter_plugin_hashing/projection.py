"""From features to embeddings: hash each into a signed bucket, view by view."""

from __future__ import annotations

from typing import Any

import numpy as np
from llmrouter_core import Floats

from llmrouter_plugin_hashing.features import VIEWS, Features

_WEIGHTS = np.array([1.0, 0.5, 1.0, 0.7], np.float32)  # words, edges, shape, 3-grams

# Multiply-xorshift with odd constants mixes every bit of a key into the high half.
_SALTS = np.array([1, 3, 4, 2], np.uint64) * np.uint64(0xC4CEB9FE1A85EC53)
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_HALF, _SIGN_AT, _SIGN = np.uint64(32), np.uint64(47), np.uint64(1 << 63)


def project(features: Features, dimensions: int) -> Floats:
    """Return float32 (n, dimensions) with rows of length one, or zero for a text without features.

    A feature of key *h* and weight *w* adds `sign(h) * w` to bucket `h mod dimensions` of its
    text and view. The embedding is `normalise(sum over views of weight * normalise(damp(view)))`
    with `damp(x) = sign(x) * sqrt(|x|)`.
    """
    n = features.sizes.shape[1]
    hashed = np.repeat(_SALTS, features.sizes.sum(axis=1))
    hashed += features.keys
    hashed *= _FIRST
    hashed ^= hashed >> _HALF
    hashed *= _SECOND
    signs = hashed << _SIGN_AT
    signs &= _SIGN
    signs ^= features.weights.view(np.uint64)  # the sign bit of a float turns it around
    hashed >>= _HALF
    hashed *= np.uint64(dimensions)
    hashed >>= _HALF
    buckets = hashed.view(np.int64)
    buckets += np.repeat(np.arange(VIEWS * n) * dimensions, features.sizes.ravel())
    total = np.bincount(buckets, signs.view(np.float64), VIEWS * n * dimensions)
    views: Any = total.astype(np.float32).reshape(VIEWS, n, dimensions)
    size = np.abs(views)
    lengths = np.sqrt(size.sum(axis=2))  # of the damped views, (VIEWS, n)
    damped = np.copysign(np.sqrt(size, out=size), views, out=size)
    damped *= (_WEIGHTS[:, None] / np.maximum(lengths, 1e-9))[:, :, None]
    words, edges, shape, grams = damped  # (n, d) each
    summed: Floats = words + grams
    summed += edges
    summed += shape
    length = np.sqrt(np.einsum("nd,nd->n", summed, summed))
    summed /= np.maximum(length, 1e-9)[:, None]
    return summed
