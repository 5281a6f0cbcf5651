"""From texts to embeddings: the mean of the vectors of the tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import define, field
from llmrouter_core import Floats

from llmrouter_plugin_static.table import Table
from llmrouter_plugin_static.tokens import Read, reader


@define(eq=False)
class Averager:
    """A table, and what cuts a text into its tokens."""

    _table: Table
    _read: Read = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._read = reader(self._table.tokenizer)

    def average(self, texts: Sequence[str]) -> Floats:
        """Return float32 (n, d) with rows of length one, or zero for a text without a token.

        A weighted mean, the weights being part of the vectors, has the direction of the sum.
        """
        rows, scales = self._table.rows, self._table.scales
        found = np.zeros((len(texts), rows.shape[1]), np.float32)
        for row, text in enumerate(texts):
            ids = self._read(text)
            if ids:
                found[row] = scales.take(ids) @ rows.take(ids, axis=0).astype(np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", found, found))
        found /= np.maximum(lengths, 1e-9)[:, None]
        return found
