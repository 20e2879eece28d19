"""What is wrong with the flags of a fine-tuning, found before torch is imported, which takes seconds."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from bertworks import files
from bertworks.checkpoints.early import check_model
from bertworks.datasets.registry import locate_split
from bertworks.datasets.schema import KnownTask
from bertworks.errors import InputError
from bertworks.finetuning.flags import FinetuningFlags, wanted_splits


def check(flags: FinetuningFlags, given: Mapping[str, str | None]) -> None:
    """Refuse a run that cannot begin.

    Args:
        given: flag -> the file it names, those that the run reads.

    Raises:
        InputError: flags contradict each other, or a file, a folder or the model is not there.
    """
    wanted_splits(flags)
    output_dir = Path(flags.output_dir)
    from_scratch = flags.do_train and flags.bert_config_file and flags.vocab_file
    # Without training, the model in the output folder is used.
    trained = not flags.do_train and (output_dir / "model.safetensors").exists()
    check_model(flags, needed=not (from_scratch or trained))
    for flag, path in given.items():
        # Record files may be several.
        if path and not (glob.has_magic(path) or "," in path or Path(path).exists()):
            raise InputError(f"--{flag}={path}: no such file")
    # Last, because it makes the folder.
    files.check_writable(output_dir)


def check_task(flags: FinetuningFlags, task: KnownTask | None, data_dir: str | None, own: Mapping[str, str]) -> None:
    """Refuse a run whose data are not there: the files of a known task, or your `own`, by split."""
    splits = wanted_splits(flags)
    for split in splits if task else ():
        assert task is not None
        locate_split(task, Path(data_dir or ""), split)
    # What is missing, and whether files are of one kind, is said by what reads them.
    is_plain = all(split in own for split in splits) and not any(".tf" in path for path in own.values())
    check(flags, {f"{split}_file": own[split] for split in splits} if is_plain and not task else {})
