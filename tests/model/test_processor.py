"""Which library computes a product, by the processor's maker and the type."""

from __future__ import annotations

import pytest
import torch

from bertworks.model import processor

CPU = torch.device("cpu")


@pytest.mark.parametrize(("said", "expected"), [("AuthenticAMD", True), ("GenuineIntel", False), ("", False)])
def test_float32_goes_to_onednn_on_amd(said: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "cpuinfo", lambda: said)
    monkeypatch.setattr(processor, "has_pointwise", lambda: True)
    assert processor.prefers_onednn.__wrapped__() is expected
    monkeypatch.setattr(processor, "has_pointwise", lambda: False)
    assert not processor.prefers_onednn.__wrapped__()


@pytest.mark.parametrize("native", [True, False])
def test_what_is_packed(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    takes_packed = processor.takes_packed.__wrapped__
    monkeypatch.setattr(processor, "has_pointwise", lambda: True)
    monkeypatch.setattr(processor, "multiplies_bf16", lambda device: native)
    has_packing = hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    assert takes_packed(torch.bfloat16, CPU) is (native and has_packing)
    assert takes_packed(torch.float32, CPU) is has_packing
    assert not takes_packed(torch.float64, CPU)
    assert not takes_packed(torch.bfloat16, torch.device("cuda"))
    monkeypatch.setattr(processor, "has_pointwise", lambda: False)
    assert not takes_packed(torch.bfloat16, CPU)
