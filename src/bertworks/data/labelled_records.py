"""The record files of fine-tuning that the original and MindSpore write: tokenized texts with their labels.

An example has these features, lists of int64 (`file_based_convert_examples_to_features` of run_classifier.py):

    input_ids, input_mask, segment_ids    [max_seq_length], padded with zeros
    label_ids                             [1], a class; or [max_seq_length], the tag of every token (MindSpore's NER)
    is_real_example                       [1], 0 for examples that only fill a batch; MindSpore leaves it out

Reading drops padding, and examples that only fill a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks import files, ragged
from bertworks.data.protobuf import INT64_LIST, ProtobufError, example_features, unpacked_int64
from bertworks.data.sequences import Sequences
from bertworks.data.tfrecord import SEQUENCE_FEATURES, RecordFile
from bertworks.errors import InputError

LABEL_FEATURE = "label_ids"
REAL_FEATURE = "is_real_example"

# The ends of the names of such files; run_classifier.py writes train.tf_record, eval.tf_record and predict.tf_record.
_ENDINGS = (".tf_record", ".tfrecord", ".tfrecords")


@dataclass(frozen=True)
class LabelledRecords:
    """Sequences and their labels. N sequences, T tokens of all of them.

    Attributes:
        sequences: without padding.
        labels: int64, [N] a class for each sequence, or [T] a tag for each token.
    """

    sequences: Sequences
    labels: NDArray[np.int64]

    @property
    def has_tags(self) -> bool:
        """Whether each token has a label. If all sequences have one token, this is False."""
        return len(self.labels) != len(self.sequences)


def record_files(given: Mapping[str, str | None]) -> dict[str, list[Path]]:
    """Find the record files of each split. The result is empty if the files are of another kind.

    Args:
        given: split -> the value of `--SPLIT_file`: paths and globs, comma-separated; None if it is not given.

    Raises:
        InputError: only some of them are record files, or a file does not exist.
    """
    named = {split: patterns for split, patterns in given.items() if patterns}
    found = {
        split: files.expand(p, f"--{split}_file") for split, p in named.items() if p.rstrip(" ,").endswith(_ENDINGS)
    }
    if found and (others := [split for split in named if split not in found]):
        raise InputError(
            f"--{others[0]}_file={named[others[0]]}: is no record file, but --{next(iter(found))}_file is; give files "
            f"of one kind (names of record files end with {', '.join(_ENDINGS)})"
        )
    return found


def read_labelled_records(
    paths: Sequence[Path], *, vocab_size: int | None = None, classes: int | None = None
) -> LabelledRecords:
    """Read all examples of record files, in order.

    Args:
        vocab_size: the number of ids; None accepts all.
        classes: the number of labels; None accepts all.

    Raises:
        InputError: a record is damaged, no such example, or has a number out of range (the message names file and
            record); or there is no example at all.
    """
    parts = [
        _example(file, number, vocab_size, classes) for file in map(RecordFile, paths) for number in range(len(file))
    ]
    real = [part for part in parts if part is not None]
    if not real:
        raise InputError(f"{paths[0]}: has no examples, only filling for a batch")
    ids, first, labels = zip(*real, strict=True)
    with_tags = {len(label) != 1 for label, tokens in zip(labels, ids, strict=True) if len(tokens) > 1}
    if len(with_tags) > 1:
        raise InputError(f"{paths[0]}: some examples have one label and some have one for every token")
    flat = np.concatenate(ids)
    starts = ragged.starts([len(tokens) for tokens in ids])
    dtype = np.uint16 if flat.max() <= np.iinfo(np.uint16).max else np.uint32
    return LabelledRecords(Sequences(flat.astype(dtype), starts, np.array(first, np.int64)), np.concatenate(labels))


def _example(
    file: RecordFile, number: int, vocab_size: int | None, classes: int | None
) -> tuple[NDArray[np.int64], int, NDArray[np.int64]] | None:
    """Return the ids of an example, the number of them in segment 0, and its labels; None if it only fills a batch."""
    location = f"{file.path}: record {number}"
    features = features_of(location, file[number])
    real = features.get(REAL_FEATURE)
    if real is not None and not real[0]:
        return None
    ids, first = sequence_of(location, features, vocab_size)
    width, labels = len(features[SEQUENCE_FEATURES[0]]), features.get(LABEL_FEATURE)
    if labels is None:
        raise InputError(f"{location}: {LABEL_FEATURE} is missing; was the file made for classification or tagging?")
    if len(labels) not in (1, width):
        raise InputError(f"{location}: {LABEL_FEATURE} has {len(labels)} numbers, but input_ids has {width}")
    labels = labels[: len(ids)] if len(labels) > 1 else labels
    _check_range(location, "a label", labels, classes, "give the labels it was made with (--labels)")
    return ids, first, labels


def features_of(location: str, record: bytes) -> dict[str, NDArray[np.int64]]:
    """Return the features of an example that are lists of integers and not empty.

    Raises:
        InputError: the record is no TF-Example; the message begins with `location`.
    """
    try:
        lists = ((name, numbers) for name, (kind, numbers) in example_features(record).items() if kind == INT64_LIST)
        return {name: unpacked_int64(numbers) for name, numbers in lists if numbers}
    except ProtobufError:
        raise InputError(f"{location} is not a TF-Example") from None


def sequence_of(
    location: str, features: Mapping[str, NDArray[np.int64]], vocab_size: int | None
) -> tuple[NDArray[np.int64], int]:
    """Return the ids of an example without padding, and the number of them in segment 0.

    Raises:
        InputError: a feature is missing or invalid, or an id is out of range.
    """
    for name in SEQUENCE_FEATURES:
        if name not in features:
            raise InputError(f"{location}: {name} is missing; was the file made for fine-tuning BERT?")
    ids, mask, segments = (features[name] for name in SEQUENCE_FEATURES)
    for name in SEQUENCE_FEATURES[1:]:
        if len(features[name]) != len(ids):
            raise InputError(f"{location}: {name} has {len(features[name])} numbers, but input_ids has {len(ids)}")
    there = mask != 0
    count = int(there.sum())
    if not count or not there[:count].all():
        raise InputError(f"{location}: input_mask is not ones and then zeros; write the tokens first, then the filling")
    ids, segments = ids[:count], segments[:count]
    first = int((segments == 0).sum())
    if segments[:first].any() or (segments[first:] != 1).any():
        raise InputError(
            f"{location}: segment_ids is not zeros and then ones; write 0 for the first text, 1 for the second"
        )
    _check_range(location, "an id", ids, vocab_size, "give the vocabulary it was made with (--vocab_file)")
    return ids, first


# Ids are stored in 32 bits.
_LARGEST_ID = 0xFFFF_FFFF


def _check_range(location: str, what: str, values: NDArray[np.int64], end: int | None, remedy: str) -> None:
    """Refuse numbers below 0, and numbers from `end` on. Without `end`, refuse those above any possible id."""
    wrong = values[(values < 0) | (values >= (end or _LARGEST_ID))]
    if wrong.size and end is None:
        raise InputError(
            f"{location}: {what} is {wrong[0]}, but must be from 0 to {_LARGEST_ID - 1}; make the file again"
        )
    if wrong.size:
        raise InputError(f"{location}: {what} is {wrong[0]}, but there are {end}, from 0 on; {remedy}")
