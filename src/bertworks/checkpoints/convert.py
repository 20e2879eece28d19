"""A checkpoint of any format, written anew as a model folder or as TensorFlow's, read back and compared.

One tensor is in memory at a time, two while they are compared (and one more while its axes are exchanged). What is
written appears when it has been found equal.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.contents import CheckpointContents
from bertworks.checkpoints.formats.huggingface import STORAGE_KEYS, open_huggingface, save_weights, weights_of
from bertworks.checkpoints.formats.tensorflow import open_tensorflow
from bertworks.checkpoints.formats.tensorflow_writer import in_order, write_tensorflow
from bertworks.checkpoints.load import titled_lines
from bertworks.checkpoints.model_files import read_json
from bertworks.checkpoints.names import grouped, some
from bertworks.checkpoints.storage import FolderStorage, Storage, ZipStorage
from bertworks.checkpoints.weights import Checkpoint, Weight
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.files import sync_folder, write_text
from bertworks.progress import Advance, progress
from bertworks.text.vocab_file import SPECIAL_TOKENS, write_vocab

Format = Literal["huggingface", "tensorflow"]

_NAMES: dict[Format, str] = {"huggingface": "Hugging Face", "tensorflow": "TensorFlow"}

PREFIX = "bert_model.ckpt"

# The files that a model is opened by are moved last, so that a folder that can be opened is complete.
_OPENED = ("model.safetensors", f"{PREFIX}.index", "checkpoint")
_WRITTEN: dict[Format, tuple[str, ...]] = {
    "huggingface": ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "model.safetensors"),
    "tensorflow": ("bert_config.json", "vocab.txt", f"{PREFIX}.data-00000-of-00001", f"{PREFIX}.index", "checkpoint"),
}

# What the original computes whatever its configuration says (contrib's layer_norm).
_ORIGINAL_EPSILON = 1e-12

_COMPARED_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Conversion:
    """What was written; `str(conversion)` is a table for people.

    Attributes:
        source: what it was written from.
        folder: where it lies.
        form: in which format.
        half: whether as float16.
        difference: the largest between a number of the source and the one read back.
        before, after: bytes of the files with weights.
        warnings: what the written model will do otherwise than its source, one line each.
    """

    source: CheckpointContents
    folder: Path
    form: Format
    half: bool
    difference: float
    before: int
    after: int
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """The table."""
        source, config = self.source, self.source.config
        casing = source.tokenizer and ("lower-cased" if source.tokenizer.do_lower_case else "as it is")
        rows = [
            ("from", [f"{source.checkpoint.path} ({source.checkpoint.format})"]),
            ("to", [f"{self.folder} ({_NAMES[self.form]}, {'float16' if self.half else 'float32'})"]),
            (
                "model",
                [
                    f"{source.architecture}: {config.num_hidden_layers} layers, hidden size {config.hidden_size:,}, "
                    f"{config.num_attention_heads} heads, {config.vocab_size:,} words"
                ],
            ),
            ("activation", [config.hidden_act]),
            ("text", [casing or "no vocabulary"]),
            ("written", [f"{len(source.weights)} tensors, read back; the largest difference is {self.difference:.2g}"]),
            ("missing", grouped(source.missing, "not in the source")),
            ("left over", grouped(source.left_over, "not written: no BERT has it")),
            ("weights", [f"{self.before / 1e6:,.1f} MB before, {self.after / 1e6:,.1f} MB after"]),
            ("notes", list(source.notes)),
        ]
        return titled_lines("Converted", rows, 11)


def convert(source: CheckpointContents, folder: Path, form: Format, *, half: bool = False) -> Conversion:
    """Write a model into `folder`, which is made, is empty, or holds an earlier conversion only.

    Args:
        source: what `contents_of` found.
        folder: where to.
        form: `huggingface` for the model folder, `tensorflow` for `bert_model.ckpt` and the original's other files.
        half: store float16 instead of float32; `huggingface` only.

    Raises:
        InputError: the folder is not free, a weight is damaged or beyond float16, or what was written reads back
            otherwise; nothing is then left in the folder.
    """
    if half and form == "tensorflow":
        raise InputError("--fp16: the original's graph reads float32 only; do without, or give --format=huggingface")
    _check_free(source.checkpoint, folder, form)
    total = sum(4 * int(np.prod(weight.shape, dtype=np.int64)) for weight in source.weights.values()) / 1e6
    with _filled_whole(folder, _WRITTEN[form]) as aside:
        with progress("Writing", total, "MB") as advance:
            counted = {name: _counted(weight, advance) for name, weight in source.weights.items()}
            _write(replace(source, weights=counted), aside, form, half)
        written = FolderStorage(aside)
        again = open_huggingface(written) if form == "huggingface" else open_tensorflow(written, PREFIX)
        with progress("Comparing", total, "MB") as advance:
            difference = _largest_difference(source, again, half, advance)
        if source.checkpoint.storage:
            source.checkpoint.storage.finish()
        after = _bytes_of_weights(again)
    return Conversion(
        source=source,
        folder=folder,
        form=form,
        half=half,
        difference=difference,
        before=_bytes_of_weights(source.checkpoint),
        after=after,
        warnings=tuple(_warnings(source, form)),
    )


def _check_free(checkpoint: Checkpoint, folder: Path, form: Format) -> None:
    """Refuse a folder in which a file would stay that changes what the model is."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"--dst={folder}: is a file; give a folder, new or empty")
    if checkpoint.storage and checkpoint.storage.path.resolve() == folder.resolve():
        raise InputError(f"--dst={folder}: is where the model is that is to be converted; give another folder")
    foreign = sorted(file.name for file in folder.iterdir() if file.name not in _WRITTEN[form])
    if foreign:
        raise InputError(f"--dst={folder}: holds {foreign[0]}, which is not of this conversion; give an empty folder")


@contextmanager
def _filled_whole(folder: Path, replaced: Iterable[str]) -> Iterator[Path]:
    """Give an empty folder to fill, inside `folder`; its files move to `folder` when the block ends without an error.

    The files `replaced` go away. `folder` itself may be a mounted disk or where the person is, so it is never replaced.
    """
    new = not folder.exists()
    aside = folder / f".{os.getpid()}.partial"
    aside.mkdir(parents=True)
    try:
        yield aside
        for name in replaced:
            (folder / name).unlink(missing_ok=True)
        for file in sorted(aside.iterdir(), key=lambda file: (file.name in _OPENED, file.name)):
            file.replace(folder / file.name)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(aside)
        if new:
            folder.rmdir()
        raise
    aside.rmdir()


def _write(source: CheckpointContents, folder: Path, form: Format, half: bool) -> None:
    if form == "huggingface":
        save_weights(folder, source.config, source.weights, source.architecture, half=half)
        if source.tokenizer:
            source.tokenizer.save(folder, source.config.longest_sequence)
        return
    # In a zip, going back is slow, and TensorFlow takes its tensors in any order.
    zipped = isinstance(source.checkpoint.storage, ZipStorage)
    write_tensorflow(folder / PREFIX, source.weights if zipped else in_order(source.weights))
    write_text(folder / "bert_config.json", google_json(source.config))
    if source.tokenizer:
        write_vocab(folder / "vocab.txt", source.tokenizer.tokens)


def google_json(config: BertConfig) -> str:
    """Return the `bert_config.json` of a model, in Google's dialect, where `gelu` is the tanh form."""
    values = json.loads(config.to_json())
    for key in (*STORAGE_KEYS, "pad_token_id"):
        values.pop(key, None)
    if config.layer_norm_eps == _ORIGINAL_EPSILON:
        del values["layer_norm_eps"]
    if config.hidden_act == "gelu_new":
        values["hidden_act"] = "gelu"
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def _warnings(source: CheckpointContents, form: Format) -> Iterator[str]:
    """Yield what the written model will do otherwise than its source."""
    tokenizer, config = source.tokenizer, source.config
    if tokenizer is None:
        yield "no vocabulary lies beside the weights, so none was written; give --vocab_file"
    if source.checkpoint.sentences:
        kept = "; bertworks.load(...).save(...) keeps it" if form == "huggingface" else ""
        yield f"how {source.checkpoint.path} makes vectors of texts is not written: {source.checkpoint.sentences}{kept}"
    if form == "huggingface":
        return
    if config.hidden_act == "gelu":
        yield (
            "the weights were trained with the erf form of GELU; the original's graph computes the tanh form, which "
            "changes its results a little"
        )
    if config.layer_norm_eps != _ORIGINAL_EPSILON:
        yield (
            f"the weights were trained with layer_norm_eps {config.layer_norm_eps:g}; the original's graph computes "
            f"with {_ORIGINAL_EPSILON:g}"
        )
    if tokenizer and any(token.content not in SPECIAL_TOKENS for token in tokenizer.added):
        added = [token.content for token in tokenizer.added if token.content not in SPECIAL_TOKENS]
        yield f"{some(added)} stay whole in text; the original's tokenizer splits those that have signs in them"
    if tokenizer and not tokenizer.split_ideographs:
        yield "ideographs are not words of their own; the original's tokenizer makes each of them one"
    if tokenizer and tokenizer.strip_accents not in (None, tokenizer.do_lower_case):
        kept = "drops" if tokenizer.do_lower_case else "keeps"
        yield f"strip_accents is {tokenizer.strip_accents}; the original's tokenizer {kept} accents"


def _counted(weight: Weight, advance: Advance) -> Weight:
    """Return the same weight, whose reading is progress."""

    def read_into(out: NDArray[np.float32]) -> None:
        weight.read_into(out)
        advance(out.nbytes / 1e6)

    return replace(weight, read_into=read_into)


def _largest_difference(source: CheckpointContents, again: Checkpoint, half: bool, advance: Advance) -> float:
    """Between the source's numbers and those read back.

    Raises:
        InputError: they differ by more than the rounding to float16 that was asked for.
    """
    largest = 0.0
    if again.weights.keys() != source.weights.keys():
        raise InputError(f"{again.path}: not every tensor reads back; the disk may be faulty")
    for name, weight in source.weights.items():
        # This order, because a tensor that is stored with its axes exchanged is held twice while it is read.
        second = again.weights[name].read().reshape(-1)
        first = weight.read().reshape(-1)
        for start in range(0, len(first), _COMPARED_AT_ONCE):
            wanted, found = first[start : start + _COMPARED_AT_ONCE], second[start : start + _COMPARED_AT_ONCE]
            rounded = wanted.astype(np.float16).astype(np.float32) if half else wanted
            # As bits, because a weight may be what is no number.
            if not np.array_equal(rounded.view(np.uint32), found.view(np.uint32)):
                raise InputError(
                    f"{again.path}: {name} reads back otherwise than it was written; the disk may be faulty"
                )
            if half:
                largest = max(largest, float(np.abs(wanted - found).max()))
        advance(first.nbytes / 1e6)
    return largest


def _bytes_of_weights(checkpoint: Checkpoint) -> int:
    """Return the size of the files that hold a checkpoint's weights."""
    storage = checkpoint.storage
    return sum(map(storage.size, _weight_files(checkpoint, storage))) if storage else 0


def _weight_files(checkpoint: Checkpoint, storage: Storage) -> Iterable[str]:
    files, name = storage.files(), checkpoint.path.name
    if checkpoint.format == "TensorFlow":
        return [file for file in files if file == f"{name}.index" or file.startswith(f"{name}.data-")]
    file = name if name in files else weights_of(storage)
    if file and file.endswith(".json"):
        return sorted({str(file) for file in read_json(storage, file)["weight_map"].values()})
    return [file] if file else []
