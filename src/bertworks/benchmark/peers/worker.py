"""The process of one contestant: it reads an order, prepares, and then does what it is told, a line of JSON each.

    {"turn": 3, "peak": true}   three passes   -> {"seconds": [...], "processor_seconds": [...], "peak": ..., ...}
    {"answers": "FILE.npy"}     its answers    -> {"answers": "FILE.npy"}

It ends when its standard input does. What libraries print goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from bertworks.benchmark.peers.memory import most_resident
from bertworks.benchmark.peers.order import Order, Prepared

_PRODUCTS = 6


def main() -> None:
    """Serve one contestant. Told to end by a signal in the middle of its work, it closes what it prepared."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

        def reply(values: dict[str, Any]) -> None:
            print(json.dumps(values), file=replies, flush=True)

        try:
            order = Order.from_json(sys.stdin.readline())
            prepared = importlib.import_module(f"bertworks.benchmark.peers.{order.module}").prepare(order)
            reply(
                {
                    "version": prepared.version,
                    "settings": prepared.settings,
                    "padded_tokens": prepared.padded_tokens,
                    "precision": prepared.precision or order.precision,
                }
            )
            try:
                for line in sys.stdin:
                    reply(_obey(json.loads(line), order, prepared))
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                prepared.close()
        except ModuleNotFoundError as error:
            reply({"missing": error.name})
        except Exception as error:
            traceback.print_exc()
            reply({"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})


def _obey(command: dict[str, Any], order: Order, prepared: Prepared) -> dict[str, Any]:
    if "answers" in command:
        import numpy as np  # noqa: PLC0415  (what a peer's environment may lack is found missing only where it is used)

        np.save(command["answers"], np.asarray(prepared.answers(), np.float64))
        return command
    wait = _waiter(order.device)
    # Right before the passes: neighbours and heat change what a machine can do.
    peak = product_peak(order, prepared.precision or order.precision, wait) if command["peak"] else None
    _forget_product(order.device)
    seconds, processor_seconds = [], []
    for number in range(command["turn"]):
        prepared.before()
        wait()
        begin, processor = time.perf_counter(), time.process_time()
        prepared.one_pass(number)
        wait()
        seconds.append(time.perf_counter() - begin)
        processor_seconds.append(time.process_time() - processor)
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak": peak,
        "memory": prepared.memory() if prepared.memory else _memory(order.device),
        "value": prepared.value(),
        "latencies": prepared.latencies(),
    }


def _waiter(device: str) -> Callable[[], object]:
    """Return what waits until the device has done all that it was told."""
    if not device.startswith("cuda") or "torch" not in sys.modules:
        return lambda: None
    torch: Any = sys.modules["torch"]
    synchronize: Callable[[], object] = partial(torch.cuda.synchronize, device)
    return synchronize


def product_peak(order: Order, precision: str, wait: Callable[[], object]) -> float | None:
    """Return operations a second of the best of some matrix products of the network's shape.

    It is None without torch, and for int8. On CPU both of torch's libraries are tried, because the one that torch takes
    by itself is the slower one on some processors.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or precision not in ("fp32", "bf16"):
        return None
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rows, inputs, outputs = order.product
    x = torch.randn(rows, inputs, device=order.device, dtype=dtype)
    weight = torch.randn(outputs, inputs, device=order.device, dtype=dtype)
    ways: list[Callable[[], object]] = [lambda: torch.nn.functional.linear(x, weight)]
    if (
        order.device == "cpu"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.mkldnn.is_available()
    ):
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], ""))
    best = 0.0
    with torch.inference_mode():
        for way in [*ways] * _PRODUCTS:
            wait()
            begin = time.perf_counter()
            way()
            wait()
            best = max(best, 2 * rows * inputs * outputs / (time.perf_counter() - begin))
    return best


def _forget_product(device: str) -> None:
    """Count a GPU's memory anew: the product of `product_peak` may take more than the work itself."""
    if device.startswith("cuda") and "torch" in sys.modules:
        torch: Any = sys.modules["torch"]
        torch.cuda.reset_peak_memory_stats(device)


def _memory(device: str) -> int:
    """Return the most bytes that were in use: of the process on CPU, of its tensors in this turn on a GPU."""
    if device.startswith("cuda") and "torch" in sys.modules:
        torch: Any = sys.modules["torch"]
        return int(torch.cuda.max_memory_allocated(device))
    # What getrusage tells on Linux includes the memory of the process that started this one.
    told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return most_resident() or told


if __name__ == "__main__":
    main()
