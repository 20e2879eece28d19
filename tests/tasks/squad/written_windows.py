"""Windows written as the original writes them, for tests that read them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bertworks import files
from bertworks.tasks.squad.windows import Windows
from tests.data.written_records import padded_features, record

# The original's names.
TRAIN_RECORDS, EVAL_RECORDS = "train.tf_record", "eval.tf_record"


def write_records(path: Path, parts: Iterable[Windows], max_seq_length: int) -> int:
    """Write windows in their order, with answers if they are made for training; return their number."""
    count = 0
    with files.written_whole(path) as stream:
        for windows in parts:
            for i, features in enumerate(padded_features(windows.sequences, max_seq_length)):
                features["unique_ids"] = windows.unique_ids[i : i + 1]
                if len(windows.positions):
                    features["start_positions"], features["end_positions"] = (
                        windows.positions[i, :1],
                        windows.positions[i, 1:],
                    )
                    features["is_impossible"] = windows.is_impossible[i : i + 1].astype(np.int64)
                stream.write(record(features))
            count += len(windows)
    return count
