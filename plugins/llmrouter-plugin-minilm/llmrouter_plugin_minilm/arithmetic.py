"""How a graph multiplies by weights: in floats, or in integers after a rotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from llmrouter_plugin_minilm.drawing import MICROSOFT, Drawing

_LARGEST = 127  # of a weight
_HALF = 63  # of an activation: 2 * (63 + 64) * 127 < 2 ** 15, see Quantised
_WIDEST = 32  # columns that are mixed: wider is hardly more exact, and dearer


@frozen
class Exact:
    """Float32 throughout.

    Attributes:
        drawing: Where to draw.
        table: The type of the table of word vectors.
    """

    drawing: Drawing
    table: Any = np.float32

    def prepare(self, x: str, width: int) -> str:
        """Draw what *x*, (k, *width*), must become before it is multiplied."""
        return x

    def linear(self, x: str, weight: NDArray[Any], bias: NDArray[Any] | None) -> str:
        """Draw `x @ weight + bias`: (k, a) by (a, b)."""
        product = self.drawing.add("MatMul", x, self.drawing.constant(weight))
        return _shifted(self.drawing, product, bias)


@frozen
class Quantised:
    """Integers of 8 bits, with a scale for every token and every output.

    One column of the activations can be twenty times as large as the others and would leave
    these no precision. Multiplying by an orthogonal Hadamard matrix H, 32 columns at a time,
    spreads it, and cancels out: `x @ W = (x @ H) @ (H.T @ W)` (Ashkboos et al. 2024, arXiv
    2404.00456). H.T @ W is computed once. A scale for every token keeps a text independent of
    its batch.

    Older processors add two neighbouring products in 16 bits. Activations of 0..127 cannot
    overflow there, so all processors compute the same.

    Attributes:
        drawing: Where to draw.
        table: The type of the table of word vectors.
    """

    drawing: Drawing
    table: Any = np.float16

    def prepare(self, x: str, width: int) -> tuple[str, str, str]:
        """Draw *x*, (k, *width*), as integers around a zero, with the scales (k, 1)."""
        add, constant = self.drawing.add, self.drawing.constant
        mixer = _hadamard(width)
        parts = add("Reshape", x, constant(np.array([-1, len(mixer)])))
        mixed = add("MatMul", parts, constant(mixer))
        x = add("Reshape", mixed, constant(np.array([-1, width])))
        last = constant(np.array([1]))
        largest = add("ReduceMax", add("Abs", x), last, keepdims=0)  # (k,)
        scale = add("Mul", largest, constant(np.array(1 / _HALF, np.float32)))
        scale = add("Max", scale, constant(np.array(1e-20, np.float32)))  # a row of zeros
        zero = constant(np.array(_HALF + 1, np.uint8))
        zeros = add("Expand", zero, add("Shape", scale))
        integers = add("QuantizeLinear", x, scale, zeros, axis=0)
        return integers, add("Unsqueeze", scale, last), zero

    def linear(
        self, prepared: Sequence[str], weight: NDArray[Any], bias: NDArray[Any] | None
    ) -> str:
        """Draw `x @ weight + bias`: (k, a) by (a, b)."""
        add, constant = self.drawing.add, self.drawing.constant
        integers, scale, zero = prepared
        mixer = _hadamard(len(weight))
        parts = weight.reshape(-1, len(mixer), weight.shape[1])
        mixed = (mixer.T @ parts).reshape(weight.shape)
        scales = np.maximum(np.abs(mixed).max(axis=0) / _LARGEST, 1e-20).astype(np.float32)
        product = add(
            "MatMulIntegerToFloat",
            integers,
            constant(np.rint(mixed / scales).astype(np.int8)),
            constant(np.array(1, np.float32)),
            constant(scales),
            zero,
            constant(np.array(0, np.int8)),
            domain=MICROSOFT,
        )
        return _shifted(self.drawing, add("Mul", product, scale), bias)


def _shifted(drawing: Drawing, x: str, bias: NDArray[Any] | None) -> str:
    return x if bias is None else drawing.add("Add", x, drawing.constant(bias))


def _hadamard(width: int) -> NDArray[np.float32]:
    """Return the orthogonal Hadamard matrix of the largest side that divides *width*."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < _WIDEST and width % (2 * len(matrix)) == 0:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    scaled: NDArray[np.float32] = matrix / np.sqrt(np.float32(len(matrix)))
    return scaled
