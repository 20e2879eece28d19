"""infinity's server; its engine is the setting."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.benchmark.peers.serving import MODEL, PORT, needed, served


def prepare(order: Order) -> Prepared:
    """Start it."""
    needed("infinity_emb", "uvicorn")
    device = order.device.partition(":")[0]
    program = str(Path(sys.executable).with_name("infinity_emb"))
    command = [program, "v2", "--port", PORT, "--device", device, "--url-prefix", "/v1"]
    command += ["--model-id", str(order.model), "--served-model-name", MODEL, "--engine", order.setting]
    return served(order, command, version("infinity_emb"), f"{order.setting}: its server")
