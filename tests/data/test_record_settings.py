"""Settings beside record files: found again, checked, and not taken for records."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bertworks.data.corpus_report import CorpusCounts
from bertworks.data.record_settings import (
    RecordSettings,
    read_settings,
    settings_file,
    without_settings_files,
    write_settings,
)
from bertworks.data.shards import VocabularyIdentity
from bertworks.errors import InputError

IDENTITY = VocabularyIdentity("ab" * 32, 900, True, False, 300)
SETTINGS = RecordSettings(IDENTITY, 64, CorpusCounts(documents=2, sentence_lengths={3: 4}))


@pytest.fixture
def records(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.tfrecord", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"records")
    return paths


def test_what_was_written_is_read(records: list[Path]) -> None:
    write_settings(SETTINGS, records)
    assert read_settings(records, "--input_file") == SETTINGS
    assert without_settings_files(sorted(records[0].parent.iterdir())) == records
    without = dataclasses.replace(SETTINGS, counts=None)
    write_settings(without, records[:1])
    assert read_settings(records[:1], "--input_file") == without


def test_files_that_say_nothing_are_unknown(records: list[Path]) -> None:
    assert read_settings(records, "--input_file") is None
    write_settings(SETTINGS, records[:1])
    assert read_settings(records, "--input_file") is None
    lone = records[0].with_name("lone.json")
    lone.touch()
    assert without_settings_files([lone]) == [lone]


def test_files_of_different_tokenizers_are_refused(records: list[Path]) -> None:
    write_settings(SETTINGS, records[:1])
    other = dataclasses.replace(SETTINGS, vocabulary=dataclasses.replace(IDENTITY, strip_accents=None))
    write_settings(other, records[1:])
    with pytest.raises(InputError, match=r"--input_file: .*a\.tfrecord and .*b were made with different"):
        read_settings(records, "--input_file")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "other"}'])
def test_damaged_settings_are_named(records: list[Path], content: str) -> None:
    settings_file(records[0]).write_text(content)
    with pytest.raises(InputError, match=r"a\.tfrecord\.json: not the settings of a\.tfrecord .*delete or restore"):
        read_settings(records[:1], "--input_file")


def test_settings_of_a_file_that_was_replaced_are_refused(records: list[Path]) -> None:
    write_settings(SETTINGS, records)
    records[0].write_bytes(b"other records")
    with pytest.raises(InputError, match=r"a\.tfrecord\.json: of another a\.tfrecord, whose size was 7"):
        read_settings(records, "--input_file")
