"""ONNX Runtime on the graph that `transformers` and torch export; int8 as its own tool quantizes it, dynamically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from bertworks.benchmark.peers.encoding import one_after_the_other, prepared_encoder
from bertworks.benchmark.peers.exported import write_onnx
from bertworks.benchmark.peers.order import Order, Prepared


def prepare(order: Order) -> Prepared:
    """Prepare the encoding of the shared texts."""
    path = Path(order.folder) / "model.onnx"
    if not path.exists():
        write_onnx(order, path)
    if order.precision == "int8":
        path = _quantized(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = order.limit
    words = f"default session{f', {order.limit} threads' if order.limit else ''}"
    if order.setting != "defaults":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = order.threads
        words = f"all optimizations, {order.threads} threads"
    on_gpu = order.device.startswith("cuda")
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if on_gpu else ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    if on_gpu and providers[0] not in session.get_providers():
        # The library only warns, and computes on the CPU.
        raise RuntimeError("this onnxruntime computes on the CPU only: pip install onnxruntime-gpu")

    def run(ids: Any, mask: Any) -> Any:
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    return prepared_encoder(order, {words: one_after_the_other(run)}, onnxruntime.__version__)


def _quantized(path: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  (it needs onnx)

    target = path.with_name("model.int8.onnx")
    if not target.exists():
        quantize_dynamic(str(path), str(target), per_channel=True, weight_type=QuantType.QInt8)
    return target
