"""Reading the original's pre-training instances: TF-Examples in record files, without TensorFlow.

One example is seven named features, every list padded with zeros to a fixed length (create_pretraining_data.py):

    input_ids, input_mask, segment_ids              int64 [max_seq_length]
    masked_lm_positions, masked_lm_ids              int64 [max_predictions_per_seq]
    masked_lm_weights                               float [max_predictions_per_seq], 1 for a word, 0 for padding
    next_sentence_labels                            int64 [1], 1 where b is random

Padding is dropped on reading. `example_writer.py` is the way back.
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

from bertworks import draws
from bertworks.data.instances import Instances
from bertworks.data.tfrecord import RecordFile
from bertworks.errors import InputError

SEQUENCE_FEATURES = ("input_ids", "input_mask", "segment_ids")
MASKED_FEATURES = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
LABEL_FEATURE = "next_sentence_labels"

_ORDER = 0x7F4A  # what the random numbers of this file are for

Features = dict[str, NDArray[Any]]


class TFRecordSource:
    """Record files as an endless sequence of instances: epoch after epoch, each in an order of its own.

    Unlike shards, the instances are those that were written: another epoch brings the same words masked. It is a
    `InstanceSource`.

    Args:
        paths: the files; their records are numbered through.
        seed: for the order of the records in every epoch; None keeps the order of the files.
        max_seq_length, max_predictions_per_seq: the widest lists that are accepted.
        vocab_size: how many ids there are; None accepts all.

    Raises:
        InputError: for files that are damaged, hold something else, or are wider than allowed: on opening, if the
            first record of a file shows it, otherwise when a record is read.
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
        self._firsts = np.cumsum([0, *map(len, self._files)])
        self._seed = seed
        self._max_seq_length = max_seq_length
        self._max_predictions_per_seq = max_predictions_per_seq
        self._vocab_size = vocab_size
        self._epoch_order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))
        self._read(self._firsts[:-1])

    def __len__(self) -> int:
        """How many records one epoch has."""
        return int(self._firsts[-1])

    def instances(self, first: int, last: int) -> Instances:
        """Instances number first, ..., last - 1 of the endless sequence."""
        if first == last:
            return self._read(np.zeros(1, np.int64)).part(0, 0)
        epochs, records = np.divmod(np.arange(first, last), len(self))
        if self._seed is not None:
            for epoch in np.unique(epochs).tolist():
                now = epochs == epoch
                records[now] = self._order(self._seed, epoch)[records[now]]
        return self._read(records)

    def identity(self) -> dict[str, object]:
        """The records, known by every file's size, first and last record; and their order."""
        name = hashlib.sha256()
        for file in self._files:
            name.update(b"%d %d " % (len(file), file.path.stat().st_size))
            name.update(file[0])
            name.update(file[len(file) - 1])
        return {"input_file": f"{len(self)} records {name.hexdigest()[:16]}", "random_seed": self._seed}

    def _order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The order of the records in an epoch; that of the last one asked for is kept."""
        if self._epoch_order[0] != epoch:
            self._epoch_order = (epoch, draws.permutation(draws.key(seed, _ORDER, epoch), len(self)))
        return self._epoch_order[1]

    def _read(self, records: NDArray[np.int64]) -> Instances:
        """The instances of these records, checked, without their padding."""
        places = [self._place(record) for record in records.tolist()]
        examples = [
            features_of(file, number, self._max_seq_length, self._max_predictions_per_seq) for file, number in places
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
        where = (np.cumsum(sequence) - sequence)[row_of] + np.where(inside, positions, 0)
        checks = [(row_of[~(inside & real[where])], "masked_lm_positions points outside the sequence")]
        if (size := self._vocab_size) is not None:
            beyond = f"an id lies outside the vocabulary of {size} words; give the one it was made with (--vocab_file)"
            checks += [(token_of[(input_ids < 0) | (input_ids >= size)], beyond)]
            checks += [(row_of[(labels < 0) | (labels >= size)], beyond)]
        for wrong, reason in checks:
            if wrong.size:
                file, number = places[wrong[0]]
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

    def _place(self, record: int) -> tuple[RecordFile, int]:
        """The file of a record, and its number there."""
        file = int(np.searchsorted(self._firsts, record, side="right")) - 1
        return self._files[file], record - int(self._firsts[file])


def features_of(file: RecordFile, number: int, max_seq_length: int, max_predictions_per_seq: int) -> Features:
    """The seven features of record `number`, padding included.

    Raises:
        InputError: not an example; a feature is missing, of another type, of another length than those beside it, or
            longer than allowed.
    """
    try:
        found = example_class().FromString(file[number]).features.feature
    except DecodeError:
        raise InputError(f"{file.path}: record {number} is no TF-Example") from None
    # Asking for a feature that is missing, or for a list of the wrong type, gives an empty list.
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
    """The class of `tensorflow.Example` (tensorflow/core/example/{example,feature}.proto), described here."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bertworks/example.proto", package="bertworks", syntax="proto3")
    lists = {"BytesList": kind.TYPE_BYTES, "FloatList": kind.TYPE_FLOAT, "Int64List": kind.TYPE_INT64}
    for name, type_ in lists.items():
        file.message_type.add(name=name).field.add(name="value", number=1, label=kind.LABEL_REPEATED, type=type_)

    def add(message: Any, name: str, number: int, of: str, label: int = kind.LABEL_OPTIONAL) -> Any:
        """Give a message a field that is a message."""
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
