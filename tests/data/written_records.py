"""Labelled records written as the original writes them, for tests that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks import files
from bertworks.data.labelled_records import LABEL_FEATURE, REAL_FEATURE, LabelledRecords
from bertworks.data.protobuf import int64_example
from bertworks.data.sequences import Sequences
from bertworks.data.tfrecord import SEQUENCE_FEATURES, frame


def write_labelled_records(path: Path, records: LabelledRecords, max_seq_length: int) -> None:
    """Write a file as the original does. No sequence may be longer than max_seq_length."""
    labels = records.labels
    with files.written_whole(path) as stream:
        for number, features in enumerate(padded_features(records.sequences, max_seq_length)):
            label = labels[number : number + 1]
            if records.has_tags:
                begin, end = records.sequences.starts[number : number + 2].tolist()
                label = np.pad(labels[begin:end], (0, max_seq_length - (end - begin)))
            stream.write(record({**features, LABEL_FEATURE: label, REAL_FEATURE: np.ones(1, np.int64)}))


def padded_features(sequences: Sequences, max_seq_length: int) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Return input_ids, input_mask and segment_ids of each sequence, padded with zeros to max_seq_length."""
    for begin, end, first in zip(sequences.starts, sequences.starts[1:], sequences.first, strict=False):
        length = int(end - begin)
        rows = np.zeros((len(SEQUENCE_FEATURES), max_seq_length), np.int64)
        rows[0, :length], rows[1, :length], rows[2, first:length] = sequences.ids[begin:end], 1, 1
        yield dict(zip(SEQUENCE_FEATURES, rows, strict=True))


def record(features: Mapping[str, NDArray[np.int64]]) -> bytes:
    """Return one example as a record of a file."""
    return frame(int64_example(features))
