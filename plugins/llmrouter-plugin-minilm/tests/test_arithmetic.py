"""Multiplying 8-bit integers instead of floats."""

from typing import Any

import numpy as np
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_plugin_minilm.arithmetic import Exact, Quantised, _hadamard
from llmrouter_plugin_minilm.drawing import Drawing
from numpy.typing import NDArray


def multiply(kind: Any, x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]) -> Any:
    """Return `x @ weight + bias` as a graph of *kind* computes it."""
    drawing = Drawing()
    arithmetic = kind(drawing)
    rows = drawing.constant(x.astype(np.float32))
    product = arithmetic.linear(
        arithmetic.prepare(rows, len(weight)), weight.astype(np.float32), bias.astype(np.float32)
    )
    drawing.give(product, weight.shape[1])
    session = onnxruntime.InferenceSession(drawing.finished(), providers=["CPUExecutionProvider"])
    return session.run(None, {})[0]


@given(st.integers(1, 2048))
def test_the_mixing_matrix_is_orthogonal(width: int) -> None:
    """Of a side that divides the width and is at most 32, so that it cancels out."""
    mixer = _hadamard(width)

    assert width % len(mixer) == 0
    assert len(mixer) <= 32
    np.testing.assert_allclose(mixer @ mixer.T, np.eye(len(mixer)), atol=1e-6)


def test_one_huge_column_leaves_the_others_their_precision() -> None:
    """Alone it would: 64 steps of 50 / 63 hold little of numbers around 1."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(6, 64)), rng.normal(size=(64, 24))
    x[:, 3], weight[3] = 50.0, 0.0  # it does not contribute
    bias = rng.normal(size=24)

    exact = x @ weight + bias
    error = np.abs(multiply(Quantised, x, weight, bias) - exact).std() / exact.std()

    assert error < 0.08
    np.testing.assert_allclose(multiply(Exact, x, weight, bias), exact, atol=1e-4)


def test_every_row_has_its_own_scale() -> None:
    """A row of small numbers is as exact beside a row of large ones; zeros give the bias."""
    rng = np.random.default_rng(1)
    small, weight = rng.normal(size=(1, 32)) / 1000, rng.normal(size=(32, 16))
    x = np.concatenate((small, small * 10**6, np.zeros((1, 32))))
    bias = np.arange(16.0)

    rows = multiply(Quantised, x, weight, np.zeros(16))
    np.testing.assert_allclose(rows[0] * 10**6, rows[1], rtol=1e-4)
    np.testing.assert_array_equal(multiply(Quantised, x, weight, bias)[2], bias)
