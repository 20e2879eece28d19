"""The seam between a command line and a command: flags with addresses -> the same flags with local paths.

Inputs are copied here before the command begins, outputs are sent away while it runs and when it ends. A command knows
nothing of it. `file://` is the path that it names.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any, TextIO, TypeVar, cast

from bertworks import addresses
from bertworks.datasets.models import is_handle
from bertworks.errors import InputError
from bertworks.flags import CommandFlags, describe
from bertworks.remote import cache
from bertworks.remote.inputs import bring
from bertworks.remote.outputs import Output

FlagsType = TypeVar("FlagsType", bound=CommandFlags)

# Seconds that the other processes of a machine wait until the first one has fetched what an output folder has.
_PATIENCE = 3600.0


def config_at_hand(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with a local file for the address of `--config`."""
    found, is_value = [], False
    for word in words:
        name, equals, value = word.partition("=")
        if is_value and addresses.split(word)[1]:
            word = local_inputs(word, "--config", is_model=False)  # noqa: PLW2901
        elif equals and name.lstrip("-") == "config" and addresses.split(value)[1]:
            word = f"{name}={local_inputs(value, '--config', is_model=False)}"  # noqa: PLW2901
        is_value = name.lstrip("-") == "config" and word.startswith("-") and not equals
        found.append(word)
    cache.release()  # it is read at once
    return found


@contextmanager
def at_hand(flags: FlagsType) -> Iterator[FlagsType]:
    """Give flags with local paths; when the block ends, also by an error or a signal, send what it made.

    Raises:
        InputError: an input is not there, or an output cannot be written; one line names the address.
    """
    local: dict[str, Any] = {}
    made: dict[tuple[str, bool], Output] = {}
    for name, described in describe(type(flags)).items():
        value = getattr(flags, name)
        if not described.path or not isinstance(value, str) or not any(map(_scheme, value.split(","))):
            continue
        if described.path in ("written", "written folder"):
            parts = [_output(part.strip(), described.path == "written folder", made) for part in value.split(",")]
            local[name] = ",".join(parts)
        else:
            local[name] = local_inputs(value, f"--{name}", is_model=described.path == "or name")
    try:
        with ExitStack() as sending:
            if made:
                sending.enter_context(_ended_by_signal())
            for output in made.values():
                _begin(output, sending)
            with redirect_stdout(cast(TextIO, _Shown(sys.stdout))):
                yield replace(flags, **local)
    finally:
        cache.release()


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM end the block as an error does, so that what is finished is sent; a training has its own answer."""
    if threading.current_thread() is not threading.main_thread():  # only it may say what signals do
        yield
        return

    def leave(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one does not stop the sending
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Shown:
    """Standard output that shows addresses instead of the local places that stand for them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(addresses.shown(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _scheme(part: str) -> str:
    """Return the scheme of an address that is to be replaced; "" for all else, such as the name of a model."""
    return "" if is_handle(part) else addresses.split(part)[1]


def local_inputs(value: str, flag: str, *, is_model: bool) -> str:
    """Return a comma-separated list of paths with local ones for its addresses, which are copied here first.

    Args:
        flag: for messages, with its dashes.
        is_model: whether the small files beside weights belong to them.

    Raises:
        InputError: an input is not there, or cannot be read.
    """
    found: list[str] = []
    for part in value.split(","):
        name, _, address = addresses.split(part)
        scheme = _scheme(part)
        if not scheme:
            found.append(part)
        elif scheme == "file":
            found.append(f"{name}{addresses.of_file(address)}")
        else:
            found += [f"{name}{path}" for path in bring(address, flag, is_model=is_model)]
    return ",".join(found)


def _output(part: str, is_folder: bool, made: dict[tuple[str, bool], Output]) -> str:
    """Return the local path of an output, and note where it goes."""
    scheme = _scheme(part)
    if scheme in ("", "file"):
        return addresses.of_file(part) if scheme else part
    parent, _, name = part.rstrip("/").rpartition("/")
    if not is_folder and parent.count("/") < 2:
        raise InputError(f"{part}: not an address of a file; give one such as gs://BUCKET/FOLDER/FILE")
    folder = part if is_folder else parent
    output = made.setdefault((folder, is_folder), Output(folder, is_folder=is_folder))
    output.names.add(name)
    return str(output.local if is_folder else output.local / name)


def _begin(output: Output, sending: ExitStack) -> None:
    """Begin an output in the first process of a machine; let the others wait for it."""
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if size != os.environ.get("LOCAL_WORLD_SIZE", size):
        raise InputError(
            f"{output.address}: several machines write to a folder that they share; give such a folder, and copy it"
        )
    # The same for all processes that one torchrun started, and for no others.
    start = f"{os.getppid()}-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    ready = output.local.with_name(f".{output.local.name}.ready-{start}")
    if rank == "0":
        output.begin()
        sending.callback(output.end)
        if size != "1":
            ready.touch()
            sending.callback(ready.unlink, missing_ok=True)
        return
    deadline = time.monotonic() + _PATIENCE
    while not ready.exists():
        if time.monotonic() > deadline:
            raise InputError(f"{output.address}: process 0 did not begin to write there in {_PATIENCE:.0f} s")
        time.sleep(0.1)
