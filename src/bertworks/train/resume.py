"""Checkpoints that appear whole or not at all, and the rules of continuing from one.

    OUTPUT_DIR/checkpoints/run.json                what makes the run what it is; written before the first step
    OUTPUT_DIR/checkpoints/lock                    held while a process trains there
    OUTPUT_DIR/checkpoints/step-1000/              a model folder, and
        optimizer.safetensors  state.json          what else a resume needs; state.json holds every file's SHA-256

A checkpoint is filled under another name and renamed when it is on the disk, so a kill at any moment leaves the one
before. All tensors are gathered in full: any number of processes opens them.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from bertworks import files
from bertworks.checkpoints.formats import safetensors
from bertworks.errors import InputError
from bertworks.train import optimizer as optimizers

_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint on disk, its checksums verified.

    Attributes:
        step: optimizer steps done.
        state: everything else that `save` was given: numerics, settings, the report's unfinished window.
    """

    folder: Path
    step: int
    state: dict[str, Any]


def begin(output_dir: Path, identity: Mapping[str, object]) -> Checkpoint | None:
    """Take possession of an output folder: a new run, or the same one again.

    Args:
        output_dir: made if absent; what a killed process left unfinished in it is swept away.
        identity: flag -> value of all that must not change within a run.

    Returns:
        the newest checkpoint, or None when there is none yet.

    Raises:
        InputError: the folder holds another run (the message names the flag), or its newest checkpoint is damaged.
    """
    checkpoints = output_dir / "checkpoints"
    for folder in (output_dir, checkpoints):
        for leftover in folder.glob(".*.partial"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    wanted = json.loads(json.dumps(dict(identity)))
    recorded, found = checkpoints / "run.json", newest(output_dir)
    # A run that never reached a checkpoint has nothing to lose.
    if recorded.exists() and found is not None:
        _check_same_run(output_dir, json.loads(recorded.read_text()), wanted)
    else:
        files.write_text(recorded, json.dumps(wanted, indent=2) + "\n")
    return found


@contextmanager
def claimed(output_dir: Path) -> Iterator[None]:
    """Keep other processes from training in the folder; the system lets go of it when this process ends.

    Raises:
        InputError: another process is training there.
    """
    folder = output_dir / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"--output_dir={output_dir}: another process is training there") from None
        yield


def _check_same_run(output_dir: Path, recorded: dict[str, object], wanted: dict[str, object]) -> None:
    for name in {**recorded, **wanted}:
        if recorded.get(name) != wanted.get(name):
            raise InputError(
                f"{name}: {wanted.get(name)} here, but --output_dir={output_dir} holds a run with "
                f"{recorded.get(name)}; give the same to continue it, or another --output_dir"
            )


def steps(output_dir: Path) -> list[tuple[int, Path]]:
    """The steps that have a checkpoint, ascending, and its folder; nothing is read."""
    folders = output_dir.glob("checkpoints/step-*")
    return sorted((int(m[1]), path) for path in folders if (m := _STEP.fullmatch(path.name)))


def newest(output_dir: Path) -> Checkpoint | None:
    """The checkpoint of the highest step, or None.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    found = steps(output_dir)
    if not found:
        return None
    step, folder = found[-1]
    mend = "delete that folder to continue from the checkpoint before it"
    try:
        state = json.loads((folder / "state.json").read_text())
        damaged = [name for name, digest in state["files"].items() if files.sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: not a whole checkpoint ({error}); {mend}") from None
    if damaged:
        raise InputError(f"{folder / damaged[0]}: damaged, its checksum differs; {mend}")
    return Checkpoint(folder, step, state)


def save(
    output_dir: Path,
    step: int,
    state: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    write_model: Callable[[Path], None],
    keep: int,
) -> None:
    """Write checkpoint `step`, make the output folder's own model that one, and drop all but the newest `keep`.

    Args:
        write_model: writes a model folder (config, weights, vocabulary) into the empty folder it is given.
    """
    target = output_dir / "checkpoints" / f"step-{step}"
    with files.folder_written_whole(target) as folder:
        write_model(folder)
        with (folder / "optimizer.safetensors").open("wb") as stream:
            safetensors.write(stream, safetensors.of_tensors(optimizers.state_tensors(optimizer, model)), {})
        digests = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
        (folder / "state.json").write_text(json.dumps({"step": step, **state, "files": digests}, indent=2) + "\n")
    publish(target, output_dir)
    for _, path in steps(output_dir)[: -max(keep, 1)]:
        # Renamed first: a kill while deleting must not leave half a checkpoint under its name.
        doomed = path.with_name(f".{path.name}.partial")
        path.rename(doomed)
        shutil.rmtree(doomed)


def publish(checkpoint: Path, output_dir: Path) -> None:
    """Make the output folder a model folder of the checkpoint's files, without a second copy of the weights."""
    for source in checkpoint.iterdir():
        if source.name in ("optimizer.safetensors", "state.json"):
            continue
        beside = output_dir / f".{source.name}.partial"
        beside.unlink(missing_ok=True)
        try:
            # Only what nobody edits in place may be the same file as the checkpoint's.
            if source.suffix != ".safetensors":
                raise OSError
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
        beside.replace(output_dir / source.name)
        beside.unlink(missing_ok=True)  # renaming one link of a file over another leaves both
    files.sync_folder(output_dir)


def load(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the checkpoint's weights and optimizer state into `model` and `optimizer`.

    Raises:
        InputError: the tensors do not fit this model.
    """
    weights = load_file(checkpoint.folder / "model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in weights or weights[name].shape != parameter.shape:
                raise InputError(f"{checkpoint.folder / 'model.safetensors'}: has no fitting {name}")
            parameter.copy_(weights[name])
    optimizers.load_state_tensors(optimizer, model, load_file(checkpoint.folder / "optimizer.safetensors"))
