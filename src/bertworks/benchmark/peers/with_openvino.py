"""OpenVINO on the model that it converts from `transformers` and torch."""

from __future__ import annotations

from typing import Any

import openvino

from bertworks.benchmark.peers.encoding import prepared_encoder
from bertworks.benchmark.peers.exported import traceable
from bertworks.benchmark.peers.order import Order, Prepared

_TYPES = {"fp32": "f32", "bf16": "bf16"}


def prepare(order: Order) -> Prepared:
    """Prepare the encoding of the shared texts; by default the library chooses what it computes in."""
    model, example = traceable(order)
    converted = openvino.convert_model(model, example_input=example, input=[[-1, -1], [-1, -1]])
    settings: dict[str, Any] = {}
    if order.setting != "defaults":
        settings = {
            "PERFORMANCE_HINT": "LATENCY",  # one stream with all threads; texts come a batch after the other
            "INFERENCE_PRECISION_HINT": _TYPES[order.precision],
            "INFERENCE_NUM_THREADS": order.threads,
        }
    compiled = openvino.Core().compile_model(converted, "GPU" if order.device.startswith("cuda") else "CPU", settings)
    kind = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    precision = {name: ours for ours, name in _TYPES.items()}.get(kind, kind)
    output = compiled.output(0)

    def run(ids: Any, mask: Any) -> Any:
        return compiled([ids, mask])[output].copy()

    words = "default settings" if order.setting == "defaults" else f"latency hint, {order.threads} threads"
    return prepared_encoder(order, run, openvino.__version__.split("-")[0], words, precision)
