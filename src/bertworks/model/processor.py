"""What the processor multiplies fast, and which operators of oneDNN this torch has: their names are private.

On CPU torch multiplies float32 matrices with MKL, which runs at half the speed on AMD processors. oneDNN, which torch
uses for bfloat16, computes the same float32 products there at twice the speed (202 to 245 against 102 to 111 GFLOP/s a
core of an AMD EPYC). On Intel they are equally fast, but weights that are packed once gain a third on short texts (33
rows on two cores of a Xeon: 0.19 to 0.25 TFLOP/s).
"""

from __future__ import annotations

from functools import cache

import torch

from bertworks.cores import cpuinfo


def multiplies_bf16(device: torch.device) -> bool:
    """Tell whether it is CUDA of compute capability 8.0 or higher, or a CPU with AVX512_BF16 or AMX.

    A CPU whose instructions oneDNN may not use (`ONEDNN_MAX_CPU_ISA`) does not.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_multiplies_bf16()


@cache
def _cpu_multiplies_bf16() -> bool:
    tell = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if not any(getattr(torch.cpu, name, lambda: False)() for name in tell):
        return False
    allowed = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    return torch.backends.mkldnn.is_available() and bool(allowed())


@cache
def prefers_onednn() -> bool:
    """Tell whether this machine multiplies float32 faster with oneDNN, and torch has the operator."""
    return has_pointwise() and "AuthenticAMD" in cpuinfo()


@cache
def has_pointwise() -> bool:
    """Tell whether torch has oneDNN's product with operations on its result."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@cache
def takes_packed(dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether oneDNN computes products of a type, and takes weights that are packed for it."""
    if device.type != "cpu" or not (has_pointwise() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and multiplies_bf16(device))
