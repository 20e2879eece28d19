"""infinity's server; its engine is the setting."""

from __future__ import annotations

from importlib.metadata import version

from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.benchmark.peers.serving import MODEL, PORT, needed, program, served


def prepare(order: Order) -> Prepared:
    """Start it."""
    needed("infinity_emb", "uvicorn")
    device = order.device.partition(":")[0]
    command = [program("infinity_emb"), "v2", "--port", PORT, "--device", device, "--url-prefix", "/v1"]
    command += ["--model-id", str(order.model), "--served-model-name", MODEL, "--engine", order.setting]
    return served(order, command, version("infinity_emb"), f"{order.setting}: its server")
