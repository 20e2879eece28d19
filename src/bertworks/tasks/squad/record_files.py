"""The record files of windows: train.tf_record and eval.tf_record, which the original writes and MindSpore reads, too.

One window is these features, lists of int64 (`FeatureWriter` in
https://github.com/google-research/bert/blob/master/run_squad.py):

    unique_ids                            [1], from 1,000,000,000 on
    input_ids, input_mask, segment_ids    [max_seq_length], padded with zeros
    start_positions, end_positions        [1] each, in training only: places in the sequence, 0 where there is no answer
    is_impossible                         [1], in training only: whether there is no answer in the document

Padding is dropped on reading. Which question a window is of, no record says, so that each counts as an example of its
own; and how its tokens lead back to a document's text, so that predictions want the file of questions as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks import files
from bertworks.data.labelled_records import features_of, padded_features, record, sequence_of
from bertworks.data.sequences import Sequences
from bertworks.data.tfrecord import RecordFile
from bertworks.errors import InputError
from bertworks.tasks.squad.windows import ExampleWindows, Windows
from bertworks.text.tokenizer import Tokenizer

TRAIN, EVAL = "train.tf_record", "eval.tf_record"

_UNIQUE_ID, _START, _END, _IMPOSSIBLE = "unique_ids", "start_positions", "end_positions", "is_impossible"

_HOW = "--vocab_file, --do_lower_case, --max_seq_length, --doc_stride and --max_query_length"


class _Window(NamedTuple):
    """A record: where it stands, its tokens, how many are of segment 0, and all its features."""

    place: str
    ids: NDArray[np.int64]
    first: int
    features: Mapping[str, NDArray[np.int64]]


def write_records(path: Path, parts: Iterable[Windows], max_seq_length: int) -> int:
    """Write windows in their order; those made for training with their answers.

    Returns:
        how many they are.
    """
    count = 0
    with files.written_whole(path) as stream:
        for windows in parts:
            for i, features in enumerate(padded_features(windows.sequences, max_seq_length)):
                features[_UNIQUE_ID] = windows.unique_ids[i : i + 1]
                if len(windows.positions):
                    features[_START], features[_END] = windows.positions[i, :1], windows.positions[i, 1:]
                    features[_IMPOSSIBLE] = windows.is_impossible[i : i + 1].astype(np.int64)
                stream.write(record(features))
            count += len(windows)
    return count


def read_train_records(paths: Sequence[Path], tokenizer: Tokenizer, max_seq_length: int) -> Windows:
    """All windows of files for training, each as an example of its own. `doc_starts`, which nothing tells, are 0.

    Args:
        paths: the files.
        tokenizer: over the vocabulary that they were made with.
        max_seq_length: the most tokens there may be, padding not counted.

    Raises:
        InputError: with the file and the record: damaged, no such window, too long, or of another vocabulary.
    """
    ids, firsts, numbers = [], [], []
    for window in _windows(paths, tokenizer):
        length = len(window.ids)
        if length > max_seq_length:
            raise InputError(f"{window.place} has {length} tokens; give --max_seq_length={length}")
        ids.append(window.ids.astype(tokenizer.dtype))
        firsts.append(window.first)
        numbers.append(_answer(window))
    unique_ids, starts, ends, impossible = np.array(numbers, np.int64).T
    count = len(ids)
    return Windows(
        sequences=Sequences(np.concatenate(ids), np.cumsum([0, *map(len, ids)]), np.array(firsts, np.int64)),
        examples=np.arange(count),
        unique_ids=unique_ids,
        doc_starts=np.zeros(count, np.int64),
        questions_cut=0,
        positions=np.stack([starts, ends], 1),
        is_impossible=impossible != 0,
        words=np.zeros(0, np.int32),
        is_max_context=np.zeros(0, np.bool_),
    )


def _answer(window: _Window) -> tuple[int, int, int, int]:
    """unique_ids, start_positions, end_positions and is_impossible (0 where it is left out) of a record."""
    found = []
    for name in (_UNIQUE_ID, _START, _END, _IMPOSSIBLE):
        values = window.features.get(name, np.zeros(int(name == _IMPOSSIBLE), np.int64))
        if len(values) != 1:
            what = f"has {len(values)} numbers, not 1" if len(values) else "is missing"
            raise InputError(
                f"{window.place}: {name} {what}; give a file of windows made for training, such as {TRAIN}"
            )
        found.append(int(values[0]))
    unique_id, start, end, impossible = found
    if not 0 <= start <= end < len(window.ids):
        raise InputError(
            f"{window.place}: the answer is tokens {start} to {end}, but there are {len(window.ids)}, from 0 on; make "
            "the file anew"
        )
    return unique_id, start, end, impossible


def check_records(
    blocks: Iterable[ExampleWindows], paths: Sequence[Path], tokenizer: Tokenizer
) -> Iterator[ExampleWindows]:
    """The blocks as they are, once their windows are known to be those of record files, in the same order.

    Args:
        blocks: of the file of questions.
        paths: the record files, such as eval.tf_record.
        tokenizer: what the blocks were made with.

    Raises:
        InputError: with the file and the record: damaged, or not the window that the file of questions gives; or one
            has more than the other.
    """
    records = _windows(paths, tokenizer)
    for examples, windows in blocks:
        starts, firsts = windows.sequences.starts.tolist(), windows.sequences.first.tolist()
        for i, number in enumerate(windows.examples.tolist()):
            window, question = next(records, None), examples[number - int(windows.examples[0])].id
            if window is None:
                raise InputError(
                    f"{paths[-1]}: ends before question {question}; is it of another --predict_file, or made with "
                    f"other {_HOW}?"
                )
            if window.first != firsts[i] or not np.array_equal(
                window.ids, windows.sequences.ids[starts[i] : starts[i + 1]]
            ):
                raise InputError(
                    f"{window.place}: has other tokens than question {question} has; is it of another --predict_file, "
                    f"or made with other {_HOW}?"
                )
        yield examples, windows
    if more := next(records, None):
        raise InputError(f"{more.place}: is behind the last question's; is the file of another --predict_file?")


def _windows(paths: Sequence[Path], tokenizer: Tokenizer) -> Iterator[_Window]:
    """The records of files, checked for being windows of this vocabulary."""
    for file in map(RecordFile, paths):
        for number in range(len(file)):
            place = f"{file.path}: record {number}"
            features = features_of(place, file[number])
            ids, first = sequence_of(place, features, tokenizer.vocab_size)
            ends = first > 1 and len(ids) > first + 1 and (ids[0], ids[first - 1], ids[-1])
            if ends != (tokenizer.cls_id, tokenizer.sep_id, tokenizer.sep_id):
                raise InputError(
                    f"{place} is not [CLS], question, [SEP], document, [SEP]; give the vocabulary that the file was "
                    "made with (--vocab_file)"
                )
            yield _Window(place, ids, first, features)
