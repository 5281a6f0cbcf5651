"""Score models by the shape of a query: its length, lines, digits, code and options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import define
from llmrouter_core.learning import LearnedScorer, Ridge

if TYPE_CHECKING:
    from llmrouter_core import Arrays, Dataset, Floats, Query

_LONGEST = 20_000  # bytes looked at
_DIGITS = b"0123456789"
_CAPITALS = bytes(range(65, 91))
_BEYOND = bytes(range(128, 256))
_PLAIN = bytes(b for b in range(128) if chr(b).isalnum() or chr(b).isspace()) + _BEYOND
_CODE = (b"```", b"def ", b"import ", b"return ", b";\n", b"{", b"}", b"=>", b"->")
_OPTION = re.compile(rb"^[ \t]*\(?[A-Ja-j1-9][.):]", re.MULTILINE)


@define(eq=False, kw_only=True)
class ShapeScorer(LearnedScorer):
    """Ridge regression of every model's quality on what a query looks like, not what it says.

    Ten numbers: the logarithms of characters, words, lines, marks of code, options and sentences,
    and the shares of digits, capitals, punctuation and characters beyond ASCII.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
    """

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the regression of quality (n, m) on shapes (n, 10)."""
        shapes = _shapes(dataset.queries)
        spread = shapes.std(axis=0) + 1e-6
        return {**Ridge.fit(shapes / spread, dataset.quality).arrays(), "shape_spread": spread}

    def prepare(self, learned: Arrays) -> tuple[Ridge, Floats]:
        """Return the regression that *learned* holds, and the spread of the shapes."""
        return Ridge.of(learned), learned["shape_spread"]

    def predict(
        self, learned: tuple[Ridge, Floats], queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return expected quality and its standard error, (n, m) each."""
        ridge, spread = learned
        return ridge.estimate(_shapes(queries) / spread)


def _shapes(queries: Sequence[Query]) -> Floats:
    """Return what the texts look like, float32 (n, 10)."""
    rows = []
    for query in queries:
        raw = query.text.encode("utf-8", "replace")
        read = raw[:_LONGEST]
        length = max(len(read), 1)
        counts = (
            len(raw),
            len(read.split()),
            read.count(b"\n"),
            sum(map(read.count, _CODE)),
            len(_OPTION.findall(read)),
            read.count(b". ") + read.count(b"? "),
        )
        # What a translation leaves out is what there was of it.
        shares = [
            1 - len(read.translate(None, kind)) / length for kind in (_DIGITS, _CAPITALS, _BEYOND)
        ]
        rows.append((*counts, *shares, len(read.translate(None, _PLAIN)) / length))
    found = np.array(rows, np.float32).reshape(-1, 10)
    found[:, :6] = np.log1p(found[:, :6])
    return found
