"""The layers of a BERT as ONNX nodes, in float32 or with int8 products.

Shapes: B sequences, S tokens of the longest, N = B S rows, H hidden, K inputs and O outputs of a product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.export.graph import Graph
from bertworks.export.int8 import quantized_columns, quantized_rows

# fp32: as it is. int8: rows of activations are quantised when the graph runs, the products are whole numbers.
# int8_weights: weights are stored as int8 and expanded by the program that reads them (OpenVINO).
Products = Literal["fp32", "int8", "int8_weights"]


@dataclass
class Layers:
    """A graph, and the weights that it takes.

    Attributes:
        weights: by our names, float32; they keep these names as initialisers.
        products: how the large products are computed.
    """

    weights: Mapping[str, NDArray[np.float32]]
    products: Products
    graph: Graph = field(default_factory=Graph)
    _quantized: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def weight(self, name: str) -> str:
        """Return a weight as an initialiser."""
        return self.graph.keep(name, self.weights[name])

    def linear(self, x: str, name: str) -> str:
        """Compute a small dense layer in float32: x [N, K] -> [N, O]."""
        return self.graph.op("Gemm", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), transB=1)

    def product(self, x: str, name: str) -> str:
        """Compute a large dense layer, in whichever way the graph was asked to: x [N, K] -> [N, O]."""
        return self.product_of(x, f"{name}.weight", f"{name}.bias")

    def product_of(self, x: str, weight: str, bias: str) -> str:
        """The same for a weight [O, K] and a bias [O] by their names."""
        graph = self.graph
        if self.products == "fp32":
            return graph.op("Gemm", x, self.weight(weight), self.weight(bias), transB=1)
        numbers, scale = quantized_columns(self.weights[weight])
        stored = graph.keep(f"{weight}_scale", scale)
        if self.products == "int8_weights":
            stored = graph.op("DequantizeLinear", graph.keep(f"{weight}_quantized", numbers), stored, axis=0)
            return graph.op("Gemm", x, stored, self.weight(bias), transB=1)
        rows, row_scale, one = self._quantized_rows(x)
        transposed = graph.keep(f"{weight}_quantized", np.ascontiguousarray(numbers.T))
        total = graph.op("Cast", graph.op("MatMulInteger", rows, transposed, self._middle()), to=1)
        # ONNX Runtime makes one operation of these three where all rows have one scale, told when it runs. Such a scale
        # would let a text depend on its neighbours, so it is 1, and that of each row comes after.
        of_outputs = graph.op("Mul", total, graph.op("Mul", one, stored))
        return graph.op("Add", graph.op("Mul", of_outputs, row_scale), self.weight(bias))

    def _middle(self) -> str:
        return self.graph.keep("middle of uint8", np.array(128, np.uint8))

    def _quantized_rows(self, x: str) -> tuple[str, str, str]:
        """Return rows [N, K] as uint8 around 128, the scale of each [N, 1], and 1; once for all who read these rows."""
        if x not in self._quantized:
            graph = self.graph
            largest = graph.op("ReduceMax", graph.op("Abs", x), axes=[-1], keepdims=1)
            scale = graph.op("Max", graph.op("Mul", largest, graph.number(1 / 127)), graph.number(1e-30))
            rows = graph.op("QuantizeLinear", graph.op("Div", x, scale), graph.number(1.0), self._middle())
            one = graph.op("Sign", graph.op("ReduceMax", scale, keepdims=0))
            self._quantized[x] = rows, scale, one
        return self._quantized[x]

    def words(self, ids: str, name: str) -> str:
        """Look up rows of the table of words; with int8, each row of the table is stored as int8."""
        graph = self.graph
        if self.products == "fp32":
            return graph.op("Gather", self.weight(name), ids)
        numbers, scale = quantized_rows(self.weights[name])
        found = graph.op("Cast", graph.op("Gather", graph.keep(f"{name}_rows", numbers), ids), to=1)
        return graph.op("Mul", found, graph.op("Gather", graph.keep(f"{name}_rows_scale", scale), ids))

    def norm(self, x: str, name: str, epsilon: float) -> str:
        """Compute LayerNorm over the last axis."""
        scale, shift = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.graph.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon)


def activate(graph: Graph, x: str, name: str) -> str:
    """Add an activation of `config.ACTIVATIONS`, or of the dense layers of sentence-transformers.

    Raises:
        InputError: there is no ONNX form of it.
    """
    if name not in _ACTIVATIONS:
        raise InputError(f"the activation {name!r} has no ONNX form here; there are {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name](graph, x)


def _gelu(graph: Graph, x: str) -> str:
    """Compute x / 2 (1 + erf(x / sqrt 2))."""
    inner = graph.op("Erf", graph.op("Div", x, graph.number(math.sqrt(2))))
    return _half_of(graph, x, inner)


def _gelu_new(graph: Graph, x: str) -> str:
    """Compute x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    cube = graph.op("Mul", graph.op("Mul", x, x), x)
    total = graph.op("Add", x, graph.op("Mul", cube, graph.number(0.044715)))
    inner = graph.op("Tanh", graph.op("Mul", total, graph.number(math.sqrt(2 / math.pi))))
    return _half_of(graph, x, inner)


def _half_of(graph: Graph, x: str, inner: str) -> str:
    """Compute x (1 + inner) / 2."""
    return graph.op("Mul", graph.op("Mul", x, graph.op("Add", inner, graph.number(1.0))), graph.number(0.5))


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_new,
    "relu": lambda graph, x: graph.op("Relu", x),
    "tanh": lambda graph, x: graph.op("Tanh", x),
    "linear": lambda graph, x: x,
    "sigmoid": lambda graph, x: graph.op("Sigmoid", x),
}
