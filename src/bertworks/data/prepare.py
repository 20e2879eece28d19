"""Text to token shards: streaming, in parallel, continued where it was killed.

The text is read once, in order, as small blocks of whole documents, which are tokenized by any number of processes.
Neighbouring blocks with about 64 MB of text together make a shard, whoever tokenized them; so the files are the same
for any number of workers, and memory holds text and tokens of two or three shards however large the input is.

A shard's header records the vocabulary, the flags and a checksum of the text that it was made from. A run that finds
shards in its folder reads the text again, keeps the shards that fit it, and makes the others.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from bertworks import draws
from bertworks.data.masking import Words
from bertworks.data.shards import (
    VOCABULARY,
    Corpus,
    Shard,
    ShardData,
    Tokens,
    Vocabulary,
    open_shard,
    write_index,
    write_shard,
)
from bertworks.errors import InputError
from bertworks.progress import progress, say
from bertworks.ragged import within
from bertworks.text.corpus import Block, blocks
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import write_vocab

SHARD_BYTES = 64_000_000
BLOCK_BYTES = 1_000_000

# Text that is worth a process of its own: starting one takes as long as tokenizing some megabytes.
_WORTH_A_WORKER = 16_000_000
# Each takes about 75 MB of memory, and all is to stay below a gigabyte unless more are asked for.
_MOST_WORKERS = 8

# Messages about the text that are shown; the others are counted.
_TOLD = 5

_IS_CUT, _CUT = range(2)  # what a number is drawn for


class MadeOtherwiseError(InputError):
    """The folder holds shards of another text or vocabulary, or made by other flags."""


class _Sentences(NamedTuple):
    """What tokenizing a block gives: tokens [T], tokens per sentence [S], sentences per document [D]; none is 0."""

    tokens: Tokens
    lengths: NDArray[np.uint32]
    per_document: NDArray[np.uint32]


@dataclass(frozen=True)
class _Job:
    """A shard on its way: kept from an earlier run, or the blocks that are being tokenized for it."""

    number: int
    path: Path
    made_from: Mapping[str, Any]
    file_bytes: int
    kept: Shard | None
    blocks: Sequence[Future[_Sentences]]


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
) -> Corpus:
    """Tokenize text files into a folder of shards, or finish one that an earlier run began.

    Args:
        paths: the files, as `corpus.blocks` takes them.
        folder: where the shards, vocab.txt and the index go.
        tokenizer: a vocabulary and its casing.
        text_field: the field of a JSON line that holds the text.
        truncate_segments: the share of sentences that lose their end, at a random length; `random_seed` picks them.
        num_workers: processes that tokenize; 0 takes what the machine and the amount of text are good for.
        shard_bytes: the amount of text in a shard.

    Raises:
        InputError: no text; text that cannot be read; a vocabulary without [CLS], [SEP] or [MASK]; a folder of shards
            that were made from something else.
    """
    if not 0 <= truncate_segments <= 1:
        raise InputError(f"--truncate_segments={truncate_segments}: must be from 0 to 1")
    vocabulary = Vocabulary.of(tokenizer)
    _begin(folder, tokenizer, vocabulary)
    noise = {"truncate_segments": truncate_segments} | ({"random_seed": random_seed} if truncate_segments else {})
    total = sum(path.stat().st_size for path in paths)
    workers = num_workers or min(_processors(), _MOST_WORKERS, 1 + total // _WORTH_A_WORKER)
    texts = _by_amount(blocks(paths, min(BLOCK_BYTES, shard_bytes), text_field=text_field), shard_bytes)
    shards: list[Shard] = []
    with (
        _nothing_left_of_nothing(folder),
        progress("Tokenizing", total / 1e6, "MB") as advance,
        _tokenizing(workers, tokenizer, folder) as tokenize,
    ):
        jobs = _jobs(texts, folder, vocabulary, noise, tokenize)
        # In pairs: while a shard is put together, the text of the next is being tokenized.
        for job, _ in pairwise(chain(jobs, [None])):
            if job and (shard := job.kept or _write(job, vocabulary)):
                shards.append(shard)
                advance(job.file_bytes / 1e6)
        if not shards:
            raise InputError(f"--input_file: no words in {', '.join(map(str, paths))}")
    if left := sorted(set(folder.glob("shard-*.safetensors")) - {shard.path for shard in shards}):
        raise _made_otherwise(left[0], "--input_file")
    write_index(folder, shards)
    return Corpus(tuple(shards), vocabulary, folder / VOCABULARY)


@contextmanager
def _nothing_left_of_nothing(folder: Path) -> Iterator[None]:
    """Input that is refused before its first shard leaves the folder as it was."""
    try:
        yield
    except InputError:
        if not any(folder.glob("shard-*")):
            (folder / VOCABULARY).unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def _jobs(
    texts: Iterator[list[Block]],
    folder: Path,
    vocabulary: Vocabulary,
    noise: Mapping[str, Any],
    tokenize: Callable[[bytes], Future[_Sentences]],
) -> Iterator[_Job]:
    """Begin the work on one shard after the other."""
    told = 0
    for number, text in enumerate(texts):
        for message in (message for block in text for message in block.messages):
            told += 1
            if told <= _TOLD:
                say(message)
        path = folder / f"shard-{number:05}.safetensors"
        made_from = {"text_bytes": sum(len(block.text) for block in text), "text_crc32c": _crc(text), **noise}
        kept = _kept(path, vocabulary, made_from)
        work = [] if kept else [tokenize(block.text) for block in text]
        yield _Job(number, path, made_from, sum(block.file_bytes for block in text), kept, work)
    if told > _TOLD:
        say(f"... and {told - _TOLD:,} more messages like these")


def _begin(folder: Path, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
    """Put the vocabulary into the folder, and take out what a killed run left half written."""
    Words.of(tokenizer.tokens, tokenizer.vocab_file)
    if (folder / VOCABULARY).exists():
        if Tokenizer.from_vocab(folder / VOCABULARY).sha256 != vocabulary.sha256:
            raise _made_otherwise(folder / VOCABULARY, "--vocab_file")
    else:
        write_vocab(folder / VOCABULARY, tokenizer.tokens)
    for partial in folder.glob(".*.partial"):
        partial.unlink()


def _by_amount(blocks: Iterator[Block], amount: int) -> Iterator[list[Block]]:
    """Runs of neighbouring blocks, each ending with the block that brings its text to `amount` bytes."""
    run: list[Block] = []
    size = 0
    for block in blocks:
        run.append(block)
        size += len(block.text)
        if size >= amount:
            yield run
            run, size = [], 0
    if run:
        yield run


def _crc(text: Sequence[Block]) -> str:
    """The checksum of a run of blocks, wherever one ends and the next begins."""
    crc = 0
    for block in text:
        crc = google_crc32c.extend(google_crc32c.extend(crc, block.text), b"\n")
    return f"{crc:08x}"


def _kept(path: Path, vocabulary: Vocabulary, made_from: Mapping[str, Any]) -> Shard | None:
    """The shard that an earlier run made of the same, or None where there is none, or only a damaged one.

    Raises:
        InputError: it was made of something else.
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
        "--truncate_segments": shard.made_from["truncate_segments"] != made_from["truncate_segments"],
        "--random_seed": shard.made_from.get("random_seed") != made_from.get("random_seed"),
        "--input_file": shard.made_from != made_from,
    }
    for flag, differs in differences.items():
        if differs:
            raise _made_otherwise(path, flag)
    return shard


def _made_otherwise(path: Path, flag: str) -> InputError:
    return MadeOtherwiseError(
        f"--output_dir={path.parent}: {path.name} was made with another {flag}; "
        "delete the folder, give another --output_dir, or repeat the flags it was made with"
    )


def _write(job: _Job, vocabulary: Vocabulary) -> Shard | None:
    """Put a shard together and write it, unless its text has no words."""
    tokens, lengths, per_document = (
        np.concatenate(arrays) for arrays in zip(*(f.result() for f in job.blocks), strict=True)
    )
    if not len(tokens):
        return None
    if share := job.made_from["truncate_segments"]:
        tokens, lengths = _truncate(tokens, lengths, share, draws.key(job.made_from["random_seed"], job.number))
    data = ShardData(tokens, _starts(lengths), _starts(per_document))
    return write_shard(job.path, data, vocabulary, job.made_from)


def _starts(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Where runs of these lengths start, and the end of the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _truncate(
    tokens: Tokens, lengths: NDArray[np.uint32], share: float, key: draws.Bits
) -> tuple[Tokens, NDArray[np.uint32]]:
    """Cut this share of the sentences at a random length, so that a model meets text that is not whole sentences."""
    sentence = np.arange(len(lengths))
    is_cut = (draws.uniform(draws.key(key, _IS_CUT), sentence) < share) & (lengths > 1)
    kept = np.where(is_cut, draws.integers(draws.key(key, _CUT), sentence, 1, np.maximum(lengths, 2)), lengths)
    return tokens[within(lengths.astype(np.int64)) < np.repeat(kept, lengths)], kept.astype(np.uint32)


def _sentences(tokenizer: Tokenizer, text: bytes) -> _Sentences:
    """The sentences of a block, without those that have no tokens; likewise documents."""
    tokens, starts = tokenizer.encode_lines(text)
    lengths = np.diff(starts)
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    document = np.cumsum(np.diff(line_ends, prepend=-1) == 1)
    there = lengths > 0
    per_document = np.bincount(document[there])
    return _Sentences(tokens, lengths[there].astype(np.uint32), per_document[per_document > 0].astype(np.uint32))


# ---------------------------------------------------------------------------------------------------------- workers


@contextmanager
def _tokenizing(workers: int, tokenizer: Tokenizer, folder: Path) -> Iterator[Callable[[bytes], Future[_Sentences]]]:
    """A function that has a block tokenized by one of so many processes; by this one, and at once, if it is one."""

    def here(text: bytes) -> Future[_Sentences]:
        done: Future[_Sentences] = Future()
        done.set_result(_sentences(tokenizer, text))
        return done

    if workers == 1:
        yield here
        return
    vocabulary = Vocabulary.of(tokenizer)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_depend_on_parent)
    try:
        yield lambda text: pool.submit(_sentences_there, text, folder, vocabulary)
    finally:
        pool.shutdown(cancel_futures=True)


def _sentences_there(text: bytes, folder: Path, vocabulary: Vocabulary) -> _Sentences:
    """`_sentences` in a worker, which makes its own tokenizer."""
    return _sentences(_tokenizer(folder, vocabulary), text)


@lru_cache(maxsize=1)
def _tokenizer(folder: Path, vocabulary: Vocabulary) -> Tokenizer:
    """This worker's tokenizer."""
    return Tokenizer.from_vocab(folder / VOCABULARY, vocabulary.do_lower_case, strip_accents=vocabulary.strip_accents)


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _depend_on_parent() -> None:
    """Leave an interrupt from the keyboard to the parent, and end when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
