"""An opened checkpoint of any format: weights by name, still on the disk, with the configuration and vocabulary.

Every format keeps a tensor as bytes at known offsets of its files. The reader of a format finds the offsets; `stored`
reads the bytes, straight into the array that is wanted, holding nothing but the tensor itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.storage import Storage
from bertworks.checkpoints.text_rules import TextRules
from bertworks.config import BertConfig
from bertworks.data.tfrecord import masked
from bertworks.errors import InputError
from bertworks.text.rules import AddedToken
from bertworks.text.tokenizer import Tokenizer

# What numbers a tensor is stored in -> how numpy reads them; a bfloat16 is the upper half of a float32.
DType = Literal["float32", "float64", "float16", "bfloat16"]
_NUMPY: dict[str, str] = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2"}

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ByteRange:
    """Bytes of a file: `size` of them from `offset` on."""

    storage: Storage
    file: str
    offset: int
    size: int

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self.storage.path / self.file


@dataclass(frozen=True)
class Weight:
    """One tensor of a checkpoint, read when asked for.

    Attributes:
        stored_as: its name in the file, for messages.
        shape: in our layout ([out, in] for dense weights).
        read_into: reads it from the disk into an array of `shape`, checked as far as the format can be. Raises
            InputError.
    """

    stored_as: str
    shape: tuple[int, ...]
    read_into: Callable[[NDArray[np.float32]], None]

    def read(self) -> NDArray[np.float32]:
        """Return the tensor in an array of its own."""
        array = np.empty(self.shape, np.float32)
        self.read_into(array)
        return array


def stored(
    stored_as: str,
    shape: Sequence[int],
    dtype: str,
    byte_ranges: Sequence[ByteRange],
    *,
    transposed: bool = False,
    crc32c: int | None = None,
) -> Weight:
    """Return a tensor that lies in files.

    Args:
        stored_as: its name there.
        shape: its shape there; ours has the two axes exchanged where `transposed`.
        dtype: what it is stored in; one that is no `DType` is an error when the tensor is read.
        spans: where its bytes are, in order; within their files, as the reader has checked.
        crc32c: the masked checksum of the bytes, where the format has one.

    Raises:
        InputError: the spans are not as long as such a tensor.
    """
    found = sum(byte_range.size for byte_range in byte_ranges)
    if dtype in _NUMPY and found != (wanted := math.prod(shape) * np.dtype(_NUMPY[dtype]).itemsize):
        where = byte_ranges[0].path if byte_ranges else "the file"
        raise InputError(f"{where}: {stored_as} of shape {list(shape)} has {found:,} bytes, not {wanted:,}")
    ours = tuple(shape[::-1]) if transposed else tuple(shape)
    return Weight(stored_as, ours, partial(_read_into, stored_as, dtype, byte_ranges, transposed, crc32c))


def _read_into(
    name: str,
    dtype: str,
    byte_ranges: Sequence[ByteRange],
    transposed: bool,
    crc32c: int | None,
    out: NDArray[np.float32],
) -> None:
    if dtype not in _NUMPY:
        raise InputError(f"{byte_ranges[0].path}: {name} is of {dtype}, not of a floating-point type")
    target = out.T if transposed else out
    direct = dtype == "float32" and target.flags.c_contiguous and target.dtype.isnative
    array: NDArray[Any] = target if direct else np.empty(target.shape, _NUMPY[dtype])
    _read_bytes(name, byte_ranges, crc32c, array.reshape(-1).view(np.uint8).data)
    if dtype == "bfloat16":
        target[...] = (array.astype(np.uint32) << 16).view(np.float32)
    elif not direct:
        target[...] = array


def _read_bytes(name: str, byte_ranges: Sequence[ByteRange], crc32c: int | None, buffer: memoryview) -> None:
    """Fill `buffer` with the bytes of `byte_ranges`, end to end."""
    crc = done = 0
    for byte_range in byte_ranges:
        path, end = byte_range.path, done + byte_range.size
        try:
            with byte_range.storage.at(byte_range.file, byte_range.offset) as stream:
                # In chunks for a checksum, while they are in the cache; and from a zip, whose stream makes a copy.
                whole = crc32c is None and byte_range.storage.local(byte_range.file)
                while done < end:
                    chunk = buffer[done : end if whole else min(end, done + _CHUNK_BYTES)]
                    count = stream.readinto(chunk)
                    if not count:
                        raise InputError(f"{path}: cut off inside {name}; copy or download the file again")
                    if crc32c is not None:
                        crc = google_crc32c.extend(crc, chunk[:count].tobytes())
                    done += count
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); it holds {name}") from None
    if crc32c is not None and masked(crc) != crc32c:
        raise InputError(
            f"{byte_ranges[0].path}: {name} is damaged (its checksum differs); copy or download the file again"
        )


def add(weights: dict[str, Weight], name: str, weight: Weight, path: Path) -> None:
    """Add a weight under our name for it.

    Raises:
        InputError: the file at `path` holds it a second time, under another name.
    """
    if name in weights:
        raise InputError(f"{path}: {weights[name].stored_as} and {weight.stored_as} are the same weight")
    weights[name] = weight


@dataclass(frozen=True)
class StoredVocabulary:
    """The vocabulary of a checkpoint, read when asked for.

    Attributes:
        path: where, for messages.
        pieces: its tokens in the order of their ids, "" for an id without one. Raises InputError.
        added: tokens that were added to it. Raises InputError.
    """

    path: Path
    pieces: Callable[[], list[str]]
    added: Callable[[], tuple[AddedToken, ...]] = tuple

    def read(self) -> list[str]:
        """Return all tokens in the order of their ids.

        Raises:
            InputError: it is damaged, or an added token has the id of another one.
        """
        tokens = list(self.pieces())
        for token in self.added():
            tokens += [""] * (token.id + 1 - len(tokens))
            if tokens[token.id] not in ("", token.content):
                raise InputError(
                    f"{self.path}: id {token.id} is {tokens[token.id]!r}, the added token {token.content!r} has it, too"
                )
            tokens[token.id] = token.content
        return tokens

    def tokenizer(self, do_lower_case: bool, rules: TextRules | None = None) -> Tokenizer:
        """Return a tokenizer over it.

        Raises:
            InputError: as `read`; or the rules are not BERT's.
        """
        rules = rules or TextRules()
        if rules.refusal:
            raise InputError(
                f"{self.path.parent}: its tokenizer is not BERT's: {rules.refusal}; --vocab_file takes the original's "
                "rules instead, with a vocabulary of your choice"
            )
        return Tokenizer(self.read(), do_lower_case, added=self.added(), vocab_file=self.path, **rules.arguments())


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer that follows the pooling: weight [out, in], bias [out] or None, and the name of its activation."""

    weight: Weight
    bias: Weight | None
    activation: str


@dataclass(frozen=True)
class SentenceRules:
    """How a folder of sentence-transformers makes a vector of a text.

    Attributes:
        poolings: cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken; of several, the results are joined.
        steps: what follows: dense layers, and None for a division by the vector's length.
        max_seq_length: the most tokens of a text; None where nothing tells.
        prompt: what goes before every text.
        do_lower_case: whether the text is lower-cased, whatever the tokenizer does.
        refusal: what it has that we do not compute; None if there is nothing.
        settings: all prompts by name, the default one, and the similarity, as the folder has them.
    """

    poolings: tuple[str, ...]
    steps: tuple[DenseLayer | None, ...] = ()
    max_seq_length: int | None = None
    prompt: str = ""
    do_lower_case: bool = False
    refusal: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        """One line."""
        steps = [f"{' and '.join(self.poolings) or 'no'} pooling"]
        steps += ["a division by the length" if step is None else "a dense layer" for step in self.steps]
        length = f", of at most {self.max_seq_length} tokens" if self.max_seq_length else ""
        prompt = f", with {self.prompt!r} before each text" if self.prompt else ""
        unknown = f"; {self.refusal} is not computed here" if self.refusal else ""
        return f"a folder of sentence-transformers: {', '.join(steps)}{length}{prompt}{unknown}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, opened.

    Attributes:
        path: what was opened, for messages.
        format: its kind, for people.
        weights: by our names (names.py), in the order in which they are best read; tensors that are none of BERT's keep
            the names they are stored under.
        config: the configuration in the files, in our dialect; None where there is none.
        hidden_act: the activation that the weights were trained with; None where nothing tells.
        vocabulary: None where there is none.
        do_lower_case: whether that vocabulary wants lower-cased text; None where nothing tells.
        text_rules: how the files say that text becomes words.
        architecture: Hugging Face's class for the model with its head, where a file says so.
        sentences: how a folder of sentence-transformers makes a vector of a text; None for other models.
        notes: what was left out or changed, one line each.
        storage: the folder or zip with the files.
    """

    path: Path
    format: str
    weights: Mapping[str, Weight]
    config: BertConfig | None = None
    hidden_act: str | None = None
    vocabulary: StoredVocabulary | None = None
    do_lower_case: bool | None = None
    text_rules: TextRules = field(default_factory=TextRules)
    architecture: str | None = None
    sentences: SentenceRules | None = None
    notes: tuple[str, ...] = ()
    storage: Storage | None = field(default=None, compare=False)


def padding(rows: int, words: int) -> bool:
    """Tell whether `rows` is a vocabulary of `words` padded for the hardware: to a multiple of 8, by less than 128."""
    return words < rows < words + 128 and rows % 8 == 0
