"""What several commands share: the flags of the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bertworks import files
from bertworks.flags import RETIRED, flag, to_toml
from bertworks.progress import say

if TYPE_CHECKING:
    import torch

    from bertworks.train.distributed import World

Precision = Literal["auto", "fp32", "bf16"]


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


def in_world(flags: MachineFlags, work: Callable[[World], None]) -> None:
    """Do a command's work on the device that its flags name, as one process or one of several, and leave in order."""
    from bertworks.train import distributed

    world = distributed.start(flags.device)
    try:
        if world.is_main:
            warn_of_retired(flags, world.device)
        work(world)
    finally:
        world.close()


def write_flags(folder: Path | str, flags: Any, command: str) -> None:
    """Write the resolved flags to flags.toml, which --config reads back."""
    files.write_text(Path(folder) / "flags.toml", to_toml(flags, command))
