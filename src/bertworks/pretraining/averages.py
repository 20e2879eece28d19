"""The mean of the last checkpoints of a training: often a better model than the last one, at no cost in training.

OUTPUT_DIR/averaged                            a model folder with the mean of the weights
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bertworks import files
from bertworks.errors import InputError
from bertworks.train import resume
from bertworks.train.resume import WriteModel

FOLDER = "averaged"


def mean_of_checkpoints(output_dir: Path, count: int) -> dict[str, Tensor]:
    """Return the mean of the weights of the last `count` checkpoints, by name, float32.

    Raises:
        InputError: there are fewer.
    """
    found = resume.steps(output_dir)[-count:]
    if len(found) < count:
        raise InputError(
            f"--average_checkpoints={count}: {output_dir} has only {len(found)} checkpoints; give a smaller "
            "--save_checkpoints_steps"
        )
    sums: dict[str, Tensor] = {}
    for _, folder in found:
        for name, tensor in load_file(folder / "model.safetensors").items():
            sums[name] = sums[name] + tensor.double() if name in sums else tensor.double()
    return {name: (total / count).float() for name, total in sums.items()}


def write_average(output_dir: Path, count: int, write_model: WriteModel) -> Path:
    """Write the mean of the last `count` checkpoints as a model folder, and return the folder."""
    weights = mean_of_checkpoints(output_dir, count)
    with files.folder_written_whole(output_dir / FOLDER) as folder:
        write_model(folder, weights)
    return output_dir / FOLDER


@torch.no_grad()
def load_average(model: nn.Module, output_dir: Path) -> None:
    """Give a model the weights that `write_average` wrote."""
    weights = load_file(output_dir / FOLDER / "model.safetensors")
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
