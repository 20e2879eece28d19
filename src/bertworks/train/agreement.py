"""What must be the same in all processes that train together: code, flags, input files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bertworks import files
from bertworks.flag_groups import TrainingMachineFlags, input_files, warn_of_retired
from bertworks.flags import CommandFlags, recorded
from bertworks.remote.cache import version
from bertworks.train.distributed import World, world
from bertworks.train.signals import requeued_at_once

# Of larger files only the size is compared.
_HASHED_BYTES = 1 << 26


@contextmanager
def joined(flags: TrainingMachineFlags) -> Iterator[World]:
    """Join the processes that torchrun started, as `distributed.world` does, and compare code, flags and files.

    Raises:
        InputError: they differ; one line says what, and in which processes.
    """
    several = world(flags.device, flags.process_timeout, deterministic=flags.deterministic)
    with requeued_at_once(), several as found:
        if found.is_main:
            warn_of_retired(flags, found.device)
        if found.size > 1:
            found.check_same(_code(), "install the same in all of them")
            given = {f"--{name}": value for name, value in recorded(flags).items()}
            found.check_same(given, "start all of them with the same flags")
            found.check_same(_files(flags), "give all of them the same files")
        yield found


def check_data(among: World, facts: Mapping[str, object]) -> None:
    """Compare what was made of the data, by the flag that it comes from, or as a person knows it.

    Raises:
        InputError: it differs.
    """
    among.check_same(facts, "give all of them the same data and vocabulary")


def _code() -> dict[str, object]:
    """Return a hash of our code, and torch's version."""
    folder, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return {"the code of bertworks (a hash)": digest.hexdigest()[:16], "the version of torch": str(torch.__version__)}


def _files(flags: CommandFlags) -> dict[str, object]:
    """Return flag -> a hash of the files that it names, of large ones of their size."""
    digests: dict[str, Any] = {}
    for name, file in input_files(flags):
        size = file.stat().st_size
        content = version(file)[0] or (files.sha256(file) if size < _HASHED_BYTES else "")
        digests.setdefault(name, hashlib.sha256()).update(f"{file.name} {size} {content}".encode())
    return {f"what --{name} names (a hash)": digest.hexdigest()[:16] for name, digest in digests.items()}
