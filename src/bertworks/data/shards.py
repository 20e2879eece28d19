"""Token shards: a corpus on disk, tokenized once, from which instances of any length are drawn at training time.

A shard is a safetensors file of three flat arrays:

    tokens            uint16 [T] (uint32 for vocabularies above 65,536 words): sentence after sentence, nothing else
    sentence_starts   uint32 [S+1]: sentence s is tokens[sentence_starts[s] : sentence_starts[s + 1]]
    document_starts   uint32 [D+1]: document d is sentences document_starts[d] : document_starts[d + 1]

Its header says which vocabulary the ids belong to, what made it, and a checksum over all of this. A folder of shards
also holds `vocab.txt` and `index.json`, which is written last: a folder without it is unfinished. Opening a corpus
reads the index or the headers only; a shard's data is mapped and its checksum computed each time it is read.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from bertworks import files
from bertworks.data.safetensors_header import read_header
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer

FORMAT = "bertworks token shard, version 1"
INDEX = "index.json"
VOCABULARY = "vocab.txt"

Tokens = NDArray[np.uint16] | NDArray[np.uint32]

_DTYPES: dict[str, np.dtype[Any]] = {"U16": np.dtype("<u2"), "U32": np.dtype("<u4")}
_REMEDY = "delete it and run create_pretraining_data again"


@dataclass(frozen=True)
class Vocabulary:
    """What token ids mean: which words (their SHA-256), how many, and how text was brought to them (see Tokenizer)."""

    sha256: str
    size: int
    do_lower_case: bool
    strip_accents: bool | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        """That of a tokenizer."""
        return cls(tokenizer.sha256, tokenizer.vocab_size, tokenizer.do_lower_case, tokenizer.strip_accents)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The type that one token id takes on disk."""
        return np.dtype(np.uint16) if self.size <= 1 << 16 else np.dtype(np.uint32)


@dataclass(frozen=True)
class ShardData:
    """The arrays of one shard. `tokens` is mapped from the file and read-only.

    Attributes:
        tokens: [T] uint16 or uint32.
        sentence_starts: [S+1] int64, indices of tokens.
        document_starts: [D+1] int64, indices of sentences.
    """

    tokens: Tokens
    sentence_starts: NDArray[np.int64]
    document_starts: NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """A shard file, known by its header: enough to plan with. `read` gives the arrays."""

    path: Path
    vocabulary: Vocabulary
    tokens: int
    sentences: int
    documents: int
    checksum: str
    # What made it: flags by name, and the text it came from.
    made_from: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def read(self) -> ShardData:
        """Map the arrays, after computing the checksum over all of them.

        Raises:
            InputError: the file is not what was opened, or its bytes are damaged.
        """
        arrays, found = _arrays(self.path)
        if found != self.checksum:
            raise InputError(f"{self.path}: damaged shard (checksum {found}, not {self.checksum}); {_REMEDY}")
        return ShardData(
            tokens=arrays["tokens"],
            sentence_starts=arrays["sentence_starts"].astype(np.int64),
            document_starts=arrays["document_starts"].astype(np.int64),
        )


@dataclass(frozen=True)
class Corpus:
    """Shards of one vocabulary, in order.

    Attributes:
        vocab_file: the vocabulary that lies beside the shards, or None if there is none.
    """

    shards: tuple[Shard, ...]
    vocabulary: Vocabulary
    vocab_file: Path | None

    @property
    def tokens(self) -> int:
        """How many tokens all shards hold."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def sentences(self) -> int:
        """How many sentences all shards hold."""
        return sum(shard.sentences for shard in self.shards)

    @property
    def documents(self) -> int:
        """How many documents all shards hold."""
        return sum(shard.documents for shard in self.shards)

    @property
    def identity(self) -> str:
        """A short name of the contents: equal for equal shards in the same order, wherever they lie."""
        parts = "".join(f"{shard.checksum} {shard.tokens} {shard.sentences}\n" for shard in self.shards)
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def write_shard(path: Path, data: ShardData, vocabulary: Vocabulary, made_from: Mapping[str, Any]) -> Shard:
    """Write one shard, whole or not at all; equal arguments give equal bytes."""
    arrays = {
        "tokens": np.ascontiguousarray(data.tokens, vocabulary.dtype),
        "sentence_starts": np.ascontiguousarray(data.sentence_starts, np.uint32),
        "document_starts": np.ascontiguousarray(data.document_starts, np.uint32),
    }
    facts: dict[str, Any] = {"format": FORMAT, "vocabulary": asdict(vocabulary), "made_from": dict(made_from)}
    checksum = _checksum(facts, arrays)
    # One entry, because safetensors keeps several in no fixed order.
    header = json.dumps({**facts, "checksum": checksum}, sort_keys=True)
    with files.written_whole(path) as stream:
        stream.write(save(arrays, {"bertworks": header}))
    return Shard(
        path=path,
        vocabulary=vocabulary,
        tokens=len(data.tokens),
        sentences=len(data.sentence_starts) - 1,
        documents=len(data.document_starts) - 1,
        checksum=checksum,
        made_from=facts["made_from"],
    )


def open_shard(path: Path) -> Shard:
    """Read a shard's header.

    Raises:
        InputError: not a shard, one of another version, or one that is cut off.
    """
    with _damage_named(path):
        facts, tensors, _ = _header(path)
        return Shard(
            path=path,
            vocabulary=Vocabulary(**facts["vocabulary"]),
            tokens=tensors["tokens"]["shape"][0],
            sentences=tensors["sentence_starts"]["shape"][0] - 1,
            documents=tensors["document_starts"]["shape"][0] - 1,
            checksum=facts["checksum"],
            made_from=facts["made_from"],
        )


def write_index(folder: Path, shards: Sequence[Shard]) -> None:
    """Finish a folder of shards: from now on `open_corpus` opens it."""
    rows: list[dict[str, Any]] = [
        {
            "name": shard.path.name,
            "bytes": shard.path.stat().st_size,
            "tokens": shard.tokens,
            "sentences": shard.sentences,
            "documents": shard.documents,
            "checksum": shard.checksum,
        }
        for shard in shards
    ]
    totals = {name: sum(row[name] for row in rows) for name in ("bytes", "tokens", "sentences", "documents")}
    index = {"format": FORMAT, "vocabulary": asdict(shards[0].vocabulary), **totals, "shards": rows}
    files.write_text(folder / INDEX, json.dumps(index, indent=1) + "\n")


def open_corpus(patterns: str, flag: str = "--input_file") -> Corpus:
    """Open the shards that a comma-separated list of folders, files and globs names.

    Raises:
        InputError: nothing there, an unfinished folder, something that is no shard, a shard that is cut off, or shards
            of different vocabularies. `flag` is the flag to mend.
    """
    paths = files.expand(patterns, flag)
    shards = tuple(shard for path in paths for shard in _open(path, flag))
    first = shards[0]
    for shard in shards:
        if shard.vocabulary != first.vocabulary:
            raise InputError(
                f"{flag}: {shard.path} was made with another vocabulary or casing than {first.path}; "
                "run create_pretraining_data on both texts with the same --vocab_file and --do_lower_case"
            )
    vocab_file = first.path.parent / VOCABULARY
    if not vocab_file.exists():
        return Corpus(shards, first.vocabulary, None)
    if Tokenizer.from_vocab(vocab_file).sha256 != first.vocabulary.sha256:
        raise InputError(f"{vocab_file}: not the vocabulary that {first.path} was made with; restore it")
    return Corpus(shards, first.vocabulary, vocab_file)


def names_shards(patterns: str, flag: str = "--input_file") -> bool:
    """Whether a list of paths and globs names shards (folders or safetensors files) rather than other records."""
    return any(path.is_dir() or path.suffix == ".safetensors" for path in files.expand(patterns, flag))


def _open(path: Path, flag: str) -> list[Shard]:
    """The shards of one folder or file."""
    if not path.is_dir():
        return [open_shard(path)]
    index = path / INDEX
    if not index.exists():
        what = "an unfinished folder of shards" if any(path.glob("shard-*")) else "a folder without shards"
        raise InputError(f"{flag}: {path} is {what} (no {INDEX}); run create_pretraining_data --output_dir={path}")
    with _damage_named(index):
        values = json.loads(index.read_bytes())
        if values["format"] != FORMAT:
            raise InputError(f"{index}: written in the format {values['format']!r}, not {FORMAT!r}; {_REMEDY}")
        vocabulary = Vocabulary(**values["vocabulary"])
        return [_listed(path, row, vocabulary) for row in values["shards"]]


def _listed(folder: Path, row: Mapping[str, Any], vocabulary: Vocabulary) -> Shard:
    """The shard that a row of an index names, if the file is there in its full size."""
    path = folder / row["name"]
    if not path.exists():
        raise InputError(f"{path}: listed in {folder / INDEX}, but missing; restore it")
    if path.stat().st_size != row["bytes"]:
        raise InputError(f"{path}: cut off or changed ({path.stat().st_size} bytes, not {row['bytes']}); restore it")
    return Shard(path, vocabulary, row["tokens"], row["sentences"], row["documents"], row["checksum"])


def _header(path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """What a shard's header says: our facts, the tensors by name, and where in the file their bytes begin."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            tensors, begin = read_header(stream, size)
        facts = json.loads(tensors.pop("__metadata__")["bertworks"])
        known = facts["format"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a token shard, or one that is damaged at its beginning") from None
    if known != FORMAT:
        raise InputError(f"{path}: written in the format {known!r}, not {FORMAT!r}; {_REMEDY}")
    end = begin + max(tensor["data_offsets"][1] for tensor in tensors.values())
    if end != size:
        raise InputError(f"{path}: cut off or damaged shard ({size} bytes, its header says {end}); {_REMEDY}")
    return facts, tensors, begin


def _arrays(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """The arrays of a shard as they lie in the file, read-only, and the checksum that they and the header have."""
    with _damage_named(path):
        facts, tensors, begin = _header(path)
        del facts["checksum"]
        with path.open("rb") as stream:
            memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        arrays: dict[str, NDArray[Any]] = {}
        for name, entry in tensors.items():
            (count,), (first, last), dtype = entry["shape"], entry["data_offsets"], _DTYPES[entry["dtype"]]
            if last - first != count * dtype.itemsize:
                raise ValueError(f"{name} lies in {last - first} bytes")
            arrays[name] = np.frombuffer(memory, dtype, count, begin + first)
        return arrays, _checksum(facts, arrays)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn the errors of reading what is not there into one that names the file."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); {_REMEDY}") from None


def _checksum(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """CRC-32C over the facts and the arrays, in hexadecimal."""
    crc = google_crc32c.value(json.dumps(facts, sort_keys=True).encode())
    for name in ("tokens", "sentence_starts", "document_starts"):
        array = arrays[name].view()
        array.flags.writeable = False  # google_crc32c reads nothing that could change meanwhile
        crc = google_crc32c.extend(crc, array)
    return f"{crc:08x}"
