"""Parquet files that are small and would become large: one line, and little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertworks.data.parquet import parquet_rows
from bertworks.errors import InputError

LONG = "a" * (4 << 20)

READ = """
import resource, sys
from pathlib import Path
from bertworks.data.parquet import import_pyarrow, parquet_rows
from bertworks.errors import InputError
import_pyarrow("")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(sum(1 for _ in parquet_rows(Path(sys.argv[1]))), "rows", end="\\n\\n")
except InputError as error:
    print(error, "", sep="\\n")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def once(value: str, count: int) -> pa.Array:
    """A column that holds a value once and refers to it."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int8()), pa.array([value]))


def written(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": once(LONG, 1000)}, r"row \d+: the rows become more than 67,108,864 bytes"),
        ({"text": pa.ListArray.from_arrays([0, 500, 1000], once(LONG, 1000))}, "1,000 values of up to 4,194,304 bytes"),
        ({"text": pa.StructArray.from_arrays([once(LONG, 1000)], ["a"])}, "1,000 values of up to 4,194,304 bytes"),
        ({"text": [LONG * 20]}, r"bytes become 83,\d+,\d+"),
        ({"text": once("a", 2 << 20)}, "hold 2,097,152 values"),
        ({"text": pa.ListArray.from_arrays([0, 2 << 20], once("a", 2 << 20))}, "hold 2,097,152 values"),
        ({"text": pa.nulls(2 << 20)}, "hold 2,097,152 values"),
    ],
    ids=["repeated", "repeated in lists", "repeated in structures", "compressed", "rows", "a list", "nothing"],
)
def test_what_becomes_too_large_is_refused_before_it_is_in_memory(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = written(tmp_path / "rows.parquet", columns)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=rf"rows\.parquet.*{message}"):
        list(parquet_rows(path))


def test_refusing_costs_little_memory(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.parquet", {"text": once(LONG, 1000)})
    told = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True).stdout
    assert "the rows become more than" in told
    assert int(told.splitlines()[-1]) < 200 << 10


def test_values_that_are_repeated_come_as_they_are(tmp_path: Path) -> None:
    texts = ["one", None, "two", "a text " * 3_000]
    rows = [
        {"text": texts[i % 4], "tags": ["O", None, str(i)][: i % 4], "of": {"a": texts[i % 3]}, "label": i % 2}
        for i in range(3000)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=1100)
    assert [values for _, values in parquet_rows(tmp_path / "rows.parquet")] == rows
