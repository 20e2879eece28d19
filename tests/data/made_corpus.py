"""Corpora for tests: documents as lists of sentences, sentences as lists of word ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bertworks.data.corpus import Corpus
from bertworks.data.masking import MaskableWords
from bertworks.data.shards import Shard, ShardData, VocabularyIdentity, write_shard

Documents = Sequence[Sequence[Sequence[int]]]

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIALS, *(f"w{i}" for i in range(90)), *(f"##p{i}" for i in range(25))]
WORDS = MaskableWords.of(VOCABULARY, "vocab.txt")
FIRST_WORD = len(SPECIALS)

SMALL = VocabularyIdentity(sha256="ab" * 32, size=900, do_lower_case=True)
LARGE = dataclasses.replace(SMALL, size=119_547)


def random_documents(seed: int, documents: int, most_sentences: int, most_words: int) -> list[list[list[int]]]:
    """Documents of 1 .. most_sentences sentences of 1 .. most_words words each."""
    rng = np.random.default_rng(seed)
    return [
        [
            rng.integers(FIRST_WORD, len(VOCABULARY), rng.integers(1, most_words + 1)).tolist()
            for _ in range(rng.integers(1, most_sentences + 1))
        ]
        for _ in range(documents)
    ]


def shard_data(documents: Documents) -> ShardData:
    sentences = [sentence for document in documents for sentence in document]
    return ShardData(
        tokens=np.array([word for sentence in sentences for word in sentence], np.uint16),
        sentence_starts=np.cumsum([0, *map(len, sentences)]),
        document_starts=np.cumsum([0, *map(len, documents)]),
    )


def write_corpus(folder: Path, shards: Sequence[Documents]) -> Corpus:
    vocabulary = VocabularyIdentity("of the tests", len(VOCABULARY), True)
    written = [
        write_shard(folder / f"shard-{number}.safetensors", shard_data(documents), vocabulary, {})
        for number, documents in enumerate(shards)
    ]
    return Corpus(tuple(written), vocabulary, None)


def some_data(documents: list[list[int]], vocabulary: VocabularyIdentity = SMALL) -> ShardData:
    """Documents of sentences of these lengths, with tokens 0, 7, 14, ..."""
    lengths = [length for document in documents for length in document]
    tokens = np.arange(sum(lengths)) * 7 % vocabulary.size
    return ShardData(
        tokens=tokens.astype(vocabulary.dtype),
        sentence_starts=np.cumsum([0, *lengths]),
        document_starts=np.cumsum([0, *map(len, documents)]),
    )


def a_shard(path: Path, vocabulary: VocabularyIdentity = SMALL) -> Shard:
    return write_shard(path, some_data([[3, 5], [2], [70, 1, 4]], vocabulary), vocabulary, {"truncate_segments": 0.0})
