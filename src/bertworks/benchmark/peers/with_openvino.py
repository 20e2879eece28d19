"""OpenVINO on the model that it converts from `transformers` and torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import openvino
from numpy.typing import NDArray

from bertworks.benchmark.peers.encoding import Engine, one_after_the_other, prepared_encoder
from bertworks.benchmark.peers.exported import traceable
from bertworks.benchmark.peers.inputs import Ids
from bertworks.benchmark.peers.order import Order, Prepared

_TYPES = {"fp32": "f32", "bf16": "bf16"}


def prepare(order: Order) -> Prepared:
    """Prepare the encoding of the shared texts.

    At its best it has one stream with all threads, or several batches at a time, whatever is faster. By default the
    library chooses what it computes in.
    """
    model, example = traceable(order)
    converted = openvino.convert_model(model, example_input=example, input=[[-1, -1], [-1, -1]])
    core, device = openvino.Core(), "GPU" if order.device.startswith("cuda") else "CPU"
    if order.setting == "defaults":
        compiled = core.compile_model(converted, device, {"INFERENCE_NUM_THREADS": order.limit} if order.limit else {})
        words = f"default settings{f', {order.limit} threads' if order.limit else ''}"
        engines = {words: one_after_the_other(_runner(compiled))}
    else:
        limits = {"INFERENCE_PRECISION_HINT": _TYPES[order.precision], "INFERENCE_NUM_THREADS": order.threads}
        compiled = core.compile_model(converted, device, {**limits, "PERFORMANCE_HINT": "LATENCY"})
        engines = {f"latency hint, {order.threads} threads": one_after_the_other(_runner(compiled))}
        if order.work != "latency":
            several = core.compile_model(converted, device, {**limits, "PERFORMANCE_HINT": "THROUGHPUT"})
            engines[f"throughput hint, {order.threads} threads"] = _queue(several)
    kind = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    precision = {name: ours for ours, name in _TYPES.items()}.get(kind, kind)
    return prepared_encoder(order, engines, openvino.__version__.split("-")[0], precision)


def _runner(compiled: Any) -> Any:
    output = compiled.output(0)
    return lambda ids, mask: compiled([ids, mask])[output].copy()


def _queue(compiled: Any) -> Engine:
    """Return an engine with as many batches at a time as the library advises."""
    queue = openvino.AsyncInferQueue(compiled)

    def engine(batches: Iterable[tuple[Ids, Ids]]) -> Iterator[NDArray[Any]]:
        found: dict[int, NDArray[Any]] = {}

        def keep(request: Any, number: int) -> None:
            found[number] = request.get_output_tensor(0).data.copy()

        queue.set_callback(keep)
        for number, (ids, mask) in enumerate(batches):
            queue.start_async([ids, mask], number)
        queue.wait_all()
        return iter([found[number] for number in sorted(found)])

    return engine
