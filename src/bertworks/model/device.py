"""What to compute on and in: the meaning of `--device` and `--precision`."""

from __future__ import annotations

import torch

from bertworks.errors import InputError

# Functions of torch.cpu, any of which says that the processor multiplies bf16.
_CPU_QUESTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that `--device` names.

    Raises:
        InputError: no such device here.
    """
    here = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda", local_rank) if here else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device={name}: give auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device={name}: give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (not here or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"--device={name}: this machine has {torch.cuda.device_count()} CUDA devices; try --device=cpu"
        )
    return torch.device("cuda", local_rank) if name == "cuda" else device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """What `--precision` means on a device: fp32, bf16, or `auto`: bf16 where the hardware multiplies it natively.

    Raises:
        InputError: there is no such precision.
    """
    if name not in ("fp32", "bf16", "auto"):
        raise InputError(f"--precision={name}: give fp32, bf16 or auto")
    if name == "auto":
        return torch.bfloat16 if _multiplies_bf16(device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    """CUDA from compute capability 8.0 on; CPUs with AVX512_BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    supported = (getattr(torch.cpu, name, lambda: False) for name in _CPU_QUESTIONS)
    return device.type == "cpu" and any(ask() for ask in supported)


def precision_name(dtype: torch.dtype) -> str:
    """`bf16` or `fp32`."""
    return "bf16" if dtype.itemsize == 2 else "fp32"
