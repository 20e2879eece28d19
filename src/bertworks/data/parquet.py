"""Reading .parquet files with pyarrow, which is an extra and is imported when it is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertworks.errors import InputError, one_line


def import_pyarrow(name: object, hint: str = "") -> Any:
    """Return the module `pyarrow`, with `pyarrow.parquet` imported.

    Raises:
        InputError: it is not installed; the message begins with `name`, what needs it, and ends with `hint`.
    """
    try:
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise InputError(f"{name}: Parquet needs pyarrow (pip install bertworks[parquet]){hint}") from None
    return pyarrow


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns; errors as in `parquet_rows`."""
    return tuple(_open(import_pyarrow(path), path).schema_arrow.names)


def class_names(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the names of numbered classes by column, as Hugging Face's `datasets` writes them into a file's schema.

    Errors as in `parquet_rows`.
    """
    metadata = _open(import_pyarrow(path), path).schema_arrow.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        found = {column: _names(feature) for column, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {column: names for column, names in found.items() if names}


def _names(feature: Any) -> tuple[str, ...]:
    """Return the names of a feature's classes, or of the classes that its lists hold; empty if it has none."""
    feature = feature.get("feature", feature)
    names = feature.get("names", ()) if feature.get("_type") == "ClassLabel" else ()
    return tuple(map(str, names))


def parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Read the location (for messages) and the values of each row.

    Raises:
        InputError: the file is missing, damaged or of another format, or pyarrow is not installed.
    """
    pyarrow = import_pyarrow(path)
    number = 0
    try:
        for batch in _open(pyarrow, path).iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", values
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: is damaged after row {number} ({one_line(error)})") from None


def _open(pyarrow: Any, path: Path) -> Any:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: is not a parquet file ({one_line(error)})") from None
