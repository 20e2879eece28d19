"""GluonNLP's checkpoints (`.params`) and vocabularies (`.vocab`), read without MXNet and GluonNLP.

A `.params` file is what MXNet's NDArray::Save writes (src/ndarray/ndarray.cc), little-endian: a magic number, zero, the
number of arrays, the arrays one after another, then the number of names and the names in the same order. An array is a
magic number that tells the version, how it is stored (dense or sparse), its shape, the device it was on, its type and
its numbers. A `.vocab` file is JSON.
"""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path

from bertworks.checkpoints import names
from bertworks.checkpoints.model_files import vocabulary
from bertworks.checkpoints.storage import DamagedError, Storage, Stream, read_bytes
from bertworks.checkpoints.weights import ByteRange, Checkpoint, StoredVocabulary, Weight, add, stored
from bertworks.errors import InputError

_LIST_MAGIC = 0x112
# Version 3 has MXNet's numpy shapes: a scalar has no axes, where in version 2 that says that there is no array.
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA

# Type flags (3rdparty/mshadow/mshadow/base.h): the name and the bytes of one.
_TYPES = {
    0: ("float32", 4), 1: ("float64", 8), 2: ("float16", 2), 3: ("uint8", 1), 4: ("int32", 4), 5: ("int8", 1),
    6: ("int64", 8), 7: ("bool", 1), 12: ("bfloat16", 2),
}  # fmt: skip

# BERT-Large has 400 arrays, with names of at most 70 characters.
_MOST_ARRAYS = 20_000
_LONGEST_NAME = 512
_LARGEST_RANK = 8

# The model inside a fine-tuned one (BERTClassifier and BertForQA, BERTTagger), and their heads by the names in the
# table. Whether the classifier's layer has number 0 or 1 depends on a dropout before it.
_INNER = ("bert.", "bert_model.")
_HEADS = {"classifier.0.": "classifier.1.", "tag_classifier.": "classifier.1."}

# The datasets of the first releases whose names lack the casing; later names of the same files have it.
_CASING = {"wiki_multilingual": True, "wiki_cn": False}

_OTHER_VOCABULARY = (
    "GluonNLP's released models number some words otherwise than Google's vocab.txt; use the .vocab file of the model"
)


def open_gluonnlp(storage: Storage, name: str) -> Checkpoint:
    """Return the weights of a `.params` file by our names. The activation is the erf form of GELU.

    Raises:
        InputError: not such a file, sparse, or damaged.
    """
    path = storage.path / name
    weights: dict[str, Weight] = {}
    aside = []
    for stored_as, shape, dtype, byte_range in _arrays(storage, name):
        plain = stored_as.removeprefix("arg:").removeprefix("aux:")
        ours = _to_ours(plain) or names.Counterpart(plain, transposed=False)
        if ours.name == plain and "float" not in dtype:
            aside.append(stored_as)
            continue
        add(weights, ours.name, stored(stored_as, shape, dtype, [byte_range]), path)
    notes = [f"set aside: {', '.join(aside[:10])}"] if aside else []
    words = _vocabulary(storage, name)
    if words is None or words.path.suffix != ".vocab":
        notes.append(_OTHER_VOCABULARY)
    return Checkpoint(
        path=path,
        format="GluonNLP",
        weights=weights,
        hidden_act="gelu",
        vocabulary=words,
        do_lower_case=_casing(_dataset(name)),
        notes=tuple(notes),
        storage=storage,
    )


def _to_ours(name: str) -> names.Counterpart | None:
    """Our name for an array of a pre-trained or fine-tuned model."""
    for head, known in _HEADS.items():
        if name.startswith(head):
            return names.to_ours(known + name.removeprefix(head), "gluonnlp")
    for inner in _INNER:
        if name.startswith(inner):
            return names.to_ours(name.removeprefix(inner), "gluonnlp")
    return names.to_ours(name, "gluonnlp")


class _Reader:
    """Reads a file from front to back, and checks that it is long enough. In a zip, going back is slow."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream, self.size, self.at = stream, size, 0

    def take(self, count: int) -> bytes:
        self._advance(count)
        data = self._stream.read(count)
        if len(data) != count:
            raise DamagedError("cut off")
        return data

    def skip(self, count: int) -> None:
        self._advance(count)
        self._stream.seek(self.at)

    def numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))

    def _advance(self, count: int) -> None:
        if self.at + count > self.size:
            raise DamagedError(f"cut off: {self.size:,} bytes, an array or a name ends at {self.at + count:,}")
        self.at += count


def _arrays(storage: Storage, file: str) -> list[tuple[str, tuple[int, ...], str, ByteRange]]:
    """Return (name, shape, type, bytes) of every array, in the order of the file, none of them read."""
    path = storage.path / file
    try:
        with storage.at(file, 0) as stream:
            reader = _Reader(stream, storage.size(file))
            magic, reserved, count = reader.numbers("QQQ")
            if magic != _LIST_MAGIC or reserved:
                raise DamagedError("the first bytes")
            if not 0 < count <= _MOST_ARRAYS:
                raise DamagedError(f"{count:,} arrays")
            arrays = [_array(reader, storage, file) for _ in range(count)]
            (named,) = reader.numbers("Q")
            if named != count:
                raise DamagedError(f"{named:,} names for {count:,} arrays")
            found = [(_name(reader), *array) for array in arrays]
            if reader.at != reader.size:
                raise DamagedError(f"{reader.size - reader.at:,} bytes after the last name")
    except DamagedError as error:
        raise InputError(f"{path}: not a file of MXNet arrays, or damaged ({error})") from None
    counted = {name for name, *_ in found}
    if len(counted) != count:
        raise InputError(f"{path}: damaged: {count:,} arrays have {len(counted):,} different names")
    return found


def _array(reader: _Reader, storage: Storage, file: str) -> tuple[tuple[int, ...], str, ByteRange]:
    """Return (shape, type, bytes) of the next array."""
    (version,) = reader.numbers("I")
    if version == _V1:
        raise DamagedError("the format before MXNet 1.0; load and save it with a later one")
    if version not in (_V2, _V3):
        raise DamagedError(f"no array at byte {reader.at - 4:,}")
    layout, rank = reader.numbers("ii")
    if layout in (1, 2):
        raise DamagedError("sparse arrays, which no BERT has")
    if layout != 0 or not (0 if version == _V3 else 1) <= rank <= _LARGEST_RANK:
        raise DamagedError(f"the kind of the array before byte {reader.at:,}")
    shape = reader.numbers("q" * rank)
    _, _, flag = reader.numbers("iii")
    if min(shape, default=1) < 1 or flag not in _TYPES:
        raise DamagedError(f"the shape or type of the array before byte {reader.at:,}")
    dtype, itemsize = _TYPES[flag]
    byte_range = ByteRange(storage, file, reader.at, math.prod(shape) * itemsize)
    reader.skip(byte_range.size)
    return shape, dtype, byte_range


def _name(reader: _Reader) -> str:
    (length,) = reader.numbers("Q")
    if length > _LONGEST_NAME:
        raise DamagedError(f"a name of {length:,} bytes")
    try:
        return reader.take(length).decode()
    except UnicodeDecodeError:
        raise DamagedError("a name that is not UTF-8") from None


def _dataset(file: str) -> str:
    """Return what a released file was made from: `bert_12_768_12_wiki_cn_cased-885ebb9a.params` -> `wiki_cn_cased`."""
    stem = file.rpartition(".")[0]
    return re.sub(r"^bert_\d+_\d+_\d+_|-[0-9a-f]{8}$", "", stem)


def _casing(dataset: str) -> bool | None:
    """Tell whether GluonNLP lower-cases text for it (`finetune_classifier.py`); None where the name does not tell."""
    if dataset in _CASING:
        return _CASING[dataset]
    written = re.search(r"(?<![a-z])(un)?cased(?![a-z])", dataset)
    return bool(written[1]) if written else None


def _vocabulary(storage: Storage, file: str) -> StoredVocabulary | None:
    """Return the `.vocab` file that is alone or of the same name as the weights, else `vocab.txt`."""
    found = [other for other in storage.files() if other.endswith(".vocab")]
    if len(found) > 1:
        found = [other for other in found if _dataset(other) == _dataset(file)]
    if len(found) != 1:
        return vocabulary(storage)
    path = storage.path / found[0]
    return StoredVocabulary(path, lambda: tokens_of_vocab(read_bytes(storage, path.name), path))


def tokens_of_vocab(data: str | bytes, path: Path | str) -> list[str]:
    """Return the tokens in the JSON of a `.vocab` file, in the order of their ids; `path` is what messages call it.

    Raises:
        InputError: it is no such JSON, or without a token.
    """
    try:
        tokens = json.loads(data)["idx_to_token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        tokens = None
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise InputError(f"{path}: not a vocabulary of GluonNLP (no list idx_to_token)")
    return tokens
