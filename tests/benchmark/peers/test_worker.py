"""What a contestant's process tells of its turns."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from bertworks.benchmark.peers import worker
from bertworks.benchmark.peers.order import Order, Prepared


def test_the_memory_of_a_gpu_is_that_of_the_work_and_not_of_the_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    used = [0]
    cuda = SimpleNamespace(
        synchronize=lambda device: None,
        reset_peak_memory_stats=lambda device: used.clear(),
        max_memory_allocated=lambda device: max(used),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(worker, "product_peak", lambda *_: used.append(1000))
    order = Order(
        module="",
        work="encode",
        folder="",
        setting="best",
        precision="fp32",
        device="cuda",
        threads=1,
        max_seq_length=8,
    )
    work = Prepared(version="", settings="", one_pass=lambda number: used.append(10), answers=list)
    assert worker._obey({"turn": 1, "peak": True}, order, work)["memory"] == 10
