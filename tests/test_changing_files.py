"""Files that somebody writes to while they are read: an error of one line, never a mixture and never a crash."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from bertworks.checkpoints.load import open_checkpoint
from bertworks.data.bad_rows import BadRows
from bertworks.data.corpus import open_corpus
from bertworks.data.masking import MaskableWords
from bertworks.data.prepare import write_corpus
from bertworks.data.stream import Drawing, ShardSource
from bertworks.data.tables import open_table
from bertworks.data.tfrecord import RecordFile, frame
from bertworks.errors import InputError
from bertworks.tasks.squad.paragraphs import paragraphs
from bertworks.text.corpus import blocks
from bertworks.text.tokenizer import Tokenizer
from tests.checkpoints.builders import GOOGLE_TINY

VOCAB = GOOGLE_TINY.parent / "vocab.txt"
CHANGED = "has changed while it was read"


def longer(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(path.read_bytes())


def shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def rows(path: Path) -> Iterator[object]:
    return open_table(path).records(BadRows())


READERS: dict[str, tuple[str, Callable[[Path], Iterator[object]]]] = {
    "rows.csv": ("text,label\n" + "one row,a\n" * 9, rows),
    "rows.jsonl": ('{"text": "one row", "label": "a"}\n' * 9, rows),
    "rows.json": ('[{"text": "one row"}, {"text": "two"}]', rows),
    "squad.json": (
        '{"data": [' + ", ".join('{"paragraphs": [{"context": "a", "qas": []}]}' for _ in range(9)) + "]}",
        paragraphs,
    ),
    "corpus.txt": ("A sentence.\n\n" * 9, lambda path: blocks([path], 20)),
}


@pytest.mark.parametrize("change", [longer, shorter, another])
@pytest.mark.parametrize("name", READERS)
def test_text_that_changes_is_told_at_its_end(tmp_path: Path, name: str, change: Callable[[Path], None]) -> None:
    content, read = READERS[name]
    path = tmp_path / name
    path.write_text(content)
    found = read(path)
    next(found)
    change(path)
    with pytest.raises(InputError, match=f"{name}: {CHANGED}"):
        list(found)


def tensors() -> dict[str, np.ndarray]:
    return {f"bert.encoder.layer.{i}.output.dense.bias": np.full(64, i, np.float32) for i in range(4)}


def safetensors_file(path: Path) -> Path:
    save_file(tensors(), path / "model.safetensors")
    return path / "model.safetensors"


def torch_file(path: Path) -> Path:
    torch.save({name: torch.from_numpy(array) for name, array in tensors().items()}, path / "pytorch_model.bin")
    return path / "pytorch_model.bin"


@pytest.mark.parametrize("change", [longer, shorter, another])
@pytest.mark.parametrize("make", [safetensors_file, torch_file])
def test_weights_of_two_files_are_not_mixed(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None]
) -> None:
    path = make(tmp_path)
    weights = list(open_checkpoint(path).weights.values())
    assert weights[0].read().any() or weights[1].read().any()
    change(path)
    with pytest.raises(InputError, match=f"{path.name}: {CHANGED}"):
        weights[2].read()


def test_a_shard_that_becomes_shorter_in_a_training_is_told(tmp_path: Path) -> None:
    text = tmp_path / "corpus.txt"
    text.write_text("the old market is in the town\nit was sold\n\n" * 50)
    tokenizer = Tokenizer.from_vocab(VOCAB)
    write_corpus([text], tmp_path / "shards", tokenizer, num_workers=1)
    corpus = open_corpus(str(tmp_path / "shards"), "--input_file")
    words = MaskableWords.of(tokenizer.tokens, "vocab.txt")
    source = ShardSource(corpus, words, Drawing(max_seq_length=32, max_predictions_per_seq=4, random_seed=1))
    assert len(source.instances(0, 4).lengths) == 4
    os.truncate(corpus.shards[0].path, 100)
    with pytest.raises(InputError, match=r"shard-00000\.safetensors: has become shorter while it was read"):
        source.instances(4, 8)


def test_records_that_become_shorter_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"".join(frame(bytes(5000)) for _ in range(9)))
    file = RecordFile(path)
    assert file[8] == bytes(5000)
    os.truncate(path, 100)
    with pytest.raises(InputError, match=r"a\.tfrecord: has become shorter while it was read"):
        file[8]
