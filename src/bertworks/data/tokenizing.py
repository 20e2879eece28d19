"""Tokenizing blocks of text into sentences, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.data.corpus_report import CorpusCounts, count_text
from bertworks.data.shards import Tokens, VocabularyIdentity
from bertworks.on_ray import HERE, WorkEngine, ray_pool
from bertworks.text.tokenizer import Tokenizer
from bertworks.workers import start_pool


class TokenizedBlock(NamedTuple):
    """The sentences of a block of text: tokens [T], tokens per sentence [S], sentences per document [D]; none is 0."""

    tokens: Tokens
    lengths: NDArray[np.uint32]
    per_document: NDArray[np.uint32]
    counts: CorpusCounts


@contextmanager
def tokenizing(
    workers: int, tokenizer: Tokenizer, vocab_file: Path, engine: WorkEngine = HERE
) -> Iterator[Callable[[bytes], Future[TokenizedBlock]]]:
    """Give a function that starts the tokenization of a block.

    Args:
        workers: number of processes. With one, the function tokenizes in this process before it returns.
        vocab_file: a file with its vocabulary, which each worker reads.
        engine: on a Ray cluster there are as many workers as it has processors.
    """

    def tokenize_here(text: bytes) -> Future[TokenizedBlock]:
        done: Future[TokenizedBlock] = Future()
        done.set_result(_tokenized(tokenizer, text))
        return done

    vocabulary = VocabularyIdentity.of(tokenizer)
    if engine.on_ray:
        with ray_pool(engine.address) as cluster:
            tokens = cluster.put(tuple(tokenizer.tokens))
            yield lambda text: cluster.submit(_tokenized_elsewhere, text, tokens, vocabulary)
        return
    if workers == 1:
        yield tokenize_here
        return
    pool = start_pool(workers)
    try:
        yield lambda text: pool.submit(_tokenized_in_worker, text, vocab_file, vocabulary)
    finally:
        pool.shutdown(cancel_futures=True)


def _tokenized(tokenizer: Tokenizer, text: bytes) -> TokenizedBlock:
    """Tokenize the lines of a block. Lines without tokens, and documents without such lines, are left out."""
    tokens, starts = tokenizer.encode_lines(text)
    lengths = np.diff(starts)
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    document = np.cumsum(np.diff(line_ends, prepend=-1) == 1)
    there = lengths > 0
    per_document = np.bincount(document[there])
    counts = count_text(tokenizer, text, tokens, starts)
    return TokenizedBlock(
        tokens, lengths[there].astype(np.uint32), per_document[per_document > 0].astype(np.uint32), counts
    )


def _tokenized_in_worker(text: bytes, vocab_file: Path, vocabulary: VocabularyIdentity) -> TokenizedBlock:
    return _tokenized(_tokenizer(vocab_file, vocabulary), text)


def _tokenized_elsewhere(text: bytes, tokens: tuple[str, ...], vocabulary: VocabularyIdentity) -> TokenizedBlock:
    return _tokenized(_tokenizer_of(tokens, vocabulary), text)


@lru_cache(maxsize=1)
def _tokenizer_of(tokens: tuple[str, ...], vocabulary: VocabularyIdentity) -> Tokenizer:
    """Make the tokenizer of a worker on another machine, once."""
    return vocabulary.tokenizer(Tokenizer(tokens, vocabulary.do_lower_case))


@lru_cache(maxsize=1)
def _tokenizer(vocab_file: Path, vocabulary: VocabularyIdentity) -> Tokenizer:
    """Make the tokenizer of a worker, once."""
    return vocabulary.tokenizer(Tokenizer.from_vocab(vocab_file))
