"""Opening the `--input_file` of pre-training: token shards or the original's record files, as a source of instances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bertworks import files
from bertworks.data.corpus import names_shards, open_corpus
from bertworks.data.examples import TFRecordSource
from bertworks.data.instances import InstanceSource
from bertworks.data.masking import MaskableWords
from bertworks.data.stream import Drawing, ShardSource
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class PretrainingInput:
    """Instances, and the tokenizer of their ids, which is None for record files without --vocab_file."""

    source: InstanceSource
    tokenizer: Tokenizer | None


def open_input(
    patterns: str,
    flag: str,
    drawing: Drawing,
    *,
    vocab_file: str | None = None,
    records_tokenizer: Tokenizer | None = None,
    do_lower_case: bool = True,
    vocab_size: int | None = None,
    shuffled: bool = True,
    counts_file: Path | None = None,
) -> PretrainingInput:
    """Open shard folders, shard files or record files.

    Args:
        patterns: comma-separated paths and globs, given by the flag `flag`.
        drawing: how instances are drawn from shards. For record files only the two lengths and the seed matter.
        vocab_file: the vocabulary of record files; the vocabulary of shards must be the same.
        records_tokenizer: the tokenizer of record files if `vocab_file` is not given.
        do_lower_case: the casing of record files; shards know theirs.
        vocab_size: the model's number of ids, if known: no record may hold a higher id.
        shuffled: whether records come in a new order every epoch, or in the order of the files.
        counts_file: the file in which a ShardSource keeps its counts.

    Raises:
        InputError: a file is missing, damaged, or of another vocabulary.
    """
    if not names_shards(patterns, flag):
        records = TFRecordSource(
            files.expand(patterns, flag),
            seed=drawing.random_seed if shuffled else None,
            max_seq_length=drawing.max_seq_length,
            max_predictions_per_seq=drawing.max_predictions_per_seq,
            vocab_size=vocab_size,
        )
        given = Tokenizer.from_vocab(vocab_file, do_lower_case) if vocab_file else records_tokenizer
        return PretrainingInput(records, given)
    corpus = open_corpus(patterns, flag)
    if vocab_file is None and corpus.vocab_file is None:
        raise InputError(f"{flag}: there is no vocab.txt in the folder of {corpus.shards[0].path}; give --vocab_file")
    casing = corpus.vocabulary
    tokenizer = Tokenizer.from_vocab(
        vocab_file or corpus.vocab_file or "", casing.do_lower_case, strip_accents=casing.strip_accents
    )
    if tokenizer.sha256 != corpus.vocabulary.sha256:
        raise InputError(
            f"--vocab_file={vocab_file}: not the vocabulary that {corpus.shards[0].path} was made with; "
            "leave the flag out, or make the shards again"
        )
    words = MaskableWords.of(tokenizer.tokens, str(vocab_file or corpus.vocab_file))
    return PretrainingInput(ShardSource(corpus, words, drawing, counts_file), tokenizer)
