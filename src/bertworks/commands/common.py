"""What several commands share: the flags of the machine, and turning them into what torch wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bertworks import files
from bertworks.flags import RETIRED, flag, to_toml
from bertworks.progress import say

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]

# Functions of torch.cpu, any of which says that the processor multiplies bf16.
_CPU_QUESTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


@dataclass(kw_only=True)
class MachineFlags:
    """The device, and the TPU flags of the original, which are accepted and have no effect."""

    device: str = flag("auto", "auto (CUDA if there is one), cpu, cuda or cuda:N.", group="Machine")
    use_tpu: bool = flag(False, "", group=RETIRED)
    tpu_name: str | None = flag(None, "", group=RETIRED)
    tpu_zone: str | None = flag(None, "", group=RETIRED)
    gcp_project: str | None = flag(None, "", group=RETIRED)
    master: str | None = flag(None, "", group=RETIRED)
    num_tpu_cores: int = flag(8, "", group=RETIRED)
    iterations_per_loop: int = flag(1000, "", group=RETIRED)


def warn_of_retired(flags: MachineFlags, device: torch.device) -> None:
    """Say which device is used when the command line asked for a TPU."""
    if flags.use_tpu or flags.tpu_name or flags.master:
        say(f"There is no TPU support: the TPU flags are ignored and {device} is used.")


def write_flags(folder: Path | str, flags: Any, command: str) -> None:
    """Write the resolved flags to flags.toml, which --config reads back."""
    files.write_text(Path(folder) / "flags.toml", to_toml(flags, command))


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """What `--precision` means on a device: `auto` is bf16 where the hardware multiplies it natively, else fp32."""
    import torch

    if name == "auto":
        return torch.bfloat16 if _multiplies_bf16(device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    """CUDA from compute capability 8.0 on; CPUs with AVX512_BF16 or AMX."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    supported = (getattr(torch.cpu, name, lambda: False) for name in _CPU_QUESTIONS)
    return device.type == "cpu" and any(ask() for ask in supported)


def precision_name(dtype: torch.dtype) -> str:
    """`bf16` or `fp32`."""
    return "bf16" if dtype.itemsize == 2 else "fp32"
