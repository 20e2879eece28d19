"""Token shards: what is written is read back, equal input gives equal bytes, and every damage is noticed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from bertworks.data.shards import VocabularyIdentity, open_shard, write_shard
from bertworks.errors import InputError
from tests.data.made_corpus import LARGE, SMALL, a_shard, some_data


@settings(deadline=None, max_examples=30)
@given(
    documents=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=1, max_size=6),
    vocabulary=st.sampled_from([SMALL, LARGE]),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], vocabulary: VocabularyIdentity
) -> None:
    path = tmp_path_factory.mktemp("shards") / "shard-00000.safetensors"
    data = some_data(documents, vocabulary)
    written = write_shard(path, data, vocabulary, {"text_bytes": 12})
    shard = open_shard(path)
    assert shard == written
    assert (shard.tokens, shard.sentences, shard.documents) == (
        len(data.tokens),
        sum(map(len, documents)),
        len(documents),
    )
    found = shard.read()
    for name in ("tokens", "sentence_starts", "document_starts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(data, name))
    assert found.tokens.dtype == (np.uint16 if vocabulary is SMALL else np.uint32)
    assert not found.tokens.flags.writeable


def test_any_safetensors_reader_opens_a_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    a_shard(path)
    with safe_open(path, "np") as file:
        np.testing.assert_array_equal(file.get_tensor("document_starts"), [0, 2, 3, 6])


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    a_shard(tmp_path / "a")
    a_shard(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "shard.safetensors"
    original = a_shard(path)
    whole = path.read_bytes()
    data_begins = 8 + int.from_bytes(whole[:8], "little")
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"shard\.safetensors"):
            open_shard(path).read()
        if place >= data_begins:
            with pytest.raises(InputError, match=r"shard\.safetensors: damaged shard"):
                original.read()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"shard\.safetensors"):
            open_shard(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(InputError, match=r"shard\.safetensors"):
        open_shard(path)


def test_another_safetensors_file_is_no_shard(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"tokens": np.zeros(3, np.uint16)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors: not a token shard"):
        open_shard(tmp_path / "model.safetensors")


def test_a_shard_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shard.safetensors"
    a_shard(path)
    path.write_bytes(path.read_bytes().replace(b"version 1", b"version 2"))
    with pytest.raises(InputError, match=r"version 2.*run create_pretraining_data again"):
        open_shard(path)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A process that may write 1,000 bytes a file fails; what stood there before still does."""
    path = tmp_path / "shard.safetensors"
    a_shard(path)
    before = path.read_bytes()
    script = (
        "import numpy as np, pathlib, sys\n"
        "from bertworks.data.shards import *\n"
        "data = ShardData(np.zeros(5000, np.uint16), np.array([0, 5000]), np.array([0, 1]))\n"
        "write_shard(pathlib.Path(sys.argv[1]), data, VocabularyIdentity('ab', 900, True), {})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "File too large" in result.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
