"""From texts to embeddings: tokens, the network, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field
from llmrouter_core import Floats
from llmrouter_core.errors import ConfigError

from llmrouter_plugin_minilm.layout import Layout
from llmrouter_plugin_minilm.locating import PLACE, locate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_AT_ONCE = 2048  # tokens in one run: more is no faster and takes memory

_POOL = {
    "mean": lambda hidden: hidden.mean(axis=1),
    "cls": lambda hidden: hidden[:, 0],
    "max": lambda hidden: hidden.max(axis=1),
}


@define(eq=False)
class Encoder:
    """A tokenizer and a session of ONNX Runtime; both may be used by many threads at once."""

    _tokenizer: Tokenizer
    _session: Any
    _pooling: str
    _inputs: tuple[str, ...] = field(init=False)
    _width: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._inputs = tuple(one.name for one in self._session.get_inputs())
        self._width = self._run(np.array([self._tokenizer.encode("").ids])).shape[1]

    @classmethod
    def load(cls, model: str, *, tokens: int | None, threads: int, quantise: bool) -> Encoder:
        """Return the encoder that *model* names.

        Raises:
            ConfigError: It cannot be found, or cannot be used.
        """
        layout = Layout.read(locate(model))
        try:
            return cls(
                _tokenizer(layout, tokens), _session(layout, threads, quantise), layout.pooling
            )
        except ConfigError:
            raise
        except Exception as error:
            # What the libraries raise is theirs; what to do about it is always the same.
            lines = str(error).strip().splitlines() or [""]
            reason = f"{type(error).__name__}: {lines[0]:.160}"
            raise ConfigError(
                PLACE, [f"{layout.folder}: cannot be loaded ({reason}); save the encoder again"]
            ) from error

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return float32 (n, d) with rows of length one.

        Texts with equally many tokens run together: nothing is padded, so nothing is wasted, and
        whatever else is in the batch, each text meets the same arithmetic.
        """
        found = [self._tokenizer.encode(_valid(text)).ids for text in texts]
        rows = np.empty((len(found), self._width), np.float32)
        order = sorted(range(len(found)), key=lambda row: len(found[row]))
        for length, members in groupby(order, key=lambda row: len(found[row])):
            alike, size = list(members), max(1, _AT_ONCE // length)
            for start in range(0, len(alike), size):
                chunk = alike[start : start + size]
                rows[chunk] = self._run(np.array([found[row] for row in chunk], np.int64))
        rows /= np.maximum(np.sqrt(np.einsum("nd,nd->n", rows, rows)), 1e-12)[:, None]
        return rows

    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the pooled vectors (n, d) of texts of t tokens each, *ids* (n, t)."""
        given = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        [hidden] = self._session.run([_output(self._session)], {n: given[n] for n in self._inputs})
        pooled: NDArray[np.float32] = hidden if hidden.ndim == 2 else _POOL[self._pooling](hidden)
        return pooled


def _output(session: Any) -> str:
    """Return the output to read: the sentence's vector where the graph pools, else the tokens'."""
    names = [one.name for one in session.get_outputs()]
    return "sentence_embedding" if "sentence_embedding" in names else names[0]


def _valid(text: str) -> str:
    """Return *text* with what is no Unicode, lone surrogates, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _tokenizer(layout: Layout, tokens: int | None) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(layout.tokenizer))
    tokenizer.no_padding()
    positions = layout.config.get("max_position_embeddings", 512)
    tokenizer.enable_truncation(layout.tokens if tokens is None else min(tokens, positions))
    return tokenizer


def _session(layout: Layout, threads: int, quantise: bool) -> Any:
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if layout.onnx is not None:
        graph: str | bytes = str(layout.onnx)
    else:
        from llmrouter_plugin_minilm.graph import build

        graph = build(layout, quantise)
        # Full optimisation would fuse additions with normalisations: 5 x slower than apart.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
