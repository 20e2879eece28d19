"""A tokenized corpus: the shards of one vocabulary, usually a folder of them.

The folder also holds `vocab.txt` and `index.json`. The index is written last, so a folder without it is unfinished.
Opening a corpus reads the index, or the headers of shards that are named one by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertworks import files
from bertworks.data.corpus_report import CorpusCounts
from bertworks.data.shards import FORMAT, REMEDY, Shard, VocabularyIdentity, check_format, open_shard
from bertworks.errors import InputError, damage_named
from bertworks.text.tokenizer import Tokenizer

INDEX = "index.json"
VOCABULARY = "vocab.txt"


@dataclass(frozen=True)
class Corpus:
    """Shards of one vocabulary, in order.

    Attributes:
        vocab_file: the `vocab.txt` in the folder of the first shard, or None if there is none.
    """

    shards: tuple[Shard, ...]
    vocabulary: VocabularyIdentity
    vocab_file: Path | None

    @property
    def tokens(self) -> int:
        """The number of tokens in all shards."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def sentences(self) -> int:
        """The number of sentences in all shards."""
        return sum(shard.sentences for shard in self.shards)

    @property
    def documents(self) -> int:
        """The number of documents in all shards."""
        return sum(shard.documents for shard in self.shards)

    def counts(self) -> CorpusCounts | None:
        """Read the counts of the text in all shards; None if a shard has none.

        Raises:
            InputError: a shard is damaged.
        """
        parts = [shard.counts or open_shard(shard.path).counts for shard in self.shards]
        known = [part for part in parts if part is not None]
        return CorpusCounts.joined(known) if len(known) == len(parts) else None

    @property
    def identity(self) -> str:
        """A short name of the contents: equal for equal shards in the same order, in any folder."""
        parts = "".join(f"{shard.checksum} {shard.tokens} {shard.sentences}\n" for shard in self.shards)
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def write_index(folder: Path, shards: Sequence[Shard]) -> None:
    """Write the index that finishes a folder of shards."""
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
        InputError: nothing is there, a folder is unfinished, a file is no shard or cut off, or the shards have
            different vocabularies. `flag` is the flag to fix.
    """
    shards = tuple(shard for path in files.expand(patterns, flag) for shard in _open(path, flag))
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
        raise InputError(f"{vocab_file}: not the vocabulary that {first.path} was made with; restore the file")
    return Corpus(shards, first.vocabulary, vocab_file)


def names_shards(patterns: str, flag: str = "--input_file") -> bool:
    """Tell whether a list of paths and globs names shards (folders or safetensors files) rather than record files."""
    return any(path.is_dir() or path.suffix == ".safetensors" for path in files.expand(patterns, flag))


def _open(path: Path, flag: str) -> list[Shard]:
    if not path.is_dir():
        return [open_shard(path)]
    index = path / INDEX
    if not index.exists():
        what = "an unfinished folder of shards" if any(path.glob("shard-*")) else "a folder without shards"
        raise InputError(f"{flag}: {path} is {what} (no {INDEX}); run create_pretraining_data --output_dir={path}")
    with damage_named(index, REMEDY):
        values = json.loads(index.read_bytes())
        check_format(index, values["format"])
        vocabulary = VocabularyIdentity(**values["vocabulary"])
        shards = []
        for row in values["shards"]:
            file = path / row["name"]
            if not file.exists():
                raise InputError(f"{file}: listed in {index}, but missing; restore it")
            if (size := file.stat().st_size) != row["bytes"]:
                raise InputError(f"{file}: cut off or changed ({size} bytes, not {row['bytes']}); restore it")
            counts = row["tokens"], row["sentences"], row["documents"]
            shards.append(Shard(file, vocabulary, *counts, row["checksum"]))
        return shards
