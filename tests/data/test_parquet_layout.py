"""Pages of Parquet files: honest ones pass, and those that become more than the footer says are refused at once."""

from pathlib import Path
from random import Random

import pyarrow
import pytest
from pyarrow import parquet

from bertworks.data.parquet import parquet_rows
from bertworks.data.parquet_layout import Chunk, check_pages, read_footer
from bertworks.errors import InputError


def chunks(path: Path) -> list[list[Chunk]]:
    """What the footer says, with the levels that pyarrow reads from its schema."""
    schema = parquet.ParquetFile(path).metadata.schema
    columns = map(schema.column, range(len(schema.names)))
    return read_footer(path, [(each.max_repetition_level, each.max_definition_level) for each in columns])


def written(path: Path, table: pyarrow.Table, **options: object) -> Path:
    parquet.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("compression", ["NONE", "SNAPPY", "GZIP", "ZSTD", "BROTLI", "LZ4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_honest_files_pass(tmp_path: Path, compression: str, version: str, dictionary: bool) -> None:
    count = 2000
    columns = {
        "text": [f"the market {i}" * 9 for i in range(count)],
        "lists": [[1, 2, i] for i in range(count)],
        "gaps": [None if i % 3 else float(i) for i in range(count)],
    }
    path = written(
        tmp_path / "a.parquet",
        pyarrow.table(columns),
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=2000,
        row_group_size=700,
        write_page_index=dictionary,
        write_page_checksum=dictionary,
    )
    check_pages(path, chunks(path))
    assert len(list(parquet_rows(path))) == count


def test_the_footer_says_what_pyarrow_reads_from_it(tmp_path: Path) -> None:
    columns = {"text": ["a", "bb", None], "lists": [[1], [], [2, 3]], "parts": [{"x": "a", "y": 1.5}] * 3}
    path = written(tmp_path / "a.parquet", pyarrow.table(columns), row_group_size=2)
    metadata = parquet.ParquetFile(path).metadata
    groups = chunks(path)
    assert len(groups) == metadata.num_row_groups == 2
    for number, group in enumerate(groups):
        for at, chunk in enumerate(group):
            other = metadata.row_group(number).column(at)
            places = (place for place in (other.dictionary_page_offset, other.data_page_offset) if place)
            assert chunk == Chunk(
                other.path_in_schema,
                other.physical_type == "BYTE_ARRAY",
                other.num_values,
                min(places),
                other.total_compressed_size,
                other.total_uncompressed_size,
                other.has_dictionary_page,
            )


def test_counts_of_levels_that_contradict_the_schema_are_refused(tmp_path: Path) -> None:
    # pyarrow ends the process when it is asked for such a chunk, so that no exception is left to turn into a line.
    path = written(tmp_path / "a.parquet", pyarrow.table({"text": ["a", None, "b"]}))
    levels = [(0, 1)]
    assert len(read_footer(path, levels)) == 1
    for wrong in ([(0, 2)], [(0, 0)], [], [(0, 1), (0, 1)]):
        with pytest.raises(InputError, match=r"a\.parquet: is damaged: its footer contradicts itself"):
            read_footer(path, wrong)


def test_damaged_footers_are_told_or_harmless(tmp_path: Path) -> None:
    columns = {"text": ["a b", None] * 9, "lists": [["x"], []] * 9, "parts": [{"x": "a", "y": 1}] * 18}
    path = written(tmp_path / "a.parquet", pyarrow.table(columns))
    good, random = path.read_bytes(), Random(2)
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    refused = []
    for _ in range(1500):
        bad = bytearray(good)
        bad[random.randrange(footer, len(good))] = random.randrange(256)
        path.write_bytes(bad)
        try:
            list(parquet_rows(path))
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 700
    assert all(line.startswith(str(path)) and "\n" not in line for line in refused)


def test_a_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    written(path, pyarrow.table({"text": ["the market"]}), compression="NONE", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"the market", b"the mark\xd6t"))
    with pytest.raises(InputError, match=r"a\.parquet: is damaged after row 0 \('utf-8' codec"):
        list(parquet_rows(path))


def varint(number: int, length: int = 0) -> bytes:
    """A number as Thrift has it, in at least so many bytes."""
    number, parts = number << 1, []
    while number or len(parts) < max(length, 1):
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts[:-1], parts[-1] & 127])


def lying(path: Path) -> Path:
    """A file of 5 kB with a page of 100 MB, of which its footer says that it has 1,000 bytes."""
    text = pyarrow.table({"text": ["a" * 100_000_000]})
    written(path, text, compression="ZSTD", use_dictionary=False, write_statistics=False)
    size = parquet.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    true = varint(size)
    assert true in data[footer:]
    path.write_bytes(data[:footer] + data[footer:].replace(true, varint(1000, len(true))))
    return path


def test_a_page_of_which_the_footer_lies_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = lying(tmp_path / "a.parquet")
    assert parquet.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size == 1000
    before = pyarrow.default_memory_pool().bytes_allocated()
    with pytest.raises(InputError, match=r"a\.parquet: pages of text become 100,000,\d+ bytes, and not 1,000"):
        list(parquet_rows(path))
    assert pyarrow.default_memory_pool().bytes_allocated() - before < 1 << 20


def test_damaged_pages_are_told_or_harmless(tmp_path: Path) -> None:
    table = pyarrow.table({"text": [f"the market {i}" for i in range(500)], "n": list(range(500))})
    path = written(tmp_path / "a.parquet", table, data_page_size=500)
    good, random = path.read_bytes(), Random(1)
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    groups = chunks(path)
    refused = 0
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(3):
            bad[random.randrange(4, footer)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        path.write_bytes(bad)
        try:
            check_pages(path, groups)
        except InputError as error:
            refused += str(error).startswith(f"{path}: ")
    assert refused > 5
