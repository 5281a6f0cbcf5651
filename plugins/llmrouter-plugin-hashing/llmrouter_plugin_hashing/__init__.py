"""Embed text by hashing its words, character n-grams and shape: no model, no fit, numpy only."""

from collections.abc import Sequence

import numpy as np
from attrs import define, field, validators
from llmrouter_core import Floats, Query, hookimpl

from llmrouter_plugin_hashing.features import Features
from llmrouter_plugin_hashing.projection import project

_CHUNK = 16  # texts embedded at a time, so that the work stays in the processor's cache


@define(eq=False, kw_only=True)
class HashingEmbedder:
    """Signed feature hashing (Weinberger et al. 2009, arXiv 0902.2206) of four views of a text.

    The views are its words, its character 3-grams, its opening and closing words, and its shape
    (length, digits, punctuation, lines). Each is hashed into its own *dimensions* buckets, damped
    by a signed square root and scaled to unit length; their weighted sum is scaled to unit length
    again. The cosine of two texts is then about the weighted mean of the four views' cosines, and
    none drowns the others however long a text is.

    Every hash is CRC-32 or 64-bit integer arithmetic on UTF-8 bytes, so an embedding is the same
    in every process and on every machine.

    Attributes:
        dimensions: Length of an embedding.
        longest: Characters that are read: a longer text is cut to its head and its tail, so that
            the time to embed is bounded whatever is sent.
    """

    dimensions: int = field(default=512, validator=[validators.ge(8), validators.le(1 << 16)])
    longest: int = field(default=4000, validator=validators.ge(16))

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, dimensions) with rows of length one."""
        embeddings = np.empty((len(queries), self.dimensions), np.float32)
        for start in range(0, len(queries), _CHUNK):
            chunk = queries[start : start + _CHUNK]
            features = Features.of([self._cut(query.text) for query in chunk])
            embeddings[start : start + _CHUNK] = project(features, self.dimensions)
        return embeddings

    def _cut(self, text: str) -> str:
        if len(text) <= self.longest:
            return text
        half = self.longest // 2
        return f"{text[:half]} {text[-half:]}"
