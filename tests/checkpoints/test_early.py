"""Where a vocabulary may be, and what is told of it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

import bertworks
from bertworks.checkpoints.early import vocabulary
from bertworks.checkpoints.load import open_checkpoint
from bertworks.errors import InputError
from bertworks.text.vocab_file import read_vocab
from tests.commands.runs import FIXTURES, run

TINY = FIXTURES / "google_tiny"
VOCAB = FIXTURES / "vocab.txt"
TOKENS = read_vocab(VOCAB)


def places(folder: Path) -> list[Path]:
    """A vocabulary as a file, in a folder, in a zip, in a folder of a zip, and of two in a zip one."""
    shutil.copy(VOCAB, folder / "vocab.txt")
    for name, members in (("a.zip", ["m/vocab.txt"]), ("b.zip", ["m/vocab.txt", "n/vocab.txt"])):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member in members:
                archive.write(VOCAB, member)
    return [
        folder / "vocab.txt",
        folder,
        folder / "a.zip",
        folder / "a.zip" / "m",
        folder / "b.zip" / "n" / "vocab.txt",
    ]


def test_a_vocabulary_is_found_in_folders_and_zips(tmp_path: Path) -> None:
    for place in places(tmp_path):
        found = vocabulary(place)
        assert found is not None
        assert read_vocab(found) == TOKENS
        loaded = bertworks.load(TINY / "trained.ckpt", vocab_file=place, bert_config_file=TINY / "bert_config.json")
        assert loaded.tokenizer.tokens == TOKENS
    assert vocabulary(None) is None


def test_what_is_no_vocabulary_is_told(tmp_path: Path) -> None:
    places(tmp_path)
    with pytest.raises(InputError, match=r"b\.zip: is not one vocab\.txt in a zip; it has m/vocab\.txt, n/vocab\.txt"):
        read_vocab(tmp_path / "b.zip")
    (tmp_path / "c.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a zip, or damaged"):
        read_vocab(tmp_path / "c.zip")
    with pytest.raises(InputError, match=r"--vocab_file=gone\.txt: no such file"):
        vocabulary("gone.txt")
    with pytest.raises(InputError, match=r"--vocab_file=bert-bas-uncased: .*did you mean bert-base-uncased"):
        vocabulary("bert-bas-uncased")


def test_text_for_a_model_is_cut_as_the_model_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    options = {"vocab_file": VOCAB, "bert_config_file": TINY / "bert_config.json", "do_lower_case": False}
    bertworks.load(TINY / "trained.ckpt", **options).save(model)
    text = f"--input_file={FIXTURES / 'corpus.txt'}"
    assert run("create_pretraining_data", text, f"--model={model}", f"--output_dir={tmp_path / 'a'}") == 0
    assert "text is kept as it is" in capsys.readouterr().err
    by_hand = [f"--vocab_file={model}", "--do_lower_case=False", f"--output_dir={tmp_path / 'b'}"]
    assert run("create_pretraining_data", text, *by_hand) == 0
    shards = [sorted(path.read_bytes() for path in (tmp_path / name).glob("shard-*")) for name in "ab"]
    assert shards[0] == shards[1]
    assert run("create_pretraining_data", text, f"--model={model}", "--do_lower_case", "--output_dir=c") == 2
    assert "--do_lower_case=True: " in capsys.readouterr().err
    assert run("create_pretraining_data", text, f"--model={model}", *by_hand) == 2
    assert "--vocab_file or --model: give one of them" in capsys.readouterr().err


def test_the_newest_of_a_folder_of_steps(tmp_path: Path) -> None:
    options = {"vocab_file": VOCAB, "bert_config_file": TINY / "bert_config.json"}
    model = bertworks.load(TINY / "trained.ckpt", **options)
    for name in ("step-9", "step-10", "logs"):
        (tmp_path / name).mkdir()
    for name in ("step-9", "step-10"):
        model.save(tmp_path / name)
    found = open_checkpoint(tmp_path, "--init_checkpoint")
    assert found.path == tmp_path / "step-10"
    assert found.notes[-1] == "the newest of 2 checkpoints in the folder: step-10"
    model.save(tmp_path / "other")
    with pytest.raises(InputError, match="holds no weights, its folders do"):
        open_checkpoint(tmp_path, "--init_checkpoint")
