"""An ONNX graph while it is built: nodes, initialisers, and the file they are written to.

A node is named after its output. Initialisers are numpy arrays, which are not copied until they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.export.libraries import library

# LayerNormalization came with operator set 17; every runtime since the middle of 2022 reads it and this form of files.
OPSET = 17
IR_VERSION = 8

# A protocol buffer ends at 2 GiB. Beyond that the initialisers lie in a second file, from multiples of a page on, so
# that they can be mapped into memory.
MOST_BYTES = (1 << 31) - (16 << 20)
_PAGE = 4096
_SMALL = 1024


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        axes: a size, or the name of a size that is free.
    """

    name: str
    axes: tuple[int | str, ...]
    dtype: Literal["int64", "float32"] = "float32"


class Graph:
    """Nodes in the order in which they are computed, and constants by name."""

    def __init__(self) -> None:
        self._onnx = library("onnx")
        self._nodes: list[Any] = []
        self.initialisers: dict[str, NDArray[Any]] = {}

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        """Add a node with one output, and return the output's name."""
        (output,) = self.ops(kind, *inputs, names=(name or f"{kind}_{len(self._nodes)}",), **attributes)
        return output

    def ops(self, kind: str, *inputs: str, names: Sequence[str], **attributes: object) -> Sequence[str]:
        """Add a node with several outputs of these names."""
        node = self._onnx.helper.make_node(kind, list(inputs), list(names), name=names[0], **attributes)
        self._nodes.append(node)
        return names

    def keep(self, name: str, values: NDArray[Any]) -> str:
        """Add an initialiser, unless there is one of this name, and return the name."""
        self.initialisers.setdefault(name, values)
        return name

    def number(self, value: float) -> str:
        """Return a float32 constant."""
        return self.keep(f"number {value!r}", np.array(value, np.float32))

    def index(self, value: int) -> str:
        """Return an int64 constant without an axis."""
        return self.keep(f"index {value}", np.array(value, np.int64))

    def whole(self, *values: int) -> str:
        """Return an int64 constant of one axis."""
        return self.keep(f"whole {values}", np.array(values, np.int64))

    @property
    def bytes(self) -> int:
        """The size of all initialisers."""
        return sum(values.nbytes for values in self.initialisers.values())

    def write(
        self, path: Path, inputs: Sequence[Port], outputs: Sequence[Port], about: str, *, largest: int | None = None
    ) -> list[Path]:
        """Write the graph, and return its files: two if the initialisers have more bytes than `largest` (2 GB)."""
        helper, files = self._onnx.helper, [path]
        graph = helper.make_graph(
            self._nodes, path.stem, [self._value(port) for port in inputs], [self._value(port) for port in outputs]
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="bertworks", doc_string=about
        )
        if self.bytes > (MOST_BYTES if largest is None else largest):
            files.append(path.with_name(f"{path.name}_data"))
            self._store_outside(model.graph, files[1])
        else:
            for name, values in self.initialisers.items():
                self._tensor(model.graph, name, values).raw_data = values.tobytes()
        path.write_bytes(model.SerializeToString())
        self._onnx.checker.check_model(str(path))
        return files

    def _value(self, port: Port) -> Any:
        kind = {"int64": self._onnx.TensorProto.INT64, "float32": self._onnx.TensorProto.FLOAT}[port.dtype]
        return self._onnx.helper.make_tensor_value_info(port.name, kind, list(port.axes))

    def _tensor(self, graph: Any, name: str, values: NDArray[Any]) -> Any:
        """Add an initialiser without data to the message, in place: what is added otherwise is copied."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        return graph.initializer.add(name=name, dims=values.shape, data_type=kind)

    def _store_outside(self, graph: Any, file: Path) -> None:
        """Write the initialisers to a file, and refer to them in the message; small ones stay in it."""
        with file.open("wb") as stream:
            for name, values in self.initialisers.items():
                tensor = self._tensor(graph, name, values)
                if values.nbytes < _SMALL:
                    tensor.raw_data = values.tobytes()
                    continue
                stream.write(bytes(-stream.tell() % _PAGE))
                places = {"location": file.name, "offset": stream.tell(), "length": values.nbytes}
                stream.write(np.ascontiguousarray(values).data)
                tensor.data_location = self._onnx.TensorProto.EXTERNAL
                for key, value in places.items():
                    tensor.external_data.add(key=key, value=str(value))
