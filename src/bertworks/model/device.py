"""The device, the precision, and how many tokens are computed at a time."""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import torch
from torch import nn

from bertworks.errors import InputError

# On CPU larger batches are no faster, and slower without `keep_freed_memory`; on CUDA this takes about 2 GB for
# BERT-Base in float32.
_INFERENCE_TOKENS = {"cpu": 4096, "cuda": 1 << 15}

# Settings of mallopt in glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD.
_KEEP_FREED_MEMORY = ((-4, 0), (-1, -1), (-2, 64 << 20))


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that `--device` names.

    Raises:
        InputError: this machine has no such device.
    """
    has_cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda", local_rank) if has_cuda else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device={name}: give auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device={name}: give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (not has_cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"--device={name}: this machine has {torch.cuda.device_count()} CUDA devices; try --device=cpu"
        )
    return torch.device("cuda", local_rank) if name == "cuda" else device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type that `--precision` names: fp32, bf16, or auto (bf16 where the hardware multiplies it natively).

    Raises:
        InputError: there is no such precision.
    """
    if name not in ("fp32", "bf16", "auto"):
        raise InputError(f"--precision={name}: give fp32, bf16 or auto")
    if name == "auto":
        return torch.bfloat16 if _multiplies_bf16(device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    """Tell whether it is CUDA of compute capability 8.0 or higher, or a CPU with AVX512_BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    tell = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in tell)


def precision_name(dtype: torch.dtype) -> str:
    """Return `bf16` or `fp32`."""
    return "bf16" if dtype.itemsize == 2 else "fp32"


def inference_token_budget(device: torch.device) -> int:
    """Return tokens of a batch that keep a device busy and fit its memory when nothing is trained."""
    return _INFERENCE_TOKENS["cuda" if device.type == "cuda" else "cpu"]


def training_token_budget(model: nn.Module, device: torch.device) -> int:
    """Return the tokens of a micro-batch that a device can train: a fixed number on CPU, by its memory on CUDA.

    On CUDA: 16 bytes a parameter for weights, gradients and moments, 0.8 GB for the library's own needs, and per token
    and layer some 40 values of 2 bytes a hidden unit kept for the backward pass.
    """
    if device.type != "cuda":
        return 8192  # memory is rarely the limit; this keeps the products large and the activations near the cache
    total = torch.cuda.get_device_properties(device).total_memory
    parameters = sum(p.numel() for p in model.parameters())
    free = 0.85 * total - 16 * parameters - 0.8e9
    return max(1024, min(1 << 18, int(free / bytes_of_token(model))))


def bytes_of_token(model: nn.Module) -> float:
    """Return an estimate of the memory that training keeps for each token of a micro-batch."""
    config: Any = getattr(model, "config", None)
    return float(80 * config.hidden_size * config.num_hidden_layers + 12 * config.vocab_size * 0.2)


def keep_freed_memory() -> bool:
    """Make glibc keep freed buffers of any size instead of returning them to the system; return whether it does.

    A training step frees and asks for the same large buffers again and again. By default each is a fresh mapping whose
    pages the kernel must fill with zeros at first touch, which costs as much as the work done in it. The process never
    shrinks after this call.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*setting) for setting in _KEEP_FREED_MEMORY)
