"""Embed text with a MiniLM or another BERT sentence encoder, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from attrs import define, field, validators
from llmrouter_core import Floats, Query, hookimpl

from llmrouter_plugin_minilm.locating import DEFAULT

if TYPE_CHECKING:
    from llmrouter_plugin_minilm.encoder import Encoder


@define(eq=False, kw_only=True)
class MinilmEmbedder:
    """Sentence-BERT (Reimers & Gurevych 2019, arXiv 1908.10084) with ONNX Runtime.

    The encoder is loaded when the first queries come, by whichever thread brings them. An
    embedding does not depend on what else is in the batch.

    Attributes:
        model: A folder as sentence-transformers saves it, or the name of one on the Hugging Face
            hub. A relative folder starts in the working directory.
        longest: Characters that are read: a longer text is cut to its head and its tail before
            it is cut into tokens, so that the time this takes is bounded.
        tokens: Tokens that are read, from the start of the text; None is what the encoder was
            made for. Never more than it has positions.
        threads: Processor threads for one batch.
        quantise: Multiply 8-bit integers instead of floats, about twice as fast; the cosine to
            the exact embedding stays above 0.99.
    """

    model: str = field(default=DEFAULT, validator=validators.min_len(1))
    longest: int = field(default=4000, validator=validators.ge(16))
    tokens: int | None = field(default=None, validator=validators.optional(validators.ge(3)))
    threads: int = field(default=1, validator=[validators.ge(1), validators.le(1024)])
    quantise: bool = True
    _lock: Lock = field(init=False, repr=False, factory=Lock)
    _encoder: Encoder | None = field(init=False, repr=False, default=None)

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d) with rows of length one; d is the encoder's.

        Raises:
            ConfigError: The encoder cannot be found, or cannot be used.
        """
        return self._loaded().encode([self._cut(query.text) for query in queries])

    def _cut(self, text: str) -> str:
        if len(text) <= self.longest:
            return text
        half = self.longest // 2
        return f"{text[:half]} {text[-half:]}"

    def _loaded(self) -> Encoder:
        with self._lock:
            if self._encoder is None:
                from llmrouter_plugin_minilm.encoder import Encoder

                self._encoder = Encoder.load(
                    self.model, tokens=self.tokens, threads=self.threads, quantise=self.quantise
                )
            return self._encoder
