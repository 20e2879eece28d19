"""What `--input_file` of pre-training means: token shards or the original's records, as one source of instances."""

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
    """Instances and what their ids mean.

    Attributes:
        source: the instances.
        tokenizer: their vocabulary and casing; None for records without --vocab_file.
    """

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
        patterns: comma-separated paths and globs; `flag` is the flag they came by.
        drawing: how instances are drawn from shards; of records only the two lengths and the seed count.
        vocab_file: the vocabulary of records; checked against that of shards.
        records_tokenizer: the tokenizer of records where `vocab_file` is not given.
        do_lower_case: the casing of records; shards know theirs.
        vocab_size: the model's, if known: no record may hold a higher id.
        shuffled: whether records come in a new order every epoch, or always in the files' order.
        counts_file: where a ShardSource keeps its counts.

    Raises:
        InputError: what is named is missing, damaged, or of another vocabulary.
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
        raise InputError(f"{flag}: no vocab.txt lies beside {corpus.shards[0].path}; give --vocab_file")
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
