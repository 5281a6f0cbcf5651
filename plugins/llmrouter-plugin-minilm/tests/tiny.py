"""A sentence encoder of 20,000 random numbers, and what it should compute, in plain numpy."""

from __future__ import annotations

import json
from math import erf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WIDTH, HEADS, LAYERS, INNER, POSITIONS = 32, 4, 2, 64, 24
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz0123456789.,?!"]
WORDS += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
WORDS += ["the", "what", "is", "prime", "##ing", "river", "sum", "of"]
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "layer_norm_eps": 1e-12,
}

Tensors = dict[str, np.ndarray[Any, Any]]


def weights(seed: int = 0) -> Tensors:
    """Return random weights."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray[Any, Any]:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    found: Tensors = {
        "embeddings.word_embeddings.weight": normal(len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH),
    }
    norms = ["embeddings"]
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        sides = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        sides |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (INNER, WIDTH)}
        for name, shape in (sides | {"output.dense": (WIDTH, INNER)}).items():
            found[f"{layer}.{name}.weight"] = normal(*shape)
            found[f"{layer}.{name}.bias"] = normal(shape[0])
        norms += [f"{layer}.attention.output", f"{layer}.output"]
    for name in norms:
        found[f"{name}.LayerNorm.weight"] = 1 + normal(WIDTH)
        found[f"{name}.LayerNorm.bias"] = normal(WIDTH)
    return found


def tokenizer() -> Tokenizer:
    """Return a WordPiece tokenizer like BERT's, that was saved while it padded."""
    found = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    found.enable_padding(length=8)
    found.enable_truncation(4)
    return found


def write(folder: Path, tensors: Tensors | None = None, **changes: Any) -> Path:
    """Write an encoder as sentence-transformers does, *changes* made to its config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    save_file(weights() if tensors is None else tensors, str(folder / "model.safetensors"))
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def forward(text: str, tensors: Tensors, tokens: int = POSITIONS) -> np.ndarray[Any, Any]:
    """Return the vectors of the tokens of *text*, (t, d), in double precision."""
    found = tokenizer()
    found.no_padding()
    found.enable_truncation(tokens)
    ids = found.encode(text).ids

    def of(name: str) -> np.ndarray[Any, Any]:
        return tensors[name].astype(np.float64)

    def linear(x: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        return x @ of(f"{name}.weight").T + of(f"{name}.bias")

    def norm(x: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        centred = x - x.mean(axis=1, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
        return unit * of(f"{name}.LayerNorm.weight") + of(f"{name}.LayerNorm.bias")

    x = of("embeddings.word_embeddings.weight")[ids]
    x = x + of("embeddings.position_embeddings.weight")[: len(ids)]
    x = norm(x + of("embeddings.token_type_embeddings.weight")[0], "embeddings")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        split = [
            linear(x, f"{layer}.attention.self.{part}").reshape(len(ids), HEADS, -1)
            for part in ("query", "key", "value")
        ]
        query, key, value = (part.transpose(1, 0, 2) for part in split)  # (heads, t, d / heads)
        power = np.exp(query @ key.transpose(0, 2, 1) / sqrt(WIDTH / HEADS))
        seen = power / power.sum(axis=2, keepdims=True) @ value
        joined = seen.transpose(1, 0, 2).reshape(len(ids), WIDTH)
        x = norm(
            x + linear(joined, f"{layer}.attention.output.dense"), f"{layer}.attention.output"
        )
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * (1 + np.vectorize(erf)(inner / sqrt(2))) / 2
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output")
    return x
