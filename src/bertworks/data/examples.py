"""Reading the original's pre-training instances: TF-Examples in record files, without TensorFlow.

An example has seven named features, each list padded with zeros to a fixed length (create_pretraining_data.py):

    input_ids, input_mask, segment_ids              int64 [max_seq_length]
    masked_lm_positions, masked_lm_ids              int64 [max_predictions_per_seq]
    masked_lm_weights                               float [max_predictions_per_seq], 1 for a token, 0 for padding
    next_sentence_labels                            int64 [1], 1 where b is random

Reading drops the padding. `example_writer.py` writes such files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks import draws, ragged
from bertworks.data.instances import Instances
from bertworks.data.protobuf import FLOAT_LIST, INT64_LIST, ProtobufError, example_features, unpacked_int64_lists
from bertworks.data.tfrecord import SEQUENCE_FEATURES, RecordFile
from bertworks.errors import InputError

MASKED_FEATURES = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
LABEL_FEATURE = "next_sentence_labels"

_ORDER = 0x7F4A  # separates the random numbers of this file from others

_KINDS = dict.fromkeys((*SEQUENCE_FEATURES, *MASKED_FEATURES, LABEL_FEATURE), INT64_LIST)
_KINDS["masked_lm_weights"] = FLOAT_LIST


class TFRecordSource:
    """Record files as an endless sequence of instances, epoch after epoch: an `InstanceSource`.

    Unlike with shards, the instances are the written ones: every epoch has the same tokens masked.

    Args:
        paths: the files. Records are numbered over all of them.
        seed: the seed for the order of records in every epoch; None keeps the order of the files.
        max_seq_length, max_predictions_per_seq: the longest lists that are accepted.
        vocab_size: the number of ids; None accepts all that are not negative.
        type_vocab_size: the number of segments.

    Raises:
        InputError: a file is damaged, holds something else, or has longer lists than allowed. The first record of each
            file is checked when opening, the others when they are read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        seed: int | None,
        max_seq_length: int,
        max_predictions_per_seq: int,
        vocab_size: int | None = None,
        type_vocab_size: int = 2,
    ) -> None:
        self._files = [RecordFile(path) for path in paths]
        self._firsts = ragged.starts([len(file) for file in self._files])
        self._seed = seed
        self._max_seq_length = max_seq_length
        self._max_predictions_per_seq = max_predictions_per_seq
        self._vocab_size, self._type_vocab_size = vocab_size, type_vocab_size
        self._read(self._firsts[:-1])

    def __len__(self) -> int:
        """The number of records in an epoch."""
        return int(self._firsts[-1])

    def instances(self, first: int, last: int) -> Instances:
        """Return instances number first, ..., last - 1 of the endless sequence."""
        if first == last:
            return self._read(np.zeros(1, np.int64)).part(0, 0)
        if self._seed is None:
            return self._read(np.arange(first, last) % len(self))
        return self._read(draws.shuffled(self._seed, _ORDER, len(self), first, last))

    def identity(self) -> dict[str, object]:
        """Identify the records by every file's size, first and last record, and their order by the seed."""
        name = hashlib.sha256()
        for file in self._files:
            name.update(b"%d %d " % (len(file), file.path.stat().st_size))
            name.update(file[0])
            name.update(file[len(file) - 1])
        return {"input_file": f"{len(self)} records {name.hexdigest()[:16]}", "random_seed": self._seed}

    def _read(self, records: NDArray[np.int64]) -> Instances:
        """Read the instances of these records, check them, and drop their padding."""
        found = [self._find(record) for record in records.tolist()]
        flat, lengths = _joined(found)
        self._check_lengths(found, lengths)
        sequence, predictions = lengths["input_ids"], lengths["masked_lm_ids"]
        example = np.arange(len(found))
        real, predicted = flat["input_mask"] != 0, flat["masked_lm_weights"] != 0
        token_of, row_of = np.repeat(example, sequence)[real], np.repeat(example, predictions)[predicted]

        positions, input_ids = flat["masked_lm_positions"][predicted], flat["input_ids"][real]
        labels, segment_ids = flat["masked_lm_ids"][predicted], flat["segment_ids"][real]
        is_random_next, segments = flat[LABEL_FEATURE], self._type_vocab_size
        inside = (positions >= 0) & (positions < sequence[row_of])
        where = ragged.starts(sequence)[row_of] + np.where(inside, positions, 0)
        checks = [(row_of[~(inside & real[where])], "masked_lm_positions points outside the sequence")]
        if (size := self._vocab_size) is not None:
            beyond = f"an id lies outside the vocabulary of {size} words; give the one it was made with (--vocab_file)"
            checks += [(token_of[(input_ids < 0) | (input_ids >= size)], beyond)]
            checks += [(row_of[(labels < 0) | (labels >= size)], beyond)]
        else:
            negative = "an id is negative; make the file again"
            checks += [(token_of[input_ids < 0], negative), (row_of[labels < 0], negative)]
        outside = (
            f"segment_ids has a number that is not from 0 to {segments - 1}; give a model with more segments "
            "(type_vocab_size), or make the file again"
        )
        checks += [(token_of[(segment_ids < 0) | (segment_ids >= segments)], outside)]
        unknown = f"{LABEL_FEATURE} is neither 0 nor 1; make the file again"
        checks += [(example[(is_random_next < 0) | (is_random_next > 1)], unknown)]
        for wrong, reason in checks:
            if wrong.size:
                raise InputError(f"{_location(*found[wrong[0]])}: {reason}")

        rows = (np.cumsum(real) - 1)[where]
        order = np.argsort(rows, kind="stable")
        return Instances(
            input_ids=input_ids,
            segment_ids=segment_ids,
            lengths=np.bincount(token_of, minlength=len(found)),
            rows=rows[order],
            labels=labels[order],
            is_random_next=is_random_next,
        )

    def _check_lengths(self, found: Sequence[tuple[RecordFile, int]], lengths: dict[str, NDArray[np.int64]]) -> None:
        """Refuse records in which a feature is missing, too long, or not as long as the first of its group."""
        limits = (
            (SEQUENCE_FEATURES, "--max_seq_length=", self._max_seq_length),
            (MASKED_FEATURES, "--max_predictions_per_seq=", self._max_predictions_per_seq),
            ((LABEL_FEATURE,), "", 1),
        )
        for names, flag, limit in limits:
            for name in names:
                wrong = (lengths[name] != lengths[names[0]]) | (lengths[name] == 0) | (lengths[name] > limit)
                if not wrong.any():
                    continue
                number = int(np.argmax(wrong))
                length, first = int(lengths[name][number]), int(lengths[names[0]][number])
                reason = f"has {length} numbers, but {names[0]} has {first}"
                if not length:
                    reason = "is missing; was the file made by create_pretraining_data?"
                elif length == first:
                    remedy = f"; give {flag}{length}, or another --input_file" if flag else ""
                    reason = f"has {length} numbers, more than {flag}{limit}{remedy}"
                raise InputError(f"{_location(*found[number])}: {name} {reason}")

    def _find(self, record: int) -> tuple[RecordFile, int]:
        file = int(np.searchsorted(self._firsts, record, side="right")) - 1
        return self._files[file], record - int(self._firsts[file])


def _joined(found: Sequence[tuple[RecordFile, int]]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.int64]]]:
    """Read each feature of some records, padding included.

    Returns:
        per feature, the values of all records end to end, and their number in each record; 0 if it is missing.

    Raises:
        InputError: a record is no example.
    """
    examples = [_features(file, number) for file, number in found]
    flat: dict[str, NDArray[Any]] = {}
    lengths: dict[str, NDArray[np.int64]] = {}
    for name, kind in _KINDS.items():
        lists = [example.get(name, b"") for example in examples]
        if kind == FLOAT_LIST:
            flat[name] = np.frombuffer(b"".join(lists), "<f4")
            lengths[name] = np.array([len(numbers) // 4 for numbers in lists], np.int64)
        else:
            flat[name], lengths[name] = unpacked_int64_lists(lists)
    return flat, lengths


def _features(file: RecordFile, number: int) -> dict[str, bytes]:
    """Return the packed numbers of the features of a record that have the right type."""
    try:
        found = example_features(file[number])
        return {name: numbers for name, (kind, numbers) in found.items() if kind == _KINDS.get(name)}
    except ProtobufError:
        raise InputError(f"{_location(file, number)} is not a TF-Example") from None


def _location(file: RecordFile, number: int) -> str:
    return f"{file.path}: record {number}"
