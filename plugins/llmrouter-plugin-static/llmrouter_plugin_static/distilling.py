"""From a sentence encoder to a table: embed every token, keep what varies most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from llmrouter_core import Floats, Query
from numpy.typing import NDArray

from llmrouter_plugin_static.table import Table
from llmrouter_plugin_static.tokens import reader, words

STEPS = 7
"""Values of a number above zero, and as many below: a mean of tokens needs no more."""

_AT_ONCE = 256  # tokens embedded at a time


class Encoder(Protocol):
    """Anything that embeds; every embedder of LLMRouter does."""

    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d), one row per query."""


def distill(
    encoder: Encoder,
    tokenizer: str,
    *,
    dimensions: int = 256,
    smoothing: float = 0.03,
    texts: Iterable[str] | None = None,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[float], object] = lambda share: None,
) -> Table:
    """Return a table of the vectors that *encoder* gives the tokens of *tokenizer*.

    Every token is embedded as a text of its own, as in Model2Vec (Tulkens & van Dongen 2024). The
    vectors are centred, turned to their principal components, and weighted by `a / (a + p)`,
    where p is how frequent the token is (Arora et al. 2017, smooth inverse frequency, equation 3).

    Args:
        encoder: What gives the vectors, (v, e) in all.
        tokenizer: The content of a `tokenizer.json`, best the encoder's own.
        dimensions: Components that are kept; at most e.
        smoothing: a; the larger, the less the weights differ.
        texts: Where tokens are counted. By default p falls with the rank (Zipf's law): a
            vocabulary lists its frequent tokens first.
        about: What the manifest says besides.
        progress: Told the share that is done.

    Raises:
        ValueError: The encoder has fewer dimensions, or no token has a vector.
        ArtefactError: The tokenizer takes a library that is not installed.
    """
    tokenizer, tokens = words(tokenizer)
    vectors, known = _vectors(encoder, tokens, progress)
    if not 0 < dimensions <= vectors.shape[1]:
        raise ValueError(
            f"'dimensions' must be between 1 and the encoder's {vectors.shape[1]}: {dimensions}"
        )
    if known.sum() < 2:
        raise ValueError("the encoder gives no two tokens a vector; give its own tokenizer")
    turned, kept = _principal(vectors, known, dimensions)
    frequency = _by_rank(tokens) if texts is None else _by_count(tokenizer, texts, len(tokens))
    turned *= (smoothing / (smoothing + frequency))[:, None]
    scales = np.abs(turned).max(axis=1) / STEPS
    rows = np.rint(turned / np.maximum(scales, 1e-30)[:, None])
    return Table(
        rows=rows.astype(np.int8),
        scales=scales.astype(np.float32),
        tokenizer=tokenizer,
        about={
            **(about or {}),
            "smoothing": smoothing,
            "frequencies": "rank" if texts is None else "texts",
            "variance_kept": round(kept, 4),
        },
    )


def _vectors(
    encoder: Encoder, tokens: Sequence[str], progress: Callable[[float], object]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a vector for each token, (v, e), zero where it has none, and which have one."""
    known = np.array([bool(token.strip()) for token in tokens], dtype=bool)
    there = np.flatnonzero(known)
    width = encoder.embed([Query(text="a")]).shape[1]
    vectors = np.zeros((len(tokens), width))
    for start in range(0, len(there), _AT_ONCE):
        chunk = there[start : start + _AT_ONCE]
        vectors[chunk] = encoder.embed([Query(text=tokens[token]) for token in chunk])
        progress(min(1.0, (start + len(chunk)) / len(there)))
    return vectors, known & vectors.any(axis=1)


def _principal(
    vectors: NDArray[np.float64], known: NDArray[np.bool_], dimensions: int
) -> tuple[NDArray[np.float64], float]:
    """Return the first principal components, (v, *dimensions*), and their share of variance."""
    centred = np.where(known[:, None], vectors - vectors[known].mean(axis=0), 0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(-values)[:dimensions]
    axes = axes[:, order]
    # The sign of an axis is free: fixed, so that equal input gives equal tables.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)])
    turned: NDArray[np.float64] = centred @ axes
    return turned, float(values[order].sum() / max(values.sum(), 1e-30))


def _by_rank(tokens: Sequence[str]) -> NDArray[np.float64]:
    """Return frequencies that sum to one: 1 / (rank + 2), as Zipf and Mandelbrot have it.

    Vocabularies list single characters of all scripts before the words; they are not frequent.
    """
    order = sorted(range(len(tokens)), key=lambda i: (len(tokens[i]) == 1 and tokens[i] > "~", i))
    frequency = np.empty(len(tokens))
    frequency[order] = 1 / (np.arange(len(tokens)) + 3.0)
    frequency /= frequency.sum()
    return frequency


def _by_count(tokenizer: str, texts: Iterable[str], size: int) -> NDArray[np.float64]:
    """Return the share of each token among those of *texts*."""
    read, counts = reader(tokenizer), Counter[int]()
    for text in texts:
        counts.update(read(text))
    frequency = np.zeros(size)
    frequency[list(counts)] = list(counts.values())
    frequency /= max(1.0, frequency.sum())
    return frequency
