"""Devices and precisions by name."""

import os

import pytest
import torch

from bertworks.errors import InputError
from bertworks.model.device import choose_device, choose_precision, precision_name, use_deterministic_kernels


def test_a_process_has_one_device() -> None:
    with pytest.raises(InputError, match=r"--device=0,1: .*torchrun --nproc_per_node=2 -m bertworks"):
        choose_device("0,1")


def test_devices_are_checked() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="--device=warp"):
        choose_device("warp")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(InputError, match="try --device=cpu"):
            choose_device("cuda")


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) is torch.float32
    assert choose_precision("bf16", cpu) is torch.bfloat16
    assert choose_precision("auto", cpu) in (torch.float32, torch.bfloat16)
    assert choose_precision("fp16", cpu, training=True) is torch.float16
    for wrong in ("fp16", "float32", ""):
        with pytest.raises(InputError, match=f"^--precision={wrong}: give fp32, bf16, int8 or auto$"):
            choose_precision(wrong, cpu)
    with pytest.raises(InputError, match=r"^--precision=half: give fp32, bf16, fp16 or auto$"):
        choose_precision("half", cpu, training=True)
    assert [precision_name(choose_precision(name, cpu, training=True)) for name in ("fp32", "bf16", "fp16")] == [
        "fp32",
        "bf16",
        "fp16",
    ]


def test_deterministic_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        use_deterministic_kernels()
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
