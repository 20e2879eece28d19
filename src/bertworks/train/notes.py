"""What a training writes about itself before its first step: its flags, and what its card will say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from bertworks import files
from bertworks.card.record import Amount, record_training
from bertworks.cores import processor, usable_cores
from bertworks.flags import CommandFlags, to_toml
from bertworks.model.device import precision_name
from bertworks.train.distributed import World


def write_notes(
    output_dir: Path,
    flags: CommandFlags,
    command: str,
    world: World,
    amounts: Mapping[str, Amount],
    data_hash: str | None,
    precision: torch.dtype,
    eval_precision: torch.dtype,
) -> None:
    """Write flags.toml, which repeats the run, and card.json (`card.record`)."""
    files.write_text(output_dir / "flags.toml", to_toml(flags, command))
    on_gpu = world.device.type == "cuda"
    hardware = {
        "device": torch.cuda.get_device_name(world.device) if on_gpu else processor(),
        "cores": usable_cores(),
        "processes": world.size,
        "threads": torch.get_num_threads(),
    }
    record_training(
        output_dir,
        flags,
        command,
        amounts=amounts,
        data_hash=data_hash,
        precision=precision_name(precision),
        eval_precision=precision_name(eval_precision),
        hardware=hardware,
    )
