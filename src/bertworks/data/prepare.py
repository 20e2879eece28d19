"""Writing token shards from text: as a stream, in parallel, and resumable after a kill.

The text is read once, in order, as small blocks of whole documents, which any number of processes tokenize. About 64 MB
of neighbouring blocks make a shard. So the files are the same for any number of workers, and memory holds the text and
tokens of two or three shards, however large the input is.

The header of a shard records the vocabulary, the flags and a checksum of the text. A run that finds shards in its
folder reads the text again, keeps the shards that match it, and makes the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from bertworks import draws, files, ragged
from bertworks.cores import usable_cores
from bertworks.data.corpus import INDEX, VOCABULARY, Corpus, write_index
from bertworks.data.corpus_report import CorpusCounts
from bertworks.data.masking import MaskableWords
from bertworks.data.shards import Shard, ShardData, Tokens, VocabularyIdentity, open_shard, write_shard
from bertworks.data.tokenizing import TokenizedBlock, tokenizing
from bertworks.errors import InputError, damage_named
from bertworks.on_ray import HERE, WorkEngine
from bertworks.progress import progress, say
from bertworks.text.corpus import TextBlock, blocks
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import write_vocab

SHARD_BYTES = 64_000_000
BLOCK_BYTES = 1_000_000

# The number of messages about the text that are shown. The others are counted.
_SHOWN = 5

_IS_CUT, _CUT = range(2)  # what random numbers are drawn for


class MadeOtherwiseError(InputError):
    """The folder holds shards of another text or vocabulary, or shards made with other flags."""

    def __init__(self, path: Path, flag: str) -> None:
        super().__init__(
            f"--output_dir={path.parent}: {path.name} was made with another {flag}; "
            "delete the folder, give another --output_dir, or repeat the flags it was made with"
        )


@dataclass(frozen=True)
class _Job:
    """A shard that is kept from an earlier run, or the blocks that are being tokenized for it."""

    number: int
    path: Path
    made_from: Mapping[str, Any]
    file_bytes: int
    kept: Shard | None
    blocks: Sequence[Future[TokenizedBlock]]


@dataclass(frozen=True)
class Part:
    """The shards number `index`, `index` + `count`, ... of a folder that several commands write together."""

    index: int = 0
    count: int = 1

    def has(self, number: int) -> bool:
        """Tell whether a shard is of this part."""
        return number % self.count == self.index

    def marker(self, folder: Path) -> Path:
        """Return the file that says that the part is done, and which shards it has."""
        return folder / f"part-{self.index}-of-{self.count}.json"


def write_corpus(
    paths: Sequence[Path],
    folder: Path,
    tokenizer: Tokenizer,
    *,
    text_field: str = "text",
    truncate_segments: float = 0.0,
    random_seed: int = 12345,
    num_workers: int = 0,
    shard_bytes: int = SHARD_BYTES,
    part: Part = Part(),
    engine: WorkEngine = HERE,
) -> Corpus:
    """Tokenize text files into a folder of shards, or finish the folder of an earlier run.

    Of several commands that write a folder together, on one machine or on many, each tokenizes its part and leaves a
    marker. The one that finds all markers writes the index, so that the folder is that of a single command.

    Args:
        paths: the files, as `text.corpus.blocks` takes them.
        folder: receives the shards, vocab.txt and the index.
        text_field: the field of a JSON line that holds the text.
        truncate_segments: the share of sentences that lose their end, at a random length; `random_seed` picks them.
        num_workers: processes that tokenize; 0 chooses a number from the machine and the amount of text.
        part: which shards to make; engine: where.

    Returns:
        the shards of this part; `is_finished` tells whether all others are there too.

    Raises:
        InputError: there is no text, the text cannot be read, the vocabulary lacks [CLS], [SEP] or [MASK], or the
            folder holds shards that were made from something else.
    """
    if not 0 <= truncate_segments <= 1:
        raise InputError(f"--truncate_segments={truncate_segments}: must be from 0 to 1")
    vocabulary = VocabularyIdentity.of(tokenizer)
    _begin(folder, tokenizer, part)
    noise = {"truncate_segments": truncate_segments} | ({"random_seed": random_seed} if truncate_segments else {})
    total = sum(path.stat().st_size for path in paths)
    # A process takes as long to start as to tokenize some megabytes, and about 75 MB of memory.
    workers = num_workers or min(usable_cores(), 8, 1 + total // 16_000_000)
    texts = _by_amount(blocks(paths, min(BLOCK_BYTES, shard_bytes), text_field=text_field), shard_bytes)
    shards: list[Shard] = []
    with (
        _nothing_left_of_nothing(folder) if part.count == 1 else nullcontext(),
        progress("Tokenizing", total / 1e6, "MB") as advance,
        tokenizing(workers, tokenizer, folder / VOCABULARY, engine) as tokenize,
    ):
        jobs = _jobs(texts, folder, vocabulary, noise, tokenize, part)
        # In pairs: while a shard is put together, the text of the next one is being tokenized.
        for job, _ in pairwise(chain(jobs, [None])):
            if job and (shard := job.kept or _write(job, vocabulary)):
                shards.append(shard)
                advance(job.file_bytes / 1e6)
        of_all = _joined(shards, folder, part)
        if of_all is not None and not of_all:
            raise InputError(f"--input_file: no words in {', '.join(map(str, paths))}")
    if of_all is None:
        return Corpus(tuple(shards), vocabulary, folder / VOCABULARY)
    if left := sorted(set(folder.glob("shard-*.safetensors")) - {shard.path for shard in of_all}):
        raise MadeOtherwiseError(left[0], "--input_file")
    write_index(folder, of_all)
    return Corpus(tuple(shards), vocabulary, folder / VOCABULARY)


def _joined(own: list[Shard], folder: Path, part: Part) -> list[Shard] | None:
    """Mark the part as done; return the shards of all parts in order, or None if some are not done."""
    if part.count == 1:
        return own
    files.write_text(part.marker(folder), json.dumps([shard.path.name for shard in own]) + "\n")
    markers = [Part(index, part.count).marker(folder) for index in range(part.count)]
    if not all(marker.exists() for marker in markers):
        return None
    return [open_shard(folder / name) for name in sorted(name for marker in markers for name in _names(marker))]


def _names(marker: Path) -> list[str]:
    """Return the names of the shards of a part that is done."""
    with damage_named(marker, "delete it and run its part again"):
        return [Path(name).name for name in json.loads(marker.read_bytes())]


def _begin(folder: Path, tokenizer: Tokenizer, part: Part) -> None:
    """Put the vocabulary into the folder, and remove what a killed run left half written."""
    MaskableWords.of(tokenizer.tokens, tokenizer.vocab_file)
    if (folder / VOCABULARY).exists():
        if Tokenizer.from_vocab(folder / VOCABULARY).sha256 != tokenizer.sha256:
            raise MadeOtherwiseError(folder / VOCABULARY, "--vocab_file")
    else:
        write_vocab(folder / VOCABULARY, tokenizer.tokens)
    for partial in folder.glob(".*.partial"):
        number = re.search(r"shard-(\d+)\.", partial.name)
        if part.count == 1 or (number and part.has(int(number[1]))):  # others may be at work
            partial.unlink()


@contextmanager
def _nothing_left_of_nothing(folder: Path) -> Iterator[None]:
    """Leave the folder as it was if the input is refused before its first shard."""
    try:
        yield
    except InputError:
        if not any(folder.glob("shard-*")):
            (folder / VOCABULARY).unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def is_finished(folder: Path) -> bool:
    """Tell whether all shards of a folder are there."""
    return (folder / INDEX).exists()


def _by_amount(blocks: Iterator[TextBlock], amount: int) -> Iterator[list[TextBlock]]:
    """Group neighbouring blocks. A group ends with the block that brings its text to `amount` bytes."""
    group: list[TextBlock] = []
    size = 0
    for block in blocks:
        group.append(block)
        size += len(block.text)
        if size >= amount:
            yield group
            group, size = [], 0
    if group:
        yield group


def _jobs(
    texts: Iterator[list[TextBlock]],
    folder: Path,
    vocabulary: VocabularyIdentity,
    noise: Mapping[str, Any],
    tokenize: Callable[[bytes], Future[TokenizedBlock]],
    part: Part,
) -> Iterator[_Job]:
    """Start the work on one shard of the part after the other, and show the messages about its text."""
    messages = 0
    for number, text in enumerate(texts):
        if not part.has(number):
            continue
        for message in (message for block in text for message in (*block.guesses, *block.messages)):
            messages += 1
            if messages <= _SHOWN:
                say(message)
        path = folder / f"shard-{number:05}.safetensors"
        made_from = {"text_bytes": sum(len(block.text) for block in text), "text_crc32c": _crc(text), **noise}
        kept = _kept(path, vocabulary, made_from)
        work = [] if kept else [tokenize(block.text) for block in text]
        yield _Job(number, path, made_from, sum(block.file_bytes for block in text), kept, work)
    if messages > _SHOWN:
        say(f"... and {messages - _SHOWN:,} more messages like these")


def _crc(text: Sequence[TextBlock]) -> str:
    """Compute a checksum that does not depend on where blocks end."""
    crc = 0
    for block in text:
        crc = google_crc32c.extend(google_crc32c.extend(crc, block.text), b"\n")
    return f"{crc:08x}"


def _kept(path: Path, vocabulary: VocabularyIdentity, made_from: Mapping[str, Any]) -> Shard | None:
    """Return the shard that an earlier run made from the same, or None if there is none or it is damaged.

    Raises:
        InputError: the shard was made from something else.
    """
    if not path.exists():
        return None
    try:
        shard = open_shard(path)
        shard.read()
    except InputError as error:
        say(f"{error}: made again")
        return None
    differences = {
        "--vocab_file": shard.vocabulary.sha256 != vocabulary.sha256,
        "--do_lower_case": shard.vocabulary.do_lower_case != vocabulary.do_lower_case,
        "--strip_accents": shard.vocabulary.strip_accents != vocabulary.strip_accents,
        "--max_input_chars_per_word": shard.vocabulary != vocabulary,
        "--truncate_segments": shard.made_from["truncate_segments"] != made_from["truncate_segments"],
        "--random_seed": shard.made_from.get("random_seed") != made_from.get("random_seed"),
        "--input_file": shard.made_from != made_from,
    }
    for flag, differs in differences.items():
        if differs:
            raise MadeOtherwiseError(path, flag)
    return shard


def _write(job: _Job, vocabulary: VocabularyIdentity) -> Shard | None:
    """Put a shard together and write it, unless its text has no words."""
    blocks = [block.result() for block in job.blocks]
    tokens, lengths, per_document = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("tokens", "lengths", "per_document")
    )
    if not len(tokens):
        return None
    if share := job.made_from["truncate_segments"]:
        tokens, lengths = _truncate(tokens, lengths, share, draws.key(job.made_from["random_seed"], job.number))
    data = ShardData(tokens, ragged.starts(lengths), ragged.starts(per_document))
    return write_shard(job.path, data, vocabulary, job.made_from, CorpusCounts.joined(block.counts for block in blocks))


def _truncate(
    tokens: Tokens, lengths: NDArray[np.uint32], share: float, key: draws.Bits
) -> tuple[Tokens, NDArray[np.uint32]]:
    """Cut this share of the sentences at a random length, so that a model also learns from parts of sentences."""
    sentence = np.arange(len(lengths))
    is_cut = (draws.uniform(draws.key(key, _IS_CUT), sentence) < share) & (lengths > 1)
    kept = np.where(is_cut, draws.integers(draws.key(key, _CUT), sentence, 1, np.maximum(lengths, 2)), lengths)
    return tokens[ragged.within(lengths) < np.repeat(kept, lengths)], kept.astype(np.uint32)
