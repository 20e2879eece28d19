"""Labelled records written as the original writes them, for tests that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bertworks import files
from bertworks.data.labelled_records import LABEL_FEATURE, REAL_FEATURE, LabelledRecords, padded_features, record


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
