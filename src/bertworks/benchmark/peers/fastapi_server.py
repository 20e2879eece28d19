"""`sentence-transformers` behind FastAPI, as many people write it; the setting is what computes."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.benchmark.peers.serving import PORT, needed, served


def prepare(order: Order) -> Prepared:
    """Start it."""
    needed("sentence_transformers", "fastapi", "uvicorn", *(["optimum"] if order.setting == "onnx" else []))
    app = Path(__file__).with_name("fastapi_app.py")
    command = [sys.executable, str(app), str(order.model), PORT, order.setting, order.device]
    more = {"torch": "", "onnx": ": its own export, int8 for AVX512-VNNI"}[order.setting]
    return served(order, command, version("sentence_transformers"), f"FastAPI, {order.setting}{more}")
