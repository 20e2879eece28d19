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
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from bertworks import draws, ragged
from bertworks.data.instances import Instances
from bertworks.data.tfrecord import RecordFile
from bertworks.errors import InputError

SEQUENCE_FEATURES = ("input_ids", "input_mask", "segment_ids")
MASKED_FEATURES = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
LABEL_FEATURE = "next_sentence_labels"

_ORDER = 0x7F4A  # separates the random numbers of this file from others

Features = dict[str, NDArray[Any]]


class TFRecordSource:
    """Record files as an endless sequence of instances, epoch after epoch: an `InstanceSource`.

    Unlike with shards, the instances are the written ones: every epoch has the same tokens masked.

    Args:
        paths: the files. Records are numbered over all of them.
        seed: the seed for the order of records in every epoch; None keeps the order of the files.
        max_seq_length, max_predictions_per_seq: the longest lists that are accepted.
        vocab_size: the number of ids; None accepts all.

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
    ) -> None:
        self._files = [RecordFile(path) for path in paths]
        self._firsts = ragged.starts([len(file) for file in self._files])
        self._seed = seed
        self._max_seq_length = max_seq_length
        self._max_predictions_per_seq = max_predictions_per_seq
        self._vocab_size = vocab_size
        self._epoch_order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))
        self._read(self._firsts[:-1])

    def __len__(self) -> int:
        """The number of records in an epoch."""
        return int(self._firsts[-1])

    def instances(self, first: int, last: int) -> Instances:
        """Return instances number first, ..., last - 1 of the endless sequence."""
        if first == last:
            return self._read(np.zeros(1, np.int64)).part(0, 0)
        epochs, records = np.divmod(np.arange(first, last), len(self))
        if self._seed is not None:
            for epoch in np.unique(epochs).tolist():
                now = epochs == epoch
                records[now] = self._order(self._seed, epoch)[records[now]]
        return self._read(records)

    def identity(self) -> dict[str, object]:
        """Identify the records by every file's size, first and last record, and their order by the seed."""
        name = hashlib.sha256()
        for file in self._files:
            name.update(b"%d %d " % (len(file), file.path.stat().st_size))
            name.update(file[0])
            name.update(file[len(file) - 1])
        return {"input_file": f"{len(self)} records {name.hexdigest()[:16]}", "random_seed": self._seed}

    def _order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return the order of the records in an epoch. The last order is cached."""
        if self._epoch_order[0] != epoch:
            self._epoch_order = (epoch, draws.permutation(draws.key(seed, _ORDER, epoch), len(self)))
        return self._epoch_order[1]

    def _read(self, records: NDArray[np.int64]) -> Instances:
        """Read the instances of these records, check them, and drop their padding."""
        found = [self._find(record) for record in records.tolist()]
        examples = [
            features_of(file, number, self._max_seq_length, self._max_predictions_per_seq) for file, number in found
        ]
        flat = {name: np.concatenate([example[name] for example in examples]) for name in examples[0]}
        sequence, predictions = (
            np.array([len(example[name]) for example in examples]) for name in ("input_ids", "masked_lm_ids")
        )
        example = np.arange(len(examples))
        real, predicted = flat["input_mask"] != 0, flat["masked_lm_weights"] != 0
        token_of, row_of = np.repeat(example, sequence)[real], np.repeat(example, predictions)[predicted]

        positions, input_ids = flat["masked_lm_positions"][predicted], flat["input_ids"][real]
        labels = flat["masked_lm_ids"][predicted]
        inside = (positions >= 0) & (positions < sequence[row_of])
        where = ragged.starts(sequence)[row_of] + np.where(inside, positions, 0)
        checks = [(row_of[~(inside & real[where])], "masked_lm_positions points outside the sequence")]
        if (size := self._vocab_size) is not None:
            beyond = f"an id lies outside the vocabulary of {size} words; give the one it was made with (--vocab_file)"
            checks += [(token_of[(input_ids < 0) | (input_ids >= size)], beyond)]
            checks += [(row_of[(labels < 0) | (labels >= size)], beyond)]
        for wrong, reason in checks:
            if wrong.size:
                file, number = found[wrong[0]]
                raise InputError(f"{file.path}: record {number}: {reason}")

        rows = (np.cumsum(real) - 1)[where]
        order = np.argsort(rows, kind="stable")
        return Instances(
            input_ids=input_ids,
            segment_ids=flat["segment_ids"][real],
            lengths=np.bincount(token_of, minlength=len(examples)),
            rows=rows[order],
            labels=labels[order],
            is_random_next=flat[LABEL_FEATURE],
        )

    def _find(self, record: int) -> tuple[RecordFile, int]:
        """Return the file of a record, and its number in that file."""
        file = int(np.searchsorted(self._firsts, record, side="right")) - 1
        return self._files[file], record - int(self._firsts[file])


def features_of(file: RecordFile, number: int, max_seq_length: int, max_predictions_per_seq: int) -> Features:
    """Return the seven features of record `number`, padding included.

    Raises:
        InputError: the record is no example; a feature is missing, of another type, of another length than the
            features of its group, or longer than allowed.
    """
    try:
        found = example_class().FromString(file[number]).features.feature
    except DecodeError:
        raise InputError(f"{file.path}: record {number} is no TF-Example") from None
    # A missing feature, or a list of the wrong type, gives an empty list.
    features: Features = {
        name: np.array(found[name].int64_list.value, np.int64)
        for name in (*SEQUENCE_FEATURES, *MASKED_FEATURES[:2], LABEL_FEATURE)
    }
    features["masked_lm_weights"] = np.array(found["masked_lm_weights"].float_list.value, np.float32)

    limits = (
        (SEQUENCE_FEATURES, "--max_seq_length=", max_seq_length),
        (MASKED_FEATURES, "--max_predictions_per_seq=", max_predictions_per_seq),
        ((LABEL_FEATURE,), "", 1),
    )
    for names, flag, limit in limits:
        for name in names:
            length, first = len(features[name]), len(features[names[0]])
            if length == first and 0 < length <= limit:
                continue
            reason = f"has {length} numbers, but {names[0]} has {first}"
            if not length:
                reason = "is missing; was the file made by create_pretraining_data?"
            elif length == first:
                remedy = f"; give {flag}{length}, or another --input_file" if flag else ""
                reason = f"has {length} numbers, more than {flag}{limit}{remedy}"
            raise InputError(f"{file.path}: record {number}: {name} {reason}")
    return features


@cache
def example_class() -> Any:
    """Make the class of `tensorflow.Example` (tensorflow/core/example/{example,feature}.proto)."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bertworks/example.proto", package="bertworks", syntax="proto3")
    lists = {"BytesList": kind.TYPE_BYTES, "FloatList": kind.TYPE_FLOAT, "Int64List": kind.TYPE_INT64}
    for name, type_ in lists.items():
        file.message_type.add(name=name).field.add(name="value", number=1, label=kind.LABEL_REPEATED, type=type_)

    def add(message: Any, name: str, number: int, of: str, label: int = kind.LABEL_OPTIONAL) -> Any:
        """Add a field that is a message."""
        type_name = f".bertworks.{of}"
        return message.field.add(name=name, number=number, label=label, type=kind.TYPE_MESSAGE, type_name=type_name)

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, of) in enumerate(zip(("bytes_list", "float_list", "int64_list"), lists, strict=True), 1):
        add(feature, name, number, of).oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=kind.LABEL_OPTIONAL, type=kind.TYPE_STRING)
    add(entry, "value", 2, "Feature")
    add(features, "feature", 1, "Features.FeatureEntry", kind.LABEL_REPEATED)
    add(file.message_type.add(name="Example"), "features", 1, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bertworks.Example"))
