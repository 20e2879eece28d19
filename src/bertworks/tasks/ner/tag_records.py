"""The original's record files of tagged sentences, and MindSpore's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bertworks.data.labelled_records import read_labelled_records
from bertworks.errors import InputError
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.text.tokenizer import Tokenizer


def rows_of_records(
    paths: Sequence[Path], labels: Sequence[str], tokenizer: Tokenizer, max_seq_length: int, *, with_tags: bool
) -> list[TaggedRow]:
    """Read the sentences of record files (`data.labelled_records`); their words are pieces of the vocabulary.

    Args:
        paths: the files.
        labels: the names of the tags, by number.
        tokenizer: over the vocabulary that the files were made with.
        max_seq_length: the most tokens that a sentence may have.
        with_tags: false for a test file, whose tags mean nothing.

    Raises:
        InputError: with the file and the record: damaged, another vocabulary or other tags, pairs, or no tags.
    """
    classes = len(labels) if with_tags else None
    records = read_labelled_records(paths, vocab_size=tokenizer.vocab_size, classes=classes)
    sequences = records.sequences
    if not records.has_tags:
        raise InputError(f"{paths[0]}: has one label for each text; use bert run_classifier")
    rows = []
    for i, (begin, end) in enumerate(pairwise(sequences.starts.tolist())):
        ids, location = sequences.ids[begin:end].tolist(), f"{paths[0]}: record {i}"
        if len(ids) > max_seq_length:
            raise InputError(f"{location} has {len(ids)} tokens; give --max_seq_length={len(ids)}")
        if sequences.first[i] < len(ids) or (ids[0], ids[-1]) != (tokenizer.cls_id, tokenizer.sep_id):
            raise InputError(
                f"{location} is not [CLS], one text, [SEP]; give the vocabulary that the file was made with "
                "(--vocab_file)"
            )
        names = tuple(labels[tag] for tag in records.labels[begin + 1 : end - 1].tolist()) if with_tags else None
        rows.append(TaggedRow(location, str(i), tuple(tokenizer.tokens[piece] for piece in ids[1:-1]), names))
    return rows
