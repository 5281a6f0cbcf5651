"""A small pencil for ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


class Drawing:
    """A graph being drawn: every value has a name, and drawing a node returns its output's."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def take(self, name: str) -> str:
        """Draw an input, int64 (n, t)."""
        from onnx import TensorProto, helper

        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]))
        return name

    def constant(self, array: NDArray[Any]) -> str:
        """Draw *array*."""
        from onnx import numpy_helper

        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Draw a node with one output."""
        from onnx import helper

        output = f"{operator}{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [output], domain=domain, **attributes)
        self._nodes.append(node)
        return output

    def floats(self, x: str) -> str:
        """Draw *x* as float32."""
        from onnx import TensorProto

        return self.add("Cast", x, to=TensorProto.FLOAT)

    def give(self, name: str, width: int) -> None:
        """Make *name* the output `last_hidden_state`, float32 (n, t, *width*)."""
        from onnx import TensorProto, helper

        output = "last_hidden_state"
        self._nodes.append(helper.make_node("Identity", [name], [output]))
        shape: list[str | int | None] = ["n", "t", width]
        self._outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))

    def finished(self) -> bytes:
        """Return the graph as ONNX Runtime reads it."""
        from onnx import helper

        graph = helper.make_graph(
            self._nodes, "encoder", self._inputs, self._outputs, initializer=self._constants
        )
        versions = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=9)
        content: bytes = model.SerializeToString()
        return content
