"""{{ cookiecutter.__summary | trim('.') }}."""

from collections.abc import Sequence

import numpy as np
from attrs import define
from llmrouter_core import Floats, Query, hookimpl

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Embed a query as the share of each letter in it, scaled to length one."""

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return one row of 26 numbers per query, float32 (n, 26)."""
        texts = (query.text.lower() for query in queries)
        counts = [[text.count(letter) for letter in LETTERS] for text in texts]
        rows = np.array(counts, dtype=np.float32).reshape(-1, len(LETTERS))  # (n, 26)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        vectors: Floats = rows / np.maximum(lengths, 1)  # a text without letters stays zero
        return vectors
