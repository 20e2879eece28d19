"""Tables, written: byte for byte as TensorFlow does it, and read back whatever they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.checkpoints.formats.leveldb import divider, read_table, write_table
from tests.checkpoints.builders import GOOGLE_TINY

PATH = Path("x.index")

# Few different bytes, so that keys share beginnings and meet the largest byte.
KEYS = st.lists(st.sampled_from(b"\0a\xfe\xff"), max_size=24).map(bytes)


@pytest.mark.parametrize("name", ["bert_model", "trained", "classifier", "squad"])
def test_the_bytes_are_those_of_tensorflow(name: str) -> None:
    data = (GOOGLE_TINY / f"{name}.ckpt.index").read_bytes()
    assert write_table(read_table(PATH, data)) == data


def test_a_snappy_table_of_1197_entries_written_raw() -> None:
    entries = read_table(PATH, (GOOGLE_TINY.parent / "tf1_snappy_blocks.index").read_bytes())
    written = write_table(entries, block_bytes=4096)
    assert read_table(PATH, written) == entries
    assert sum(map(len, entries)) + sum(map(len, entries.values())) > len(written)


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.binary(max_size=40), max_size=60), st.sampled_from([1, 30, 200, 1 << 18]))
def test_what_is_written_is_read(entries: dict[bytes, bytes], block_bytes: int) -> None:
    written = write_table(entries, block_bytes)
    assert list(read_table(PATH, written).items()) == sorted(entries.items())
    assert write_table(dict(reversed(entries.items())), block_bytes) == written


def test_blocks_end_where_they_are_told_to() -> None:
    entries = {bytes([number]): bytes(100) for number in range(100)}
    assert write_table(entries, 1).count(bytes(100)) == 100
    # A key of one byte and a value: 104 bytes an entry; restart points, their number and the trailer a block.
    one_block, ten_blocks = write_table(entries), write_table(entries, 1000)
    assert len(ten_blocks) > len(one_block)
    assert read_table(PATH, one_block) == read_table(PATH, ten_blocks) == entries


@settings(deadline=None)
@given(KEYS, KEYS)
def test_a_divider_lies_between_two_blocks(one: bytes, other: bytes) -> None:
    last, following = sorted((one, other))
    assert divider(last, None) >= last
    assert len(divider(last, None)) <= len(last)
    if last < following:
        assert last <= divider(last, following) < following
        assert len(divider(last, following)) <= len(last)
