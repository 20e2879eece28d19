"""Reading .parquet files with pyarrow, which is an extra and is imported when it is needed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertworks.data.parquet_layout import Chunk, check_pages, read_footer
from bertworks.errors import InputError, one_line

# Compressed text grows to some 5 times its size; far more than this is no text.
_MOST_GROWTH = 100
_SMALL = 64 << 20

# The same with values that the file holds once and its rows repeat, such as a context with all of its questions.
_MOST_REPEATED = 1000

# A value takes a bit or more, unless all are alike; so many are few enough to be read in any case.
_VALUES_FOR_BYTE = 64
_FEW_VALUES = 1 << 20

# Rows are read so many at a time, or fewer, whose texts have so many bytes together.
_ROWS = 1024
_PIECE_BYTES = 16 << 20

# How the types of texts that a file holds once are written, if its rows refer to them.
_TEXTS = tuple(f"dictionary<values={kind}" for kind in ("string", "large_string", "binary", "large_binary"))


def import_pyarrow(name: object, hint: str = "") -> Any:
    """Return the module `pyarrow`, with `pyarrow.parquet` imported.

    Raises:
        InputError: it is not installed; the message begins with `name`, what needs it, and ends with `hint`.
    """
    try:
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise InputError(f'{name}: Parquet needs pyarrow (pip install "bertworks[parquet]"){hint}') from None
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
    number = expanded = 0
    file = _open(pyarrow, path)
    most = max(_SMALL, _MOST_REPEATED * path.stat().st_size)
    try:
        for batch in file.iter_batches(batch_size=_ROWS):
            for piece, size in _pieces(batch):
                expanded += size
                if expanded > most:
                    raise InputError(
                        f"{path}, row {number + 1}: the rows become more than {most:,} bytes; no data set does"
                    )
                for values in _decoded(pyarrow, piece).to_pylist():
                    number += 1
                    yield f"{path}, row {number}", values
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is damaged after row {number} ({one_line(error)})") from None


def _decoded(pyarrow: Any, piece: Any) -> Any:
    """Return a piece with its own copy of each value in each row, which pyarrow turns into Python's sooner."""
    held_once = pyarrow.types.is_dictionary
    if not any(held_once(column.type) for column in piece.columns):
        return piece
    columns = [column.dictionary_decode() if held_once(column.type) else column for column in piece.columns]
    return pyarrow.RecordBatch.from_arrays(columns, names=piece.schema.names)


def _pieces(batch: Any) -> Iterator[tuple[Any, int]]:
    """Cut a batch where the values of its rows would be large in memory; with the bytes of each piece."""
    size = sum(map(_bytes, batch.columns))
    if size <= _PIECE_BYTES or batch.num_rows == 1:
        yield batch, size
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _bytes(array: Any) -> int:
    """Return the bytes of an array once every row has a copy of its own of a value that the file holds once."""
    if not str(array.type).startswith(_TEXTS):
        return int(array.nbytes)
    return int(_widths(array).take(array.indices).sum().as_py() or 0)


def _widths(array: Any) -> Any:
    """Return the bytes of each value that an array's rows refer to."""
    from pyarrow import compute  # noqa: PLC0415

    return compute.binary_length(array.dictionary).cast("int64")


def _open(pyarrow: Any, path: Path) -> Any:
    """Open a file, with values that it holds once left so, and check what it says of its size."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
        schema = file.metadata.schema
        columns = list(map(schema.column, range(len(schema.names))))
        groups = read_footer(path, [(each.max_repetition_level, each.max_definition_level) for each in columns])
        _check_sizes(path, file.metadata.num_rows, groups)
        check_pages(path, groups)
        texts = list(dict.fromkeys(chunk.path for group in groups for chunk in group if chunk.is_text))
        for text in texts:
            if "." in text:
                _check_repeated(path, text, pyarrow.parquet.ParquetFile(path, read_dictionary=[text]), groups)
        # Those inside of lists cannot be left so where a column has several row groups.
        flat = [text for text in texts if "." not in text]
        return pyarrow.parquet.ParquetFile(path, read_dictionary=flat) if flat else file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({one_line(os.strerror(error.errno or errno.EACCES))})") from None
    except InputError:
        raise
    # Names of columns that are no text, or are not where they should be, are other errors of Python.
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: is not a parquet file ({one_line(error)})") from None


def _check_sizes(path: Path, rows: int, groups: list[list[Chunk]]) -> None:
    """Refuse a file whose values cannot be in so few bytes."""
    size = path.stat().st_size
    chunks = [chunk for group in groups for chunk in group]
    unpacked = sum(chunk.unpacked_bytes for chunk in chunks)
    values = max(rows, *(chunk.values for chunk in chunks), 0)
    if unpacked > max(_SMALL, _MOST_GROWTH * size):
        raise InputError(f"{path}: says that its {size:,} bytes become {unpacked:,}; no data set does")
    if values > max(_FEW_VALUES, _VALUES_FOR_BYTE * size):
        raise InputError(f"{path}: says that its {size:,} bytes hold {values:,} values; no data set does")


def _check_repeated(path: Path, text: str, file: Any, groups: list[list[Chunk]]) -> None:
    """Refuse a column of lists, or of structures, whose values would be too large if each were as long as the longest.

    Args:
        path: the file, for messages.
        text: the column's path in the schema.
        file: opened so that what is repeated in this column comes once.
        groups: what the file's footer says of each group of rows.
    """
    most = max(_SMALL, _MOST_REPEATED * path.stat().st_size)
    for number, group in enumerate(groups):
        chunk = next(chunk for chunk in group if chunk.path == text)
        batch = next(file.iter_batches(batch_size=1, row_groups=[number], columns=[text]), None)
        leaves = _leaves(batch.column(0)) if batch is not None and chunk.has_dictionary else []
        longest = max((max(_widths(leaf).drop_null().to_pylist(), default=0) for leaf in leaves), default=0)
        if longest * chunk.values > most:
            raise InputError(
                f"{path}: {text} has {chunk.values:,} values of up to {longest:,} bytes, which are more than "
                f"{most:,} together; no data set has"
            )


def _leaves(array: Any) -> list[Any]:
    """Return the arrays inside of lists and structures whose values the file holds once."""
    kind = str(array.type)
    if kind.startswith("struct"):
        return [leaf for part in array.flatten() for leaf in _leaves(part)]
    if kind.startswith(("list", "large_list", "fixed_size_list", "map")):
        return _leaves(array.values)
    return [array] if kind.startswith(_TEXTS) else []
