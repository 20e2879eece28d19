"""Token shards: what is written is read back, equal input gives equal bytes, and every damage is noticed."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from bertworks.data.corpus import INDEX, names_shards, open_corpus, write_index
from bertworks.data.shards import Shard, ShardData, VocabularyIdentity, open_shard, write_shard
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer

SMALL = VocabularyIdentity(sha256="ab" * 32, size=900, do_lower_case=True)
LARGE = dataclasses.replace(SMALL, size=119_547)


def some_data(documents: list[list[int]], vocabulary: VocabularyIdentity = SMALL) -> ShardData:
    """Documents of sentences of these lengths, with tokens 0, 7, 14, ..."""
    lengths = [length for document in documents for length in document]
    tokens = np.arange(sum(lengths)) * 7 % vocabulary.size
    return ShardData(
        tokens=tokens.astype(vocabulary.dtype),
        sentence_starts=np.cumsum([0, *lengths]),
        document_starts=np.cumsum([0, *map(len, documents)]),
    )


def a_shard(path: Path, vocabulary: VocabularyIdentity = SMALL) -> Shard:
    return write_shard(path, some_data([[3, 5], [2], [70, 1, 4]], vocabulary), vocabulary, {"truncate_segments": 0.0})


def a_folder(folder: Path) -> Path:
    write_index(folder, [a_shard(folder / f"shard-{number:05}.safetensors") for number in range(3)])
    return folder


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


def test_a_corpus_opens_from_a_folder_files_and_globs(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "corpus")
    by_folder = open_corpus(str(folder))
    by_glob = open_corpus(f"{folder}/shard-*.safetensors")
    by_list = open_corpus(",".join(str(shard.path) for shard in by_folder.shards))
    assert by_folder.identity == by_glob.identity == by_list.identity
    assert (by_folder.tokens, by_folder.sentences, by_folder.documents) == (3 * 85, 18, 9)
    assert by_glob.tokens == by_folder.tokens
    assert open_corpus(f"{folder}/shard-0000[01].safetensors").identity != by_folder.identity
    np.testing.assert_array_equal(by_folder.shards[1].read().tokens, by_glob.shards[1].read().tokens)


def test_what_names_shards(tmp_path: Path) -> None:
    a_folder(tmp_path / "corpus")
    (tmp_path / "x.tfrecord").write_bytes(b"x")
    assert names_shards(str(tmp_path / "corpus"))
    assert names_shards(f"{tmp_path}/corpus/*.safetensors")
    assert not names_shards(str(tmp_path / "x.tfrecord"))


def test_the_vocabulary_beside_the_shards_is_found_and_checked(tmp_path: Path) -> None:
    vocab_file = tmp_path / "vocab.txt"
    vocab_file.write_text("[PAD]\n")
    vocabulary = VocabularyIdentity.of(Tokenizer.from_vocab(vocab_file))
    write_index(tmp_path, [write_shard(tmp_path / "shard-00000.safetensors", some_data([[1]]), vocabulary, {})])
    assert open_corpus(str(tmp_path)).vocab_file == vocab_file
    vocab_file.write_text("[UNK]\n")
    with pytest.raises(InputError, match=r"vocab\.txt: not the vocabulary"):
        open_corpus(str(tmp_path))
    vocab_file.unlink()
    assert open_corpus(str(tmp_path)).vocab_file is None


def test_shards_of_two_vocabularies_do_not_mix(tmp_path: Path) -> None:
    a_shard(tmp_path / "a.safetensors")
    a_shard(tmp_path / "b.safetensors", dataclasses.replace(SMALL, do_lower_case=False))
    with pytest.raises(InputError, match=r"--eval_input_file: .*b\.safetensors was made with another vocabulary"):
        open_corpus(f"{tmp_path}/*.safetensors", "--eval_input_file")


def test_folders_that_are_empty_or_unfinished_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a folder without shards.*run create_pretraining_data"):
        open_corpus(str(tmp_path))
    a_shard(tmp_path / "shard-00000.safetensors")
    with pytest.raises(InputError, match=r"an unfinished folder of shards.*run create_pretraining_data"):
        open_corpus(str(tmp_path))


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": "x"}', '{"format": "F", "vocabulary": {}, "shards": []}'])
def test_a_damaged_index_says_so(tmp_path: Path, damage: str) -> None:
    a_folder(tmp_path)
    (tmp_path / INDEX).write_text(damage)
    with pytest.raises(InputError, match=r"index\.json"):
        open_corpus(str(tmp_path))


def test_a_folder_notices_shards_that_are_missing_or_cut_off(tmp_path: Path) -> None:
    a_folder(tmp_path)
    path = tmp_path / "shard-00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=re.escape(f"{path}: cut off")):
        open_corpus(str(tmp_path))
    path.unlink()
    with pytest.raises(InputError, match=re.escape(f"{path}: listed in")):
        open_corpus(str(tmp_path))


def test_the_index_is_written_for_people_too(tmp_path: Path) -> None:
    a_folder(tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["tokens"] == 3 * 85
    assert [row["name"] for row in index["shards"]] == [f"shard-0000{n}.safetensors" for n in range(3)]


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
