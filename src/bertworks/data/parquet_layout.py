"""What the footer and the pages of a .parquet file say of their sizes, read by ourselves.

pyarrow allocates what a page says, whatever the footer says. It ends the process, without an exception, if some parts
of a footer contradict each other. So both are checked here before it reads a value. The names and the numbers of the
fields are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bertworks.data.thrift import Struct, read_struct
from bertworks.errors import InputError

# Headers of pages have some 50 bytes, and with statistics a few thousand.
_LONGEST_HEADER = 1 << 20
_FIRST_READ = 1 << 12

# A file ends with its footer, the footer's length and these letters.
_MAGIC = b"PAR1"
_LENGTH_BYTES = 4

# The numbers of fields, by structure: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, SizeStatistics, PageHeader.
_FILE_GROUPS = 4
_GROUP_COLUMNS = 1
_COLUMN_META, _COLUMN_CRYPTO, _COLUMN_ENCRYPTED = 3, 8, 9
_META_TYPE, _META_PATH, _META_VALUES, _META_UNPACKED, _META_PACKED = 1, 3, 5, 6, 7
_META_PAGES, _META_DICTIONARY, _META_SIZES = 9, 11, 16
_SIZES_TEXT, _SIZES_REPETITION, _SIZES_DEFINITION = 1, 2, 3
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3

# The physical type of texts.
_BYTE_ARRAY = 6


@dataclass(frozen=True)
class Chunk:
    """The values of one column in one group of rows."""

    path: str  # the column's name, with dots between the parts of nested ones
    is_text: bool
    values: int
    begin: int  # where its pages are in the file
    packed_bytes: int
    unpacked_bytes: int
    has_dictionary: bool


def read_footer(path: Path, levels: list[tuple[int, int]]) -> list[list[Chunk]]:
    """Return the chunks of each group of rows, in the order of the columns.

    Args:
        path: the file.
        levels: the largest repetition level and definition level of each column.

    Raises:
        InputError: the footer is damaged, encrypted, or contradicts itself.
    """
    try:
        groups = read_struct(_footer(path))[0][_FILE_GROUPS]
        return [
            [_chunk(column, *level) for column, level in zip(group[_GROUP_COLUMNS], levels, strict=True)]
            for group in groups
        ]
    except (IndexError, KeyError, ValueError, TypeError):
        raise InputError(f"{path}: is damaged: its footer contradicts itself, or is encrypted") from None


def _footer(path: Path) -> bytes:
    """Return the bytes of the footer. Raises ValueError if its length is not that of a footer."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(size - _LENGTH_BYTES - len(_MAGIC))
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if stream.read() != _MAGIC or length > size:
            raise ValueError("no footer")
        stream.seek(size - _LENGTH_BYTES - len(_MAGIC) - length)
        return stream.read(length)


def _chunk(column: Struct, repetition: int, definition: int) -> Chunk:
    """Return a chunk, after the checks whose failure would end the process in pyarrow.

    Raises:
        KeyError, TypeError, ValueError: it lacks something, contradicts the schema or is encrypted.
    """
    if _COLUMN_CRYPTO in column or _COLUMN_ENCRYPTED in column:
        raise ValueError("encrypted")
    meta: Struct = column[_COLUMN_META]
    is_text = meta[_META_TYPE] == _BYTE_ARRAY
    statistics: Struct = meta.get(_META_SIZES, {})
    if _SIZES_TEXT in statistics and not is_text:
        raise ValueError("bytes of texts for a column of no texts")
    for field, level in ((_SIZES_REPETITION, repetition), (_SIZES_DEFINITION, definition)):
        if len(statistics.get(field, ())) not in (0, level + 1):
            raise ValueError("counts of other levels than the schema has")
    begin = _number(meta[_META_PAGES])
    dictionary = _number(meta.get(_META_DICTIONARY, 0))
    return Chunk(
        path=b".".join(meta[_META_PATH]).decode(errors="replace"),
        is_text=is_text,
        values=_number(meta[_META_VALUES]),
        begin=min(begin, dictionary) if dictionary else begin,
        packed_bytes=_number(meta[_META_PACKED]),
        unpacked_bytes=_number(meta[_META_UNPACKED]),
        has_dictionary=_META_DICTIONARY in meta,
    )


def _number(value: object) -> int:
    """Return a value if it is a whole number of zero or more. Raises ValueError otherwise."""
    if not isinstance(value, int) or value < 0:
        raise ValueError("not a size")
    return value


def check_pages(path: Path, groups: list[list[Chunk]]) -> None:
    """Compare what the pages of each column say of their size with what the footer says.

    Raises:
        InputError: pages become more than the footer says, or are no pages.
    """
    with path.open("rb") as stream:
        for chunk in (chunk for group in groups for chunk in group):
            unpacked = _unpacked(path, stream, chunk.begin, chunk.begin + chunk.packed_bytes)
            if unpacked > chunk.unpacked_bytes:
                raise InputError(
                    f"{path}: pages of {chunk.path} become {unpacked:,} bytes, and not {chunk.unpacked_bytes:,} as the "
                    "end of the file says; it is damaged"
                )


def _unpacked(path: Path, stream: BinaryIO, begin: int, end: int) -> int:
    """Return how many bytes the pages between two places of a file become."""
    total, at = 0, begin
    while at < end:
        try:
            stream.seek(at)
            data = stream.read(_FIRST_READ)
            try:
                header, length = read_struct(data)
            except IndexError:
                header, length = read_struct(data + stream.read(_LONGEST_HEADER))
            unpacked, packed = _number(header[_PAGE_UNPACKED]), _number(header[_PAGE_PACKED])
        except (IndexError, KeyError, ValueError, OverflowError):
            raise InputError(f"{path}: is damaged: no page is at byte {at:,}") from None
        total += unpacked
        at += length + packed
    return total
