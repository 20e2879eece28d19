"""The settings of record files. The original's format has no place for them, so `NAME.json` lies beside the file NAME.

It tells run_pretraining how the text was tokenized, so that the model is written for such text. Files that another
program wrote have no settings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bertworks import files
from bertworks.data.corpus_report import CorpusCounts
from bertworks.data.shards import VocabularyIdentity
from bertworks.errors import InputError

_FORMAT = "bertworks record settings, version 1"


@dataclass(frozen=True)
class RecordSettings:
    """How the text of record files was tokenized, and counts of it.

    Attributes:
        vocabulary: the vocabulary and the settings of the tokenizer.
        max_seq_length: the longest instance.
        counts: of the text; None if it was not counted.
    """

    vocabulary: VocabularyIdentity
    max_seq_length: int
    counts: CorpusCounts | None


def settings_file(record_file: Path) -> Path:
    """Return where the settings of a record file lie."""
    return record_file.with_name(f"{record_file.name}.json")


def without_settings_files(paths: Sequence[Path]) -> list[Path]:
    """Leave out the settings that a glob has found beside the record files."""
    return [path for path in paths if path.suffix != ".json" or not path.with_suffix("").exists()]


def write_settings(settings: RecordSettings, record_files: Sequence[Path]) -> None:
    """Write the settings beside each of the files, which were written together."""
    for path in record_files:
        values = {
            "format": _FORMAT,
            "bytes": path.stat().st_size,
            "vocabulary": asdict(settings.vocabulary),
            "max_seq_length": settings.max_seq_length,
            "counts": settings.counts.as_json() if settings.counts else None,
        }
        files.write_text(settings_file(path), json.dumps(values) + "\n")


def read_settings(record_files: Sequence[Path], flag: str) -> RecordSettings | None:
    """Read the settings of record files; None if one of them has none.

    Raises:
        InputError: settings are damaged or belong to another file, or the files were tokenized in different ways.
    """
    found = {path: _read(path, settings_file(path)) for path in record_files if settings_file(path).exists()}
    ways = {settings.vocabulary: path for path, settings in found.items()}
    if len(ways) > 1:
        one, other = list(ways.values())[:2]
        raise InputError(f"{flag}: {one} and {other} were made with different vocabularies or casing; make them alike")
    return next(iter(found.values())) if len(found) == len(record_files) else None


def _read(record_file: Path, path: Path) -> RecordSettings:
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != _FORMAT:
            raise ValueError(f"its format is {values['format']!r}")
        counts = CorpusCounts.of_json(values["counts"])
        settings = RecordSettings(VocabularyIdentity(**values["vocabulary"]), values["max_seq_length"], counts)
        size = values["bytes"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: not the settings of {record_file.name} ({reason}); delete or restore it") from None
    if size != record_file.stat().st_size:
        raise InputError(f"{path}: of another {record_file.name}, whose size was {size:,}; delete or restore it")
    return settings
