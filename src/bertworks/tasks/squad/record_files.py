"""The record files of windows: train.tf_record and eval.tf_record, written by the original and read by MindSpore, too.

One window is these features, lists of int64 (`FeatureWriter` in
https://github.com/google-research/bert/blob/master/run_squad.py):

    unique_ids                            [1], from 1,000,000,000 on
    input_ids, input_mask, segment_ids    [max_seq_length], padded with zeros
    start_positions, end_positions        [1] each, in training only: positions in the sequence, 0 if there is no answer
    is_impossible                         [1], in training only: whether there is no answer in the document

Padding is dropped on reading. A record does not say which question a window belongs to, so each window counts as one
example. Nor does it say how tokens lead back to the text, so predictions need the file of questions as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.data.labelled_records import features_of, sequence_of
from bertworks.data.sequences import Sequences
from bertworks.data.tfrecord import RecordFile
from bertworks.errors import InputError
from bertworks.ragged import starts
from bertworks.tasks.squad.windows import ExampleWindows, Windows
from bertworks.text.tokenizer import Tokenizer

_HOW = "--vocab_file, --do_lower_case, --max_seq_length, --doc_stride and --max_query_length"


class _Window(NamedTuple):
    """A record: its location, its tokens, how many of them are of segment 0, and all its features."""

    location: str
    ids: NDArray[np.int64]
    first: int
    features: Mapping[str, NDArray[np.int64]]


def read_train_records(paths: Sequence[Path], tokenizer: Tokenizer, max_seq_length: int) -> Windows:
    """Read all windows of files for training, each as one example. `doc_starts` are unknown, and 0.

    Padding does not count for `max_seq_length`.

    Raises:
        InputError: names file and record: damaged, not such a window, too long, or of another vocabulary.
    """
    ids, firsts, numbers = [], [], []
    for window in _windows(paths, tokenizer):
        length = len(window.ids)
        if length > max_seq_length:
            raise InputError(f"{window.location} has {length} tokens; give --max_seq_length={length}")
        ids.append(window.ids.astype(tokenizer.dtype))
        firsts.append(window.first)
        numbers.append(_answer(window))
    fields = np.array(numbers, np.int64)
    count = len(ids)
    return Windows(
        sequences=Sequences(np.concatenate(ids), starts(list(map(len, ids))), np.array(firsts, np.int64)),
        examples=np.arange(count),
        unique_ids=fields[:, 0],
        doc_starts=np.zeros(count, np.int64),
        questions_cut=0,
        positions=fields[:, 1:3],
        is_impossible=fields[:, 3] != 0,
    )


def _answer(window: _Window) -> tuple[int, int, int, int]:
    """Return unique_ids, start_positions, end_positions and is_impossible (by default 0) of a record."""
    found = []
    for name in ("unique_ids", "start_positions", "end_positions", "is_impossible"):
        values = window.features.get(name, np.zeros(int(name == "is_impossible"), np.int64))
        if len(values) != 1:
            what = f"has {len(values)} numbers, not 1" if len(values) else "is missing"
            raise InputError(
                f"{window.location}: {name} {what}; give a file of windows made for training, such as train.tf_record"
            )
        found.append(int(values[0]))
    unique_id, start, end, impossible = found
    if not 0 <= start <= end < len(window.ids):
        raise InputError(
            f"{window.location}: the answer is tokens {start} to {end}, but there are {len(window.ids)}, from 0 on; "
            "make the file again"
        )
    return unique_id, start, end, impossible


def check_records(
    blocks: Iterable[ExampleWindows], paths: Sequence[Path], tokenizer: Tokenizer
) -> Iterator[ExampleWindows]:
    """Yield the blocks unchanged, after checking that record files have the same windows in the same order.

    Raises:
        InputError: names file and record: damaged, not the window of the file of questions, or too many or too few.
    """
    records = _windows(paths, tokenizer)
    for examples, windows in blocks:
        sequences = windows.sequences
        bounds = pairwise(sequences.starts.tolist())
        for number, first, (begin, end) in zip(windows.examples, sequences.first, bounds, strict=True):
            window, question = next(records, None), examples[number - windows.examples[0]].id
            if window is None:
                raise InputError(
                    f"{paths[-1]}: ends before question {question}; is it of another --predict_file, or made with "
                    f"other {_HOW}?"
                )
            if window.first != first or not np.array_equal(window.ids, sequences.ids[begin:end]):
                raise InputError(
                    f"{window.location}: has other tokens than question {question} has; is it of another "
                    f"--predict_file, or made with other {_HOW}?"
                )
        yield examples, windows
    if more := next(records, None):
        raise InputError(f"{more.location}: comes after the last question; is the file of another --predict_file?")


def _windows(paths: Sequence[Path], tokenizer: Tokenizer) -> Iterator[_Window]:
    """Read records, and check that each is a window of this vocabulary."""
    for file in map(RecordFile, paths):
        for number in range(len(file)):
            location = f"{file.path}: record {number}"
            features = features_of(location, file[number])
            ids, first = sequence_of(location, features, tokenizer.vocab_size)
            ends = first > 1 and len(ids) > first + 1 and (ids[0], ids[first - 1], ids[-1])
            if ends != (tokenizer.cls_id, tokenizer.sep_id, tokenizer.sep_id):
                raise InputError(
                    f"{location} is not [CLS], question, [SEP], document, [SEP]; give the vocabulary that the file was "
                    "made with (--vocab_file)"
                )
            yield _Window(location, ids, first, features)
