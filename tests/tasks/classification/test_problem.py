"""A problem and its data: what is odd in released files is said, and record files say which classes there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import LabelledRecords
from bertworks.data.sequences import Sequences
from bertworks.datasets.registry import find_task
from bertworks.errors import InputError
from bertworks.tasks.classification.problem import Problem, of_records
from bertworks.tasks.known_tasks import of_known_task
from tests.data.written_records import write_labelled_records

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tasks"


def known(name: str, folder: Path, split: str) -> tuple[Problem, list[str]]:
    bad = BadRows()
    return of_known_task(find_task(name), folder, [split], bad), bad.remarks


def test_an_empty_text_of_a_released_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nfine\t0\n\t1\n\u200b\t1\n", encoding="utf-8")
    problem, remarks = known("SST-2", tmp_path, "dev")
    assert len(problem.dev[""]) == 3
    assert remarks == [f"2 rows have an empty text, the first: {tmp_path / 'dev.tsv'}, line 3"]


def test_an_id_that_occurs_twice_in_a_released_file_is_said(tmp_path: Path) -> None:
    rows = ["5\tWhen?\tThen.\tentailment", "6\tWho?\tI.\tentailment", "5\tWhy?\tSo.\tnot_entailment"]
    (tmp_path / "dev.tsv").write_text("\n".join(["index\tquestion\tsentence\tlabel", *rows]), encoding="utf-8")
    problem, remarks = known("QNLI", tmp_path, "dev")
    assert len(problem.dev[""]) == 3
    assert remarks == [f"1 row has the id of an earlier one, the first: {tmp_path / 'dev.tsv'}, line 4, 'dev-5'"]


def test_nothing_is_said_of_files_as_they_should_be() -> None:
    assert known("MRPC", FIXTURES / "MRPC", "train")[1] == []
    assert known("SWAG", FIXTURES / "SWAG", "dev")[1] == []


def test_a_set_that_a_task_has_not_is_told() -> None:
    with pytest.raises(InputError, match="AX: has no dev set, only test"):
        known("AX", FIXTURES / "AX", "dev")


def records(path: Path, labels: Sequence[int]) -> list[Path]:
    count = len(labels)
    sequences = Sequences(np.tile([2, 7, 3], count).astype(np.uint16), np.arange(count + 1) * 3, np.full(count, 3))
    write_labelled_records(path, LabelledRecords(sequences, np.array(labels)), 8)
    return [path]


def read(folder: Path, names: Sequence[str] | None = None, **labels: Sequence[int]) -> Problem:
    files = {split: records(folder / f"{split}.tf_record", of) for split, of in labels.items()}
    return of_records(files, "mine", names, 50, 8)


def test_the_training_records_say_which_classes_there_are(tmp_path: Path) -> None:
    problem = read(tmp_path, dev=[0, 1], train=[0, 2, 0], test=[9])
    assert problem.labels == ("0", "1", "2")
    assert [row.label for row in problem.dev[""]] == ["0", "1"]
    assert [row.label for row in problem.test[""]] == [None]
    assert read(tmp_path, dev=[0, 3]).labels == ("0", "1", "2", "3")
    assert read(tmp_path, ["a", "b", "c"], train=[0, 1], dev=[2]).labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"train": [1, 1]}, "train.tf_record: all 2 examples have the label 1; two are needed"),
        (
            {"train": [0, 1], "dev": [0, 2]},
            "dev.tf_record: record 1: a label is 2, but there are 2, from 0 on; give the labels it was made with "
            "(--labels)",
        ),
        ({"test": [0]}, "test.tf_record: the classes are not known; give --labels=a,b,c"),
    ],
)
def test_records_that_say_too_little_are_told(tmp_path: Path, labels: dict[str, list[int]], problem: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, **labels)
    assert str(error.value) == f"{tmp_path}/{problem}"
