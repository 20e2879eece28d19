"""Record files of fine-tuning: what the original writes is read without its padding, and mistakes are told."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.labelled_records import (
    LabelledRecords,
    read_labelled_records,
    record_files,
)
from bertworks.data.sequences import Sequences
from bertworks.data.tfrecord import RecordFile, frame
from bertworks.errors import InputError
from tests.data.tf_example import example_class
from tests.data.written_records import write_labelled_records

# What the original makes of "[CLS] 7 8 [SEP] 9 [SEP]" at --max_seq_length=8.
ORIGINAL = {
    "input_ids": [2, 7, 8, 3, 9, 3, 0, 0],
    "input_mask": [1, 1, 1, 1, 1, 1, 0, 0],
    "segment_ids": [0, 0, 0, 0, 1, 1, 0, 0],
    "label_ids": [1],
    "is_real_example": [1],
}


def example(**changes: list[int] | None) -> bytes:
    result = example_class()()
    for name, values in {**ORIGINAL, **changes}.items():
        if values is not None:
            result.features.feature[name].int64_list.value.extend(values)
    data: bytes = result.SerializeToString()
    return data


def write(path: Path, *examples: bytes) -> Path:
    path.write_bytes(b"".join(map(frame, examples)))
    return path


def test_what_the_original_writes_is_read(tmp_path: Path) -> None:
    single = example(
        input_ids=[2, 5, 3, 0, 0, 0, 0, 0], input_mask=[1] * 3 + [0] * 5, segment_ids=[0] * 8, label_ids=[0]
    )
    filling = example(is_real_example=[0], input_mask=[0] * 8)
    without = example(is_real_example=None, label_ids=[4])
    records = read_labelled_records([write(tmp_path / "a", example(), single, filling), write(tmp_path / "b", without)])
    assert not records.has_tags
    assert records.labels.tolist() == [1, 0, 4]
    assert records.sequences.ids.tolist() == [2, 7, 8, 3, 9, 3, 2, 5, 3, 2, 7, 8, 3, 9, 3]
    assert records.sequences.ids.dtype == np.uint16
    assert records.sequences.starts.tolist() == [0, 6, 9, 15]
    assert records.sequences.first.tolist() == [4, 3, 4]


def test_tags_of_every_token_are_read(tmp_path: Path) -> None:
    tags = example(label_ids=[0, 3, 4, 0, 1, 0, 0, 0], input_ids=[2, 70_000, 8, 3, 9, 3, 0, 0])
    records = read_labelled_records([write(tmp_path / "a", tags)])
    assert records.has_tags
    assert records.labels.tolist() == [0, 3, 4, 0, 1, 0]
    assert records.sequences.ids.dtype == np.uint32


@st.composite
def some_records(draw: Any) -> LabelledRecords:
    lengths = draw(st.lists(st.integers(2, 12), min_size=1, max_size=9))
    starts = np.cumsum([0, *lengths])
    numbers = st.integers(0, 65_535)
    ids = draw(st.lists(numbers, min_size=int(starts[-1]), max_size=int(starts[-1])))
    first = [draw(st.integers(1, length)) for length in lengths]
    count = draw(st.sampled_from([len(lengths), int(starts[-1])]))
    labels = draw(st.lists(st.integers(0, 300), min_size=count, max_size=count))
    return LabelledRecords(Sequences(np.array(ids, np.uint16), starts, np.array(first)), np.array(labels))


@given(some_records(), st.integers(12, 20))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, records: LabelledRecords, max_seq_length: int
) -> None:
    path = tmp_path_factory.mktemp("records") / "train.tf_record"
    write_labelled_records(path, records, max_seq_length)
    found = read_labelled_records([path])
    for name in ("ids", "starts", "first"):
        assert getattr(found.sequences, name).tolist() == getattr(records.sequences, name).tolist()
    assert found.labels.tolist() == records.labels.tolist()


def test_what_is_written_is_what_the_original_writes(tmp_path: Path) -> None:
    sequences = Sequences(np.array([2, 7, 8, 3, 9, 3], np.uint16), np.array([0, 6]), np.array([4]))
    write_labelled_records(tmp_path / "a", LabelledRecords(sequences, np.array([1])), 8)
    (data,) = RecordFile(tmp_path / "a")
    found = example_class().FromString(data).features.feature
    assert {name: list(feature.int64_list.value) for name, feature in found.items()} == ORIGINAL


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"label_ids": None}, "label_ids is missing"),
        ({"input_mask": None}, "input_mask is missing"),
        ({"segment_ids": [0] * 7}, "segment_ids has 7 numbers, but input_ids has 8"),
        ({"label_ids": [1, 2]}, "label_ids has 2 numbers, but input_ids has 8"),
        ({"input_mask": [1, 0, 1, 0, 0, 0, 0, 0]}, "input_mask is not ones and then zeros; write the tokens first"),
        ({"input_mask": [0] * 8}, "input_mask is not ones and then zeros"),
        ({"segment_ids": [0, 1, 0, 0, 1, 1, 0, 0]}, "segment_ids is not zeros and then ones; write 0 for the first"),
        ({"segment_ids": [0, 0, 0, 0, 2, 2, 0, 0]}, "segment_ids is not zeros and then ones"),
        ({"input_ids": [2, 7, 99, 3, 9, 3, 0, 0]}, "an id is 99, but there are 50, from 0 on"),
        ({"input_ids": [2, -7, 8, 3, 9, 3, 0, 0]}, "an id is -7"),
        ({"label_ids": [5]}, "a label is 5, but there are 5, from 0 on; give the labels"),
        ({"label_ids": [-1]}, "a label is -1"),
    ],
)
def test_what_is_wrong_is_told_with_its_record(
    tmp_path: Path, changes: dict[str, list[int] | None], problem: str
) -> None:
    path = write(tmp_path / "a", example(), example(**changes))
    with pytest.raises(InputError) as error:
        read_labelled_records([path], vocab_size=50, classes=5)
    assert str(error.value).startswith(f"{path}: record 1: {problem}")


def test_a_number_below_0_is_told_also_where_nobody_knows_how_many_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a", example(), example(label_ids=[-1]))
    with pytest.raises(InputError, match=r"record 1: a label is -1, but must be from 0 to 4294967294; make the"):
        read_labelled_records([path])


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="record 0 is not a TF-Example"):
        read_labelled_records([write(tmp_path / "a", b"\xff\xff")])
    with pytest.raises(InputError, match="has no examples"):
        read_labelled_records([write(tmp_path / "b", example(is_real_example=[0]))])
    with pytest.raises(InputError, match="not a TFRecord file"):
        read_labelled_records([Path(__file__)])


def test_labels_and_tags_do_not_mix(tmp_path: Path) -> None:
    path = write(tmp_path / "a", example(), example(label_ids=[1] * 8))
    with pytest.raises(InputError, match="some examples have one label and some have one for every token"):
        read_labelled_records([path])


def test_sequences_are_those_between_the_starts(tmp_path: Path) -> None:
    records = read_labelled_records([write(tmp_path / "a", example(), example())])
    parts = [records.sequences.ids[begin:end].tolist() for begin, end in pairwise(records.sequences.starts.tolist())]
    assert parts == [[2, 7, 8, 3, 9, 3]] * 2


def test_record_files_are_told_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.tf_record", "b.tf_record", "c.tfrecord"):
        Path(name).touch()
    found = record_files({"train": "[ab].tf_record,c.tfrecord", "dev": "c.tfrecord", "test": None})
    assert found == {
        "train": [Path("a.tf_record"), Path("b.tf_record"), Path("c.tfrecord")],
        "dev": [Path("c.tfrecord")],
    }
    assert record_files({"train": "a.csv", "dev": None, "test": "b.tsv"}) == {}
    with pytest.raises(InputError, match=r"--dev_file=a.csv: is no record file, but --train_file is"):
        record_files({"train": "a.tf_record", "dev": "a.csv"})
