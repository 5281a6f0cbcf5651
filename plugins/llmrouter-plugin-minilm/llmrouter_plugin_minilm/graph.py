"""BERT as an ONNX graph, built from its weights: no exporter, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from llmrouter_core.errors import ConfigError
from numpy.typing import NDArray

from llmrouter_plugin_minilm.arithmetic import Exact, Quantised
from llmrouter_plugin_minilm.drawing import MICROSOFT, Drawing
from llmrouter_plugin_minilm.layout import Layout
from llmrouter_plugin_minilm.locating import PLACE

Weights = Mapping[str, NDArray[Any]]


def build(layout: Layout, quantise: bool) -> bytes:
    """Return the graph: `input_ids` int64 (n, t) to `last_hidden_state` float32 (n, t, d).

    The layers are those of Devlin et al. 2018 (arXiv 1810.04805). All texts of a run have t
    tokens, so there is no mask.

    Args:
        layout: An encoder with the weights of a BERT.
        quantise: Multiply 8-bit integers instead of floats.

    Raises:
        ConfigError: The network is of a kind that is not built here, or weights are missing.
    """
    from safetensors.numpy import load_file

    config = layout.config
    kind = (config.get("hidden_act"), config.get("position_embedding_type", "absolute"))
    if kind != ("gelu", "absolute") or config.get("is_decoder"):
        raise ConfigError(
            PLACE,
            [
                f"{layout.folder}: is a BERT with {kind[0]} and {kind[1]} positions, and built is "
                "only one with gelu and absolute ones; export it to ONNX, and drop its safetensors"
            ],
        )
    weights = {
        name.removeprefix("bert."): array.astype(np.float32, copy=False)
        for name, array in load_file(str(layout.weights)).items()
    }
    drawing = Drawing()
    arithmetic = Quantised(drawing) if quantise else Exact(drawing)
    try:
        _draw(drawing, arithmetic, config, weights)
    except KeyError as error:
        raise ConfigError(
            PLACE, [f"{layout.folder}: lacks {error.args[0]}; save the encoder again"]
        ) from None
    return drawing.finished()


def _draw(
    drawing: Drawing, arithmetic: Exact | Quantised, config: Mapping[str, Any], weights: Weights
) -> None:
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    epsilon = float(config.get("layer_norm_eps", 1e-12))

    def normal(x: str, name: str) -> str:
        scale = drawing.constant(weights[f"{name}.weight"])
        shift = drawing.constant(weights[f"{name}.bias"])
        return drawing.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon)

    def linear(prepared: Any, name: str, bias: bool = True) -> str:
        shift = weights[f"{name}.bias"] if bias else None
        return arithmetic.linear(prepared, weights[f"{name}.weight"].T, shift)

    embedded = _embedded(drawing, arithmetic, weights)
    shape = drawing.add("Shape", embedded)  # n, t, d
    flat = drawing.constant(np.array([-1, width]))
    x = normal(drawing.add("Reshape", embedded, flat), "embeddings.LayerNorm")  # (n * t, d)
    for number in range(int(config["num_hidden_layers"])):
        layer = f"encoder.layer.{number}"
        prepared = arithmetic.prepare(x, width)
        asked = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        sides = [
            drawing.add("Reshape", linear(prepared, name, bias=False), shape) for name in asked
        ]
        biases = drawing.constant(np.concatenate([weights[f"{name}.bias"] for name in asked]))
        seen = drawing.add("MultiHeadAttention", *sides, biases, domain=MICROSOFT, num_heads=heads)
        prepared = arithmetic.prepare(drawing.add("Reshape", seen, flat), width)
        seen = linear(prepared, f"{layer}.attention.output.dense")
        x = normal(drawing.add("Add", x, seen), f"{layer}.attention.output.LayerNorm")
        inner = linear(arithmetic.prepare(x, width), f"{layer}.intermediate.dense")
        prepared = arithmetic.prepare(drawing.add("Gelu", inner), int(config["intermediate_size"]))
        outer = linear(prepared, f"{layer}.output.dense")
        x = normal(drawing.add("Add", x, outer), f"{layer}.output.LayerNorm")
    drawing.give(drawing.add("Reshape", x, shape), width)


def _embedded(drawing: Drawing, arithmetic: Exact | Quantised, weights: Weights) -> str:
    """Draw word, position and segment vectors, summed: (n, t, d)."""
    words = weights["embeddings.word_embeddings.weight"]
    places = weights["embeddings.position_embeddings.weight"]
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    found = drawing.add(
        "Gather", drawing.constant(words.astype(arithmetic.table)), drawing.take("input_ids")
    )
    zero = drawing.constant(np.array([0]))
    length = drawing.add("Shape", "input_ids", start=1, end=2)
    there = drawing.add("Slice", drawing.constant(places + segment), zero, length)
    return drawing.add("Add", drawing.floats(found), there)
