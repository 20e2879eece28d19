"""`bert serve`: by torch, or by ONNX Runtime or OpenVINO from a folder that `bert export` wrote."""

from __future__ import annotations

import sys
from typing import cast

from bertworks import __version__, load
from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.benchmark.peers.serving import MODEL, PORT, needed, served
from bertworks.export.runtime import Precision, Runtime
from bertworks.export.write import export

_LIBRARIES: dict[str, tuple[str, ...]] = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}


def prepare(order: Order) -> Prepared:
    """Start `bert serve`; the setting is its runtime."""
    command = [sys.executable, "-m", "bertworks", "serve", f"--port={PORT}", f"--precision={order.precision}"]
    if order.setting == "torch":
        return served(order, [*command, f"--device={order.device}", f"{MODEL}={order.model}"], __version__, "by torch")
    needed(*_LIBRARIES[order.setting])
    runtime, precision = cast(Runtime, order.setting), cast(Precision, order.precision)
    folder = order.model.parent / f"{runtime}-{precision}"
    if not folder.exists():
        export(load(order.model, device="cpu"), folder, runtime, precision)
    words = [*command, f"--runtime={runtime}", f"{MODEL}={folder}"]
    return served(order, words, __version__, f"by {order.setting}")
