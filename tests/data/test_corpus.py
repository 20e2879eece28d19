"""Folders of shards: found, checked, and refused where something is missing or does not fit."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bertworks.data.corpus import INDEX, names_shards, open_corpus, write_index
from bertworks.data.shards import VocabularyIdentity, write_shard
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer
from tests.data.made_corpus import SMALL, a_shard, some_data


def a_folder(folder: Path) -> Path:
    write_index(folder, [a_shard(folder / f"shard-{number:05}.safetensors") for number in range(3)])
    return folder


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
