"""Token shards: the files of a tokenized corpus, from which instances of any length are drawn at training time.

A shard is a safetensors file of three flat arrays:

    tokens            uint16 [T] (uint32 for vocabularies above 65,536 tokens): the sentences one after the other
    sentence_starts   uint32 [S+1]: sentence s is tokens[sentence_starts[s] : sentence_starts[s + 1]]
    document_starts   uint32 [D+1]: document d is sentences document_starts[d] : document_starts[d + 1]

The header names the vocabulary of the ids, what the shard was made from and counts of its text, and holds a checksum
over everything. Opening a shard reads the header only. Reading a shard maps the arrays and computes the checksum each
time. `corpus.py` opens many shards together.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from bertworks import files
from bertworks.data.corpus_report import CorpusCounts
from bertworks.data.safetensors_header import read_header
from bertworks.errors import InputError, damage_named
from bertworks.remote.cache import opened
from bertworks.text.tokenizer import Tokenizer

FORMAT = "bertworks token shard, version 1"

Tokens = NDArray[np.uint16] | NDArray[np.uint32]

_DTYPES: dict[str, np.dtype[Any]] = {"U16": np.dtype("<u2"), "U32": np.dtype("<u4")}
REMEDY = "delete it and run create_pretraining_data again"


@dataclass(frozen=True)
class VocabularyIdentity:
    """What token ids mean: the SHA-256 and number of the tokens, and the settings of the tokenizer (see Tokenizer)."""

    sha256: str
    size: int
    do_lower_case: bool
    strip_accents: bool | None = None
    max_input_chars_per_word: int = 200

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> VocabularyIdentity:
        """Describe the vocabulary of a tokenizer."""
        return cls(
            tokenizer.sha256,
            tokenizer.vocab_size,
            tokenizer.do_lower_case,
            tokenizer.strip_accents,
            tokenizer.max_input_chars_per_word,
        )

    def tokenizer(self, over: Tokenizer) -> Tokenizer:
        """Make a tokenizer with these settings over the vocabulary of another, whose SHA-256 the caller compares."""
        return Tokenizer(
            over.tokens,
            self.do_lower_case,
            strip_accents=self.strip_accents,
            max_input_chars_per_word=self.max_input_chars_per_word,
            vocab_file=over.vocab_file,
        )

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The type of a token id on disk."""
        return np.dtype(np.uint16) if self.size <= 1 << 16 else np.dtype(np.uint32)


@dataclass(frozen=True)
class ShardData:
    """The arrays of one shard. `tokens` is mapped from the file and read-only.

    Attributes:
        tokens: [T] uint16 or uint32.
        sentence_starts: [S+1] int64, indices of tokens.
        document_starts: [D+1] int64, indices of sentences.
        mapped: the mapping of the file, and the file; None for arrays that are not on the disk.
    """

    tokens: Tokens
    sentence_starts: NDArray[np.int64]
    document_starts: NDArray[np.int64]
    mapped: tuple[mmap.mmap, Path] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Shard:
    """The header of a shard file, which is enough to plan with.

    Attributes:
        tokens, sentences, documents: how many there are.
        checksum: CRC-32C of header and arrays, in hexadecimal.
        made_from: the flags that made the shard, and the size and checksum of its text.
        counts: of its text; None for shards of an index, which does not list them, and of earlier versions.
    """

    path: Path
    vocabulary: VocabularyIdentity
    tokens: int
    sentences: int
    documents: int
    checksum: str
    made_from: Mapping[str, Any] = field(default_factory=dict, compare=False)
    counts: CorpusCounts | None = field(default=None, compare=False)

    def read(self) -> ShardData:
        """Map the arrays after checking the checksum over all of them.

        Raises:
            InputError: the file has changed since it was opened, or its bytes are damaged.
        """
        with damage_named(self.path, REMEDY):
            facts, tensors, begin = _header(self.path)
            del facts["checksum"]
            with opened(self.path) as stream:
                memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            arrays: dict[str, NDArray[Any]] = {}
            for name, entry in tensors.items():
                (count,), (first, last), dtype = entry["shape"], entry["data_offsets"], _DTYPES[entry["dtype"]]
                if last - first != count * dtype.itemsize:
                    raise ValueError(f"{name} lies in {last - first} bytes")
                arrays[name] = np.frombuffer(memory, dtype, count, begin + first)
            found = _checksum(facts, arrays)
        if found != self.checksum:
            raise InputError(f"{self.path}: damaged shard (checksum {found}, not {self.checksum}); {REMEDY}")
        return ShardData(
            tokens=arrays["tokens"],
            sentence_starts=arrays["sentence_starts"].astype(np.int64),
            document_starts=arrays["document_starts"].astype(np.int64),
            mapped=(memory, self.path),
        )


def write_shard(
    path: Path,
    data: ShardData,
    vocabulary: VocabularyIdentity,
    made_from: Mapping[str, Any],
    counts: CorpusCounts | None = None,
) -> Shard:
    """Write one shard, whole or not at all. Equal arguments give equal bytes."""
    arrays = {
        "tokens": np.ascontiguousarray(data.tokens, vocabulary.dtype),
        "sentence_starts": np.ascontiguousarray(data.sentence_starts, np.uint32),
        "document_starts": np.ascontiguousarray(data.document_starts, np.uint32),
    }
    facts: dict[str, Any] = {"format": FORMAT, "vocabulary": asdict(vocabulary), "made_from": dict(made_from)}
    if counts is not None:
        facts["counts"] = counts.as_json()
    checksum = _checksum(facts, arrays)
    # The header has one entry, because safetensors writes several entries in no fixed order.
    header = json.dumps({**facts, "checksum": checksum}, sort_keys=True)
    with files.written_whole(path) as stream:
        stream.write(save(arrays, {"bertworks": header}))
    sizes = (len(data.tokens), len(data.sentence_starts) - 1, len(data.document_starts) - 1)
    return Shard(path, vocabulary, *sizes, checksum, facts["made_from"], counts)


def open_shard(path: Path) -> Shard:
    """Read a shard's header.

    Raises:
        InputError: the file is no shard, a shard of another version, or cut off.
    """
    with damage_named(path, REMEDY):
        facts, tensors, _ = _header(path)
        tokens, sentence_starts, document_starts = (
            tensors[name]["shape"][0] for name in ("tokens", "sentence_starts", "document_starts")
        )
        vocabulary = VocabularyIdentity(**facts["vocabulary"])
        sizes = (tokens, sentence_starts - 1, document_starts - 1)
        counts = CorpusCounts.of_json(facts.get("counts"))
        return Shard(path, vocabulary, *sizes, facts["checksum"], facts["made_from"], counts)


def check_format(path: Path, found: object) -> None:
    """Raise InputError if a shard or an index has another format than FORMAT."""
    if found != FORMAT:
        raise InputError(f"{path}: written in the format {found!r}, not {FORMAT!r}; {REMEDY}")


def _header(path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Read a shard's header: our facts, the tensors by name, and the offset of their bytes in the file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            tensors, begin = read_header(stream, size)
        facts = json.loads(tensors.pop("__metadata__")["bertworks"])
        found = facts["format"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a token shard, or one that is damaged at its beginning") from None
    check_format(path, found)
    end = begin + max(tensor["data_offsets"][1] for tensor in tensors.values())
    if end != size:
        raise InputError(f"{path}: cut off or damaged shard ({size} bytes, its header says {end}); {REMEDY}")
    return facts, tensors, begin


def _checksum(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Compute CRC-32C over the facts and the arrays, in hexadecimal."""
    crc = google_crc32c.value(json.dumps(facts, sort_keys=True).encode())
    for name in ("tokens", "sentence_starts", "document_starts"):
        array = arrays[name].view()
        array.flags.writeable = False  # google_crc32c reads only what cannot change meanwhile
        crc = google_crc32c.extend(crc, array)
    return f"{crc:08x}"
