"""Record files of windows: read back as they were, checked beside the file of questions, and mistakes are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bertworks.data.tfrecord import RecordFile, frame
from bertworks.errors import InputError
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.record_files import check_records, read_train_records
from bertworks.tasks.squad.windows import ExampleWindows, Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer
from tests.data.tf_example import example_class
from tests.tasks.squad.written_windows import write_records

FIXTURES = Path(__file__).parents[2] / "fixtures"
TOKENIZER = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
SETTINGS = WindowSettings(max_seq_length=64, doc_stride=16, max_query_length=16)
CLS, SEP, PAD = TOKENIZER.cls_id, TOKENIZER.sep_id, 0

# What the original makes of a question of two tokens and a document of three, whose second is the answer.
ORIGINAL = {
    "unique_ids": [1_000_000_007],
    "input_ids": [CLS, 90, 91, SEP, 92, 93, 94, SEP, PAD, PAD],
    "input_mask": [1] * 8 + [0] * 2,
    "segment_ids": [0] * 4 + [1] * 4 + [0] * 2,
    "start_positions": [5],
    "end_positions": [5],
    "is_impossible": [0],
}


def blocks(training: bool, name: str = "squad-v1", settings: WindowSettings = SETTINGS) -> list[ExampleWindows]:
    reading = SquadReader(FIXTURES / f"{name}.json", training, version_2_with_negative=name == "squad-v2")
    return list(make_windows(TOKENIZER, reading.examples(), settings, training))


def written(path: Path, *changes: dict[str, Sequence[int] | None]) -> Path:
    """The original's window, once for each set of changes."""
    data = b""
    for one in changes:
        example = example_class()()
        for name, values in {**ORIGINAL, **one}.items():
            if values is not None:
                example.features.feature[name].int64_list.value.extend(values)
        data += frame(example.SerializeToString())
    path.write_bytes(data)
    return path


def test_what_the_original_writes_is_read(tmp_path: Path) -> None:
    impossible = {"start_positions": [0], "end_positions": [0], "is_impossible": [1]}
    first = written(tmp_path / "a", {}, impossible)
    read = read_train_records([first, written(tmp_path / "b", {"is_impossible": None})], TOKENIZER, 8)
    assert read.sequences.ids.tolist() == 3 * ORIGINAL["input_ids"][:8]
    assert read.sequences.ids.dtype == TOKENIZER.dtype
    assert read.sequences.starts.tolist() == [0, 8, 16, 24]
    assert read.sequences.first.tolist() == [4, 4, 4]
    assert read.positions.tolist() == [[5, 5], [0, 0], [5, 5]]
    assert read.is_impossible.tolist() == [False, True, False]
    assert read.unique_ids.tolist() == 3 * [1_000_000_007]
    assert len(np.unique(read.examples)) == len(read) == 3


@pytest.mark.parametrize("name", ["squad-v1", "squad-v2"])
def test_windows_are_read_back_as_they_were(tmp_path: Path, name: str) -> None:
    parts = [made for _, made in blocks(True, name)]
    path = tmp_path / "train.tf_record"
    whole = Windows.joined(parts)
    assert write_records(path, parts, 64) == len(whole)
    read = read_train_records([path], TOKENIZER, 64)
    for field in ("unique_ids", "positions", "is_impossible"):
        np.testing.assert_array_equal(getattr(read, field), getattr(whole, field))
    for field in ("ids", "starts", "first"):
        np.testing.assert_array_equal(getattr(read.sequences, field), getattr(whole.sequences, field))
    if name == "squad-v2":
        assert read.is_impossible.any()


def test_records_have_the_features_of_the_original(tmp_path: Path) -> None:
    for training, more in ((True, ["end_positions", "is_impossible", "start_positions"]), (False, [])):
        write_records(tmp_path / "some.tf_record", (made for _, made in blocks(training)), 64)
        found = example_class().FromString(RecordFile(tmp_path / "some.tf_record")[3]).features.feature
        assert sorted(found) == sorted([*more, "input_ids", "input_mask", "segment_ids", "unique_ids"])
        lengths = {name: len(found[name].int64_list.value) for name in found}
        assert {name for name, length in lengths.items() if length == 64} == {"input_ids", "input_mask", "segment_ids"}
        assert {length for name, length in lengths.items() if name in (*more, "unique_ids")} == {1}
        assert found["unique_ids"].int64_list.value[0] == 1_000_000_003


def test_records_for_prediction_are_compared_with_the_questions(tmp_path: Path) -> None:
    path = tmp_path / "eval.tf_record"
    made = blocks(False)
    write_records(path, (windows for _, windows in made), 64)
    assert list(check_records(iter(made), [path], TOKENIZER)) == made


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (blocks(False, "squad-v2"), r"record \d+: has other tokens than question \S+ has"),
        (
            blocks(False, settings=WindowSettings(max_seq_length=64, doc_stride=8, max_query_length=16)),
            "has other tokens",
        ),
        ([(blocks(False)[0][0], blocks(False)[0][1]), *blocks(False)], "ends before question q0001"),
        ([], "record 0: comes after the last question"),
    ],
    ids=["another file", "another stride", "more", "none"],
)
def test_records_of_other_questions_are_told(tmp_path: Path, other: list[ExampleWindows], message: str) -> None:
    path = tmp_path / "eval.tf_record"
    write_records(path, (windows for _, windows in blocks(False)), 64)
    with pytest.raises(InputError, match=message) as told:
        list(check_records(other, [path], TOKENIZER))
    assert str(path) in str(told.value)
    assert "--predict_file" in str(told.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_positions": None}, "start_positions is missing; give a file of windows made for training"),
        ({"unique_ids": None}, "unique_ids is missing"),
        ({"end_positions": [5, 6]}, "end_positions has 2 numbers, not 1"),
        ({"end_positions": [8]}, "the answer is tokens 5 to 8, but there are 8"),
        ({"end_positions": [4]}, "the answer is tokens 5 to 4"),
        ({"start_positions": [-1]}, "the answer is tokens -1 to 5"),
        ({"input_ids": [CLS, 90, 91, 92, 92, 93, 94, SEP, 0, 0]}, r"is not \[CLS\], question, \[SEP\]"),
        ({"input_ids": [90, 90, 91, SEP, 92, 93, 94, SEP, 0, 0]}, "--vocab_file"),
        ({"segment_ids": [0] * 10}, r"is not \[CLS\], question, \[SEP\]"),
        ({"input_ids": [CLS, 9000, 91, SEP, 92, 93, 94, SEP, 0, 0]}, "an id is 9000, but there are"),
        ({"input_mask": [1] * 9}, "input_mask has 9 numbers, but input_ids has 10"),
        ({"segment_ids": None}, "segment_ids is missing"),
    ],
)
def test_bad_records_are_told_with_their_number(
    tmp_path: Path, changes: dict[str, Sequence[int] | None], message: str
) -> None:
    path = written(tmp_path / "train.tf_record", {}, changes)
    with pytest.raises(InputError, match=message) as told:
        read_train_records([path], TOKENIZER, 64)
    assert f"{path}: record 1" in str(told.value)


def test_too_long_a_record_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"record 0 has 8 tokens; give --max_seq_length=8"):
        read_train_records([written(tmp_path / "train.tf_record", {})], TOKENIZER, 7)


def test_what_is_no_example_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.tf_record"
    path.write_bytes(frame(b"\xff\xff"))
    with pytest.raises(InputError, match=r"record 0 is not a TF-Example"):
        read_train_records([path], TOKENIZER, 64)
