"""The checkpoints of a run, and the rules for continuing from one.

    OUTPUT_DIR/checkpoints/run.json                what must not change within a run; written before the first step
    OUTPUT_DIR/checkpoints/lock                    held while a process trains there (`lock.py`)
    OUTPUT_DIR/checkpoints/step-1000/              a model folder, and
        optimizer.safetensors  state.json          what else a resume needs; state.json holds every file's SHA-256

A checkpoint is written under another name and renamed once it is on the disk, so a kill at any moment leaves the
checkpoint before it. All tensors are stored in full, so any number of processes can open them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bertworks import files
from bertworks.checkpoints.formats import safetensors
from bertworks.errors import InputError, damage_named, one_line
from bertworks.progress import say
from bertworks.train import optimizer as optimizers
from bertworks.train.parts import fill

# What may be there before a training begins: its own notes.
_RECORDS = (".json", ".jsonl", ".toml", ".png")

# The files of a model that training replaces.
_MODEL_FILES = ("config.json", "model.safetensors", "pytorch_model.bin", "vocab.txt", "tokenizer.json")

# The settings that change what a training gives. One that ended with others is not the one that is asked for.
_DECISIVE = (
    *("learning_rate", "warmup_proportion", "num_warmup_steps", "weight_decay", "dropout", "layerwise_lr_decay"),
    *("class_weights", "precision"),
)

# More of them, which are recorded only where they depart from the original.
_DEPARTURES = (
    *("adam_beta1", "adam_beta2", "adam_epsilon", "matrix_learning_rate", "muon_momentum", "group_weight_decay"),
    *("schedule", "num_decay_steps", "final_learning_rate"),
)

# The entry of state.json that has the checksum of the others.
_CHECKSUM = "checksum"

# What a run has whose run.json does not say it.
_DEFAULTS: Mapping[str, object] = {"--optimizer_bits": 32}

# Writes a model folder into an empty folder, with these weights.
WriteModel = Callable[[Path, Mapping[str, Tensor]], None]

# Of a model that is written otherwise than it is trained, the tensors that differ.
AS_TRAINED = "as_trained.safetensors"


@dataclass(frozen=True)
class TrainingCheckpoint:
    """A finished checkpoint on disk, its checksums verified.

    Attributes:
        step: finished optimizer steps.
        state: the `state` that `save` was given: numerics, settings, the report's unfinished window.
    """

    folder: Path
    step: int
    state: dict[str, Any]

    @property
    def is_finished(self) -> bool:
        """Whether only this record is left of it; see `results.finish`."""
        return bool(self.state.get("finished"))


def _others(output_dir: Path) -> list[str]:
    """Return the files in a new run's output folder that are of no run."""
    return sorted(
        path.name
        for path in output_dir.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.suffix not in _RECORDS
    )


def check_own(output_dir: Path) -> None:
    """Refuse to train in a folder with a model that no training wrote there.

    Raises:
        InputError: it holds the weights or the configuration of another model, which would be replaced.
    """
    runs = ("checkpoints/run.json", "seeds.json", "seed-*/checkpoints/run.json")
    foreign = next((name for name in _MODEL_FILES if (output_dir / name).exists()), None)
    if foreign and not any(any(output_dir.glob(run)) for run in runs):
        raise InputError(
            f"--output_dir={output_dir}: holds a model that was not trained there ({foreign}) and would be "
            "replaced; give another folder"
        )


def check_finished(checkpoint: TrainingCheckpoint, output_dir: Path, settings: Mapping[str, object]) -> None:
    """Refuse to give the results of a finished training for one with other settings.

    Raises:
        InputError: a setting that changes what a training gives is not the one that it ended with.
    """
    before = checkpoint.state["settings"]
    for name in (*(name for name in _DECISIVE if name in before and name in settings), *_DEPARTURES):
        if before.get(name) != settings.get(name):
            wanted, ended = (found.get(name, "the default") for found in (settings, before))
            raise InputError(
                f"--{name}={wanted}: --output_dir={output_dir} holds a training that ended with {ended}; give another "
                "--output_dir to train again, or leave --do_train out to evaluate it"
            )


def begin(output_dir: Path, identity: Mapping[str, object]) -> TrainingCheckpoint | None:
    """Begin a run in an output folder, or continue the run that is there.

    Args:
        output_dir: made if absent; unfinished files of a killed process are deleted.
        identity: flag -> value of all that must not change within a run.

    Returns:
        the newest checkpoint, or None if there is none yet.

    Raises:
        InputError: the folder holds another run (the message names the flag), or no checkpoint is whole.
    """
    checkpoints = output_dir / "checkpoints"
    for folder in (output_dir, checkpoints):
        files.restore_replaced(folder)
        for leftover in folder.glob(".*.partial"):
            files.remove(leftover)
    check_own(output_dir)
    wanted = json.loads(json.dumps(dict(identity)))
    recorded, found = checkpoints / "run.json", newest(output_dir)
    # A run without a checkpoint may be overwritten.
    if recorded.exists() and found is not None:
        with damage_named(recorded, f"restore it, or delete {checkpoints} to begin again"):
            before, wanted = {**_DEFAULTS, **json.loads(recorded.read_bytes())}, {**_DEFAULTS, **wanted}
        for name in {**before, **wanted}:
            if before.get(name) != wanted.get(name):
                raise InputError(
                    f"{name}: {wanted.get(name)} here, but --output_dir={output_dir} holds a run with "
                    f"{before.get(name)}; give the same to continue it, or another --output_dir"
                )
    else:
        if not recorded.exists() and (others := _others(output_dir)):
            shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            say(f"--output_dir={output_dir}: has other files ({shown}); the model is written beside them.")
        told = {name: value for name, value in wanted.items() if (name, value) not in _DEFAULTS.items()}
        files.write_text(recorded, json.dumps(told, indent=2) + "\n")
    _set_aside(output_dir, found)
    return found


def steps(output_dir: Path) -> list[tuple[int, Path]]:
    """Return each step that has a checkpoint, ascending, and its folder. No file is read."""
    folders = output_dir.glob("checkpoints/step-*")
    return sorted((int(m[1]), path) for path in folders if (m := re.fullmatch(r"step-(\d+)", path.name)))


def newest(output_dir: Path, tell: Callable[[str], None] = say) -> TrainingCheckpoint | None:
    """Return the whole checkpoint of the highest step, or None if there is no checkpoint; `tell` of damaged ones.

    Raises:
        InputError: none of them is whole.
    """
    problem = None
    for step, folder in reversed(steps(output_dir)):
        try:
            state = _read_state(folder / "state.json")
            damaged = [name for name, digest in state["files"].items() if files.sha256(folder / name) != digest]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"{folder}: not a whole checkpoint ({one_line(error)})"
        else:
            if not damaged:
                return TrainingCheckpoint(folder, step, state)
            problem = f"{folder / damaged[0]}: damaged, its checksum differs"
        tell(f"{problem}; passed over")
    if problem:
        raise InputError(f"{problem}; no checkpoint is whole: delete {output_dir / 'checkpoints'} to begin again")
    return None


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write what a checkpoint has besides tensors, with the checksum of itself."""
    content = {name: value for name, value in state.items() if name != _CHECKSUM}
    files.write_text(folder / "state.json", json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=2) + "\n")


def _read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote. Checkpoints of earlier versions have no checksum.

    Raises:
        OSError, ValueError, AttributeError: it is missing or damaged.
    """
    state: dict[str, Any] = json.loads(path.read_bytes())
    if state.pop(_CHECKSUM, None) not in (None, _checksum(state)):
        raise ValueError("state.json is damaged, its checksum differs")
    return state


def _checksum(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _set_aside(output_dir: Path, used: TrainingCheckpoint | None) -> None:
    """Rename the damaged checkpoints after the one in use, so that none of them counts as the newest again."""
    for step, folder in steps(output_dir):
        if used is not None and step > used.step:
            aside = folder.with_name(f"damaged-{folder.name}")
            files.remove(aside)
            folder.rename(aside)
            say(f"{folder}: renamed to {aside.name}; you may delete it")


def save(
    output_dir: Path,
    step: int,
    state: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    optimizer_state: Mapping[str, Tensor],
    write_model: WriteModel,
    keep: int,
) -> None:
    """Write the checkpoint of `step`, publish its model in the output folder, and keep the newest `keep` of them.

    Args:
        weights: of the model, by name.
        optimizer_state: see `optimizer.state_tensors`.
    """
    target = output_dir / "checkpoints" / f"step-{step}"
    with files.folder_written_whole(target) as folder:
        write_model(folder, weights)
        with (folder / "optimizer.safetensors").open("wb") as stream:
            safetensors.write_tensors(stream, optimizer_state)
        digests = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
        write_state(folder, {"step": step, **state, "files": digests})
    publish(target, output_dir)
    for _, path in steps(output_dir)[: -max(keep, 1)]:
        # Renamed first: a kill while deleting must not leave half a checkpoint under its name.
        doomed = path.with_name(f".{path.name}.partial")
        path.rename(doomed)
        shutil.rmtree(doomed)


def publish(checkpoint: Path, output_dir: Path) -> None:
    """Make the output folder a model folder with the checkpoint's files; the weights are linked, not copied."""
    for source in checkpoint.iterdir():
        if source.name in ("optimizer.safetensors", "state.json", AS_TRAINED):
            continue
        partial = output_dir / f".{source.name}.partial"
        partial.unlink(missing_ok=True)
        try:
            # Only weights are linked: people edit the other files in place, which would change the checkpoint.
            if source.suffix != ".safetensors":
                raise OSError
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        partial.replace(output_dir / source.name)
        partial.unlink(missing_ok=True)  # renaming one link of a file over another leaves both
    files.sync_folder(output_dir)


def load(checkpoint: TrainingCheckpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Copy the checkpoint's weights and optimizer state into `model` and `optimizer`.

    Raises:
        InputError: the tensors do not fit this model.
    """
    weights = load_file(checkpoint.folder / "model.safetensors")
    if (checkpoint.folder / AS_TRAINED).exists():
        weights |= load_file(checkpoint.folder / AS_TRAINED)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in weights or weights[name].shape != parameter.shape:
                raise InputError(f"{checkpoint.folder / 'model.safetensors'}: has no {name} of the right shape")
            fill(parameter, weights[name])
    optimizers.load_state_tensors(optimizer, model, load_file(checkpoint.folder / "optimizer.safetensors"))
