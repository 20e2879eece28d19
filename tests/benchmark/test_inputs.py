"""The inputs that all contestants share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bertworks.benchmark import inputs
from bertworks.checkpoints.load import open_checkpoint
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import FIXTURES

TOKENIZER = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
SENTENCES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line]


@pytest.mark.parametrize(("mix", "longest", "mean"), [("mrpc", 128, 53), ("squad", 384, 172), ("dense", 96, 96)])
@pytest.mark.parametrize("count", [1, 3, 32, 500])
def test_mixes_have_their_means(mix: str, longest: int, mean: int, count: int) -> None:
    lengths = inputs.lengths_of(mix, count, longest)
    assert len(lengths) == count
    assert lengths.mean() == pytest.approx(mean, abs=0.02 * mean)
    assert lengths.min() >= 3
    assert lengths.max() <= longest


def test_lengths_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lengths.txt"
    path.write_text("5\n17\n9\n")
    assert inputs.lengths_of(str(path), 2, 20).tolist() == [5, 17]
    with pytest.raises(InputError, match=r"has 3 lengths, --batch_size=4 needs as many"):
        inputs.lengths_of(str(path), 4, 20)
    with pytest.raises(InputError, match=r"lengths.txt, line 2: '17' is not a length from 3 to --max_seq_length=10"):
        inputs.lengths_of(str(path), 2, 10)


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe5", "is no text in UTF-8"), ("²".encode(), "'²' is not a length")]
)
def test_a_file_that_holds_no_lengths(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "lengths.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        inputs.lengths_of(str(tmp_path / "lengths.txt"), 1, 20)


def test_a_batch_is_sequences_of_text_with_labels_for_every_work(tmp_path: Path) -> None:
    lengths = np.array([20, 3, 57])
    masked = inputs.write_batch(tmp_path, TOKENIZER, SENTENCES, lengths)
    with np.load(tmp_path / "batch.npz") as stored:
        batch = dict(stored)
    starts = np.array([0, 20, 23])
    ids, segments = batch["input_ids"], batch["segment_ids"]
    assert len(ids) == len(segments) == 80
    assert (ids[starts] == TOKENIZER.cls_id).all()
    assert (ids[starts + lengths - 1] == TOKENIZER.sep_id).all()
    assert (segments[starts] == 0).all()
    assert (segments[starts + lengths - 1] == 1).all()
    assert masked == len(batch["rows"]) == len(batch["labels"])
    assert (ids[batch["rows"]] == TOKENIZER.mask_id).all()
    assert (np.diff(batch["rows"]) > 0).all()
    assert masked == pytest.approx(0.15 * 80, abs=2)
    begins, ends = batch["positions"].T
    assert (begins <= ends).all()
    assert (ends < lengths).all()
    assert set(batch["sequence_labels"]) <= {0, 1}


def test_equal_inputs_for_equal_lengths(tmp_path: Path) -> None:
    lengths = np.array([12, 30])
    arrays = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        inputs.write_batch(tmp_path / name, TOKENIZER, SENTENCES, lengths)
        with np.load(tmp_path / name / "batch.npz") as stored:
            arrays.append(dict(stored))
    assert all((arrays[0][key] == arrays[1][key]).all() for key in arrays[0])


def test_texts_of_every_mix() -> None:
    natural = inputs.choose_texts("natural", SENTENCES, 5, TOKENIZER, 64)
    assert len(natural) == 5
    assert set(natural) <= set(SENTENCES)
    mixed = inputs.choose_texts("mixed", SENTENCES, 5, TOKENIZER, 64)
    assert len({len(text) for text in mixed}) > 1
    dense = inputs.choose_texts("dense", SENTENCES, 5, TOKENIZER, 64)
    assert inputs.token_lengths(dense, TOKENIZER, 64).tolist() == [64] * 5


def test_windows_of_squad_have_its_lengths() -> None:
    lengths = inputs.squad_lengths(str(FIXTURES / "squad-v1.json"), TOKENIZER, 40, 100)
    assert len(lengths) == 40
    assert lengths.max() <= 100


def test_text_of_files_and_of_python(tmp_path: Path) -> None:
    text = inputs.read_corpus(str(FIXTURES / "corpus.txt"), tmp_path)
    assert text.sentences == SENTENCES
    assert text.path.read_text().count("\n\n") == (FIXTURES / "corpus.txt").read_text().strip().count("\n\n")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="has no text"):
        inputs.read_corpus(str(tmp_path / "empty.txt"), tmp_path)


def test_a_model_with_its_weights_gets_the_head_that_it_lacks(tmp_path: Path) -> None:
    text = inputs.read_corpus(str(FIXTURES / "corpus.txt"), tmp_path)
    path = FIXTURES / "google_tiny" / "trained.ckpt"
    made = inputs.make_model(
        tmp_path / "model",
        "span",
        text,
        size="base",
        model=str(path),
        vocab_file=str(FIXTURES / "vocab.txt"),
        lower=True,
    )
    theirs, ours = open_checkpoint(str(path)).weights, open_checkpoint(str(made.folder)).weights
    name = "bert.encoder.layer.0.output.dense.weight"
    np.testing.assert_array_equal(ours[name].read(), theirs[name].read())
    assert "qa_outputs.weight" in ours
    assert "qa_outputs.weight" not in theirs
    assert made.size == str(path)
