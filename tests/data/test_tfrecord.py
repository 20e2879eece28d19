"""Record files and the examples in them: what the original wrote is read, what we write is what it would have."""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.example_writer import records, write_round_robin
from bertworks.data.examples import TFRecordSource
from bertworks.data.instances import Instances
from bertworks.data.tfrecord import RecordFile, frame, masked_crc32c
from bertworks.errors import InputError
from tests.data.tf_example import example_class

FIXTURES = Path(__file__).parents[1] / "fixtures"
GOLDEN = [FIXTURES / f"pretraining_wwm_{whole_word}.tfrecord" for whole_word in (False, True)]

golden = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
open_golden = functools.partial(TFRecordSource, seed=None, max_seq_length=64, max_predictions_per_seq=10)


def parsed(data: bytes) -> dict[str, list[Any]]:
    """Every feature of an example with its type, read by protobuf."""
    found = example_class().FromString(data).features.feature
    return {name: [f.WhichOneof("kind"), *getattr(f, f.WhichOneof("kind")).value] for name, f in found.items()}


def some_instances(lengths: list[int], ids: int = 30_000) -> Instances:
    """Instances of these lengths, every fifth word masked."""
    total = sum(lengths)
    starts = np.cumsum([0, *lengths])
    rows = np.concatenate([np.arange(start + 1, end, 5) for start, end in pairwise(starts)])
    input_ids = np.arange(total) * 7919 % ids
    return Instances(
        input_ids=input_ids,
        segment_ids=np.concatenate([np.arange(length) > length // 2 for length in lengths]).astype(np.int64),
        lengths=np.array(lengths),
        rows=rows,
        labels=(input_ids[rows] + 1) % ids,
        is_random_next=np.arange(len(lengths)) % 2,
    )


def write(path: Path, data: list[bytes]) -> Path:
    path.write_bytes(b"".join(map(frame, data)))
    return path


# ---------------------------------------------------------------------------------------------------------- framing


def test_the_checksum_is_the_published_one() -> None:
    """CRC-32C of "123456789" is 0xE3069283; masking rotates it right by 15 and adds a constant."""
    assert google_crc32c.value(b"123456789") == 0xE3069283
    assert masked_crc32c(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) % 2**32


@settings(deadline=None, max_examples=30)
@given(data=st.lists(st.binary(max_size=50), min_size=1, max_size=70))
def test_records_are_read_back_in_any_order(tmp_path_factory: pytest.TempPathFactory, data: list[bytes]) -> None:
    file = RecordFile(write(tmp_path_factory.mktemp("records") / "x", data))
    assert list(file) == data
    assert [file[i] for i in reversed(range(len(data)))] == data[::-1]
    with pytest.raises(IndexError):
        file[len(data)]


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tfrecord", [b"first", b"second record", b""])
    whole = path.read_bytes()
    ends = {0, *np.cumsum([len(frame(data)) for data in (b"first", b"second record", b"")]).tolist()}
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.tfrecord: (record \d is damaged|cut off in record|not a TFRecord)"):
            list(RecordFile(path))
        if place not in ends:
            path.write_bytes(whole[:place])
            with pytest.raises(InputError, match=r"x\.tfrecord: .*cut off in (its first record|record \d)"):
                RecordFile(path)


def test_other_files_are_no_record_files(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", ""):
        with pytest.raises(InputError, match="not a TFRecord file"):
            RecordFile(tmp_path / name)
    with pytest.raises(InputError, match=r"corpus\.txt: not a TFRecord file"):
        RecordFile(FIXTURES / "corpus.txt")


# ---------------------------------------------------------------------------------------------------------- reading


@golden
def test_the_originals_records_are_read(path: Path) -> None:
    source = open_golden([path], vocab_size=900)
    instances = source.instances(0, len(source))
    starts = np.cumsum(instances.lengths) - instances.lengths
    vocabulary = (FIXTURES / "vocab.txt").read_text().split("\n")
    cls_id, sep_id = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    assert (instances.input_ids[starts] == cls_id).all()
    assert (instances.input_ids[starts + instances.lengths - 1] == sep_id).all()
    file = RecordFile(path)
    for i, start in enumerate(starts):
        features = parsed(file[i])
        count = int(sum(features["masked_lm_weights"][1:]))
        one = instances.part(i, i + 1)
        assert features["input_ids"][1 : 1 + one.lengths[0]] == one.input_ids.tolist()
        assert features["segment_ids"][1 : 1 + one.lengths[0]] == one.segment_ids.tolist()
        assert features["masked_lm_positions"][1 : 1 + count] == one.rows.tolist()
        assert features["masked_lm_ids"][1 : 1 + count] == one.labels.tolist()
        assert features["next_sentence_labels"][1:] == one.is_random_next.tolist()
        assert instances.input_ids[start] == cls_id


def test_every_epoch_is_a_permutation_and_a_function_of_the_numbers() -> None:
    source = TFRecordSource(GOLDEN, seed=7, max_seq_length=64, max_predictions_per_seq=10)
    in_order = open_golden(GOLDEN)
    n = len(source)

    def keys(instances: Instances) -> list[bytes]:
        return [instances.part(i, i + 1).input_ids.tobytes() for i in range(len(instances))]

    epochs = [keys(source.instances(epoch * n, (epoch + 1) * n)) for epoch in range(3)]
    assert all(sorted(epoch) == sorted(keys(in_order.instances(0, n))) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    fresh = TFRecordSource(GOLDEN, seed=7, max_seq_length=64, max_predictions_per_seq=10)
    assert keys(fresh.instances(2 * n - 3, 2 * n + 4)) == epochs[1][-3:] + epochs[2][:4]
    assert keys(in_order.instances(n - 1, n + 2)) == keys(in_order.instances(n - 1, n)) + keys(in_order.instances(0, 2))
    assert len(source.instances(5, 5)) == 0


def test_the_identity_is_that_of_records_and_order() -> None:
    first, second = (open_golden([path]).identity() for path in GOLDEN)
    assert first == open_golden(GOLDEN[:1]).identity() != second
    assert TFRecordSource(GOLDEN[:1], seed=1, max_seq_length=64, max_predictions_per_seq=10).identity() != first


def changed(name: str, values: list[Any] | None, kind: str = "int64_list") -> bytes:
    """The first golden record with one feature replaced or taken away."""
    example = example_class().FromString(RecordFile(GOLDEN[0])[0])
    del example.features.feature[name]
    if values is not None:
        getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xff", "record 0 is not a TF-Example"),
        (changed("input_mask", None), "record 0: input_mask is missing"),
        (changed("next_sentence_labels", None), "record 0: next_sentence_labels is missing"),
        (changed("masked_lm_weights", [1] * 10), "record 0: masked_lm_weights is missing"),
        (changed("segment_ids", [0] * 63), "record 0: segment_ids has 63 numbers, but input_ids has 64"),
        (changed("next_sentence_labels", [0, 1]), "record 0: next_sentence_labels has 2 numbers, more than 1"),
        (changed("masked_lm_positions", [64] * 10), "record 0: masked_lm_positions points outside the sequence"),
        (changed("masked_lm_positions", [-1] * 10), "record 0: masked_lm_positions points outside the sequence"),
        (changed("input_ids", [900] * 64), "record 0: an id lies outside the vocabulary of 900 words.*--vocab_file"),
        (changed("masked_lm_ids", [-3] * 10), "record 0: an id lies outside the vocabulary of 900 words"),
        (changed("segment_ids", [2] * 64), "record 0: segment_ids has a number that is not from 0 to 1"),
        (changed("segment_ids", [-1] * 64), "record 0: segment_ids has a number that is not from 0 to 1"),
        (changed("next_sentence_labels", [2]), "record 0: next_sentence_labels is neither 0 nor 1"),
        (changed("next_sentence_labels", [-1]), "record 0: next_sentence_labels is neither 0 nor 1"),
    ],
)
def test_a_wrong_example_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"x.tfrecord: {message}"):
        open_golden([GOLDEN[0], write(tmp_path / "x.tfrecord", [data])], vocab_size=900)
    good = RecordFile(GOLDEN[0])[1]
    source = open_golden([write(tmp_path / "x.tfrecord", [good, good, data])], vocab_size=900)
    with pytest.raises(InputError, match=f"x.tfrecord: {message.replace('record 0', 'record 2')}"):
        source.instances(0, 3)


@pytest.mark.parametrize("name", ["input_ids", "masked_lm_ids"])
def test_negative_ids_are_refused_where_the_vocabulary_is_not_known(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x.tfrecord", [changed(name, [-3] * len(parsed(RecordFile(GOLDEN[0])[0])[name][1:]))])
    with pytest.raises(InputError, match=r"x.tfrecord: record 0: an id is negative"):
        open_golden([path])


def test_a_model_with_more_segments_takes_them(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tfrecord", [changed("segment_ids", [2] * 64)])
    assert set(open_golden([path], type_vocab_size=3).instances(0, 1).segment_ids) == {2}


def test_files_wider_than_the_flags_name_both_values() -> None:
    with pytest.raises(InputError, match="more than --max_seq_length=32; give --max_seq_length=64"):
        TFRecordSource(GOLDEN, seed=None, max_seq_length=32, max_predictions_per_seq=10)
    with pytest.raises(InputError, match="more than --max_predictions_per_seq=5; give --max_predictions_per_seq=10"):
        TFRecordSource(GOLDEN, seed=None, max_seq_length=64, max_predictions_per_seq=5)
    assert len(TFRecordSource(GOLDEN, seed=None, max_seq_length=512, max_predictions_per_seq=77)) == 237


# ---------------------------------------------------------------------------------------------------------- writing


@golden
def test_our_records_of_the_originals_instances_are_the_originals(path: Path) -> None:
    source = open_golden([path])
    ours = records(source.instances(0, len(source)), 64, 10)
    assert [parsed(record[12:-4]) for record in ours] == [parsed(data) for data in RecordFile(path)]


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(3, 70), min_size=1, max_size=30),
    ids=st.sampled_from([100, 16_384, 30_000, 2_200_000]),
)
def test_the_bytes_are_what_protobuf_writes(lengths: list[int], ids: int) -> None:
    instances = some_instances(lengths, ids)
    for i, record in enumerate(records(instances, 70, 14)):
        data = record[12:-4]
        example, one = example_class().FromString(data), instances.part(i, i + 1)
        assert len(example.SerializeToString()) == len(data)
        assert record[:8] == struct.pack("<Q", len(data))
        assert record[-4:] == struct.pack("<I", masked_crc32c(data))
        padding, no_rows = [0] * (70 - lengths[i]), [0] * (14 - len(one.rows))
        assert parsed(data) == {
            "input_ids": ["int64_list", *one.input_ids, *padding],
            "input_mask": ["int64_list", *[1] * lengths[i], *padding],
            "segment_ids": ["int64_list", *one.segment_ids, *padding],
            "masked_lm_positions": ["int64_list", *one.rows, *no_rows],
            "masked_lm_ids": ["int64_list", *one.labels, *no_rows],
            "masked_lm_weights": ["float_list", *[1.0] * len(one.rows), *no_rows],
            "next_sentence_labels": ["int64_list", i % 2],
        }


def test_many_instances_are_cut_and_joined_without_a_seam(tmp_path: Path) -> None:
    instances = some_instances([3 + i % 60 for i in range(1300)])
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"".join(records(instances, 64, 13)))
    found = TFRecordSource([path], seed=None, max_seq_length=64, max_predictions_per_seq=13).instances(0, 1300)
    for name in ("input_ids", "segment_ids", "lengths", "rows", "labels", "is_random_next"):
        np.testing.assert_array_equal(getattr(found, name), getattr(instances, name))


def test_records_go_round_robin_to_the_files(tmp_path: Path) -> None:
    data = [bytes([number]) for number in range(23)]
    paths = [tmp_path / f"{place}" for place in range(3)]
    streams = [path.open("wb") for path in paths]
    for first, last in ((0, 4), (4, 5), (5, 23)):
        write_round_robin(streams, data[first:last], first)
    for stream in streams:
        stream.close()
    assert [path.read_bytes() for path in paths] == [b"".join(data[place::3]) for place in range(3)]


def test_tensorflow_reads_our_records(tmp_path: Path) -> None:
    """Where a Python with TensorFlow is at hand (`python-with-tensorflow` on the path), it reads what we write."""
    python = shutil.which("python-with-tensorflow")
    if python is None:
        pytest.skip("no python-with-tensorflow on the path")
    path = tmp_path / "x.tfrecord"
    instances = some_instances([64, 10, 33])
    path.write_bytes(b"".join(records(instances, 64, 13)))
    script = """
import sys, tensorflow as tf
features = {name: tf.io.FixedLenFeature([64], tf.int64) for name in ("input_ids", "input_mask", "segment_ids")}
features |= {name: tf.io.FixedLenFeature([13], tf.int64) for name in ("masked_lm_positions", "masked_lm_ids")}
features["masked_lm_weights"] = tf.io.FixedLenFeature([13], tf.float32)
features["next_sentence_labels"] = tf.io.FixedLenFeature([1], tf.int64)
for record in tf.data.TFRecordDataset(sys.argv[1]):
    example = tf.io.parse_single_example(record, features)
    print(*example["input_ids"].numpy()[: example["input_mask"].numpy().sum()])
"""
    result = subprocess.run([python, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert [int(word) for word in result.stdout.split()] == instances.input_ids.tolist()
