"""What is wrong with the flags of a model, found before torch is imported, which takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bertworks import files
from bertworks.checkpoints.finding import find_storage
from bertworks.config import BertConfig
from bertworks.datasets import models as zoo
from bertworks.errors import InputError


class ModelNames(Protocol):
    """The flags that name a model and its parts."""

    @property
    def model(self) -> str | None: ...  # noqa: D102
    @property
    def init_checkpoint(self) -> str | None: ...  # noqa: D102
    @property
    def vocab_file(self) -> str | None: ...  # noqa: D102
    @property
    def bert_config_file(self) -> str | None: ...  # noqa: D102


def one_of(model: str | None, init_checkpoint: str | None) -> tuple[str, str]:
    """Return what names the weights, and its flag.

    Raises:
        InputError: both are given, or neither is.
    """
    if model and init_checkpoint:
        raise InputError("--model and --init_checkpoint: give one of them; each says which weights to use")
    if not (named := model or init_checkpoint):
        raise InputError("--model: must be given (or --init_checkpoint with --bert_config_file and --vocab_file)")
    return named, "--model" if model else "--init_checkpoint"


def check_there(named: str, flag: str) -> None:
    """Refuse a name or a path where no model can be. A model known by name is downloaded.

    Raises:
        InputError: nothing is there, or it cannot be downloaded.
    """
    storage, name = find_storage(zoo.locate(named, flag))
    if name is not None and not any(file == name or file.startswith(f"{name}.") for file in storage.files()):
        raise InputError(f"{flag}={named}: no checkpoint is there")


def vocabulary(vocab_file: Path | str | None) -> Path | None:
    """Return where the vocabulary is that --vocab_file names: a file, a folder, a zip, or a model known by name.

    Raises:
        InputError: nothing is there.
    """
    if not vocab_file:
        return None
    path = Path(vocab_file)
    if path.exists() or any(place.suffix == ".zip" and place.is_file() for place in path.parents):
        return path
    if path.suffix or len(path.parts) > 2:
        raise InputError(f"--vocab_file={vocab_file}: no such file")
    return zoo.locate(str(vocab_file), "--vocab_file")


def check_model(flags: ModelNames, *, needed: bool = True) -> None:
    """Refuse flags that name no model.

    Args:
        needed: whether the weights must be named.

    Raises:
        InputError: they contradict each other, nothing is there, or the configuration cannot be read.
    """
    if flags.bert_config_file:
        files.check_is_file(Path(flags.bert_config_file), "--bert_config_file")
        BertConfig.from_google_file(flags.bert_config_file)
    vocabulary(flags.vocab_file)
    if needed or flags.model or flags.init_checkpoint:
        check_there(*one_of(flags.model, flags.init_checkpoint))
