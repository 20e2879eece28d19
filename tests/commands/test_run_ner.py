"""`bert run_ner` on small files of both formats, with and without a CRF, with windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bertworks import cli
from bertworks.data.labelled_records import LabelledRecords, write_labelled_records
from bertworks.data.sequences import Sequences
from bertworks.tasks.tag_files import read_columns
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import run

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
MODEL = [
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={TINY / 'bert_config.json'}",
    f"--init_checkpoint={TINY / 'trained.ckpt'}",
]
THINGS = {"building": ("old", "library"), "place": ("the", "market")}


def columns(path: Path, tagged: bool = True) -> Path:
    """Sentences with a thing in each, told by its words: a rule that a tiny model can learn."""
    lines = [line.split() for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line]
    blocks = []
    for i, words in enumerate(lines):
        kind, (first, second) = list(THINGS.items())[i % 2]
        named = [(first, f"B-{kind}"), (second, f"I-{kind}")]
        rows = [*((word, "O") for word in words[:4]), *named, *((word, "O") for word in words[4:8])]
        blocks.append("\n".join(f"{word} {tag}" if tagged else word for word, tag in rows) + "\n")
    path.write_text("\n".join(blocks))
    return path


def results(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "eval_results.json").read_text())
    return found


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("long_text", ["truncate", "window"])
def test_a_rule_is_learned_and_words_are_tagged(tmp_path: Path, crf: bool, long_text: str) -> None:
    train = columns(tmp_path / "train.txt")
    command = ["run_ner", *MODEL, f"--train_file={train}", f"--dev_file={train}", "--do_train", "--do_eval"]
    rest = ["--num_train_epochs=20", "--learning_rate=3e-3", "--train_batch_size=8", f"--long_text={long_text}"]
    size = ["--max_seq_length=16", "--doc_stride=5"] if long_text == "window" else ["--max_seq_length=64"]
    output = tmp_path / "out"
    assert run(*command, *rest, *size, f"--output_dir={output}", f"--use_crf={crf}", "--precision=fp32") == 0
    assert results(output)["eval_entity_f1"] > 0.9
    config = json.loads((output / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert list(config["label2id"]) == ["O", "B-building", "I-building", "B-place", "I-place"]
    # The trained folder says everything that is needed to tag a file without tags.
    words = columns(tmp_path / "test.txt", tagged=False)
    again = ["run_ner", f"--model={output}", f"--test_file={words}", "--do_predict"]
    assert run(*again, f"--output_dir={tmp_path / 'tagged'}") == 0
    found = (tmp_path / "tagged" / "predictions.txt").read_text().split()
    right = train.read_text().split()
    assert found[::2] == right[::2]
    assert sum(a == b for a, b in zip(found, right, strict=True)) > 0.97 * len(right)


TAGS = ["O", "B-place", "I-place", "B-building", "I-building"]


def records(text: Path, path: Path) -> Path:
    """The record file that MindSpore writes: the tag of every piece, and O for [CLS] and [SEP]."""
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    rows = list(read_columns(text, []))
    assert all(len(tokenizer.encode(word)) == 1 for row in rows for word in row.words)
    ids = [[tokenizer.cls_id, *tokenizer.convert_tokens_to_ids(row.words), tokenizer.sep_id] for row in rows]
    tags = [[0, *(TAGS.index(tag) for tag in row.tags or ()), 0] for row in rows]
    lengths = np.array([len(one) for one in ids])
    sequences = Sequences(np.concatenate(ids).astype(np.uint16), np.cumsum([0, *lengths]), lengths)
    write_labelled_records(path, LabelledRecords(sequences, np.concatenate(tags)), 32)
    return path


def test_record_files_are_the_sentences_that_they_were_made_of(tmp_path: Path) -> None:
    text = columns(tmp_path / "train.txt")
    # Words of one piece, so that both have the same words.
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    whole = [line for line in text.read_text().splitlines() if not line or line.split()[0] in tokenizer.vocab]
    text.write_text("\n".join(whole) + "\n")
    made = records(text, tmp_path / "train.tf_record")
    rest = ["--do_train", "--do_eval", "--num_train_epochs=2", "--max_seq_length=32", "--precision=fp32"]
    names = f"--labels={','.join(TAGS)}"
    for name, file, more in (("texts", text, []), ("records", made, [names])):
        command = ["run_ner", *MODEL, f"--train_file={file}", f"--dev_file={file}", *rest, *more]
        assert run(*command, f"--output_dir={tmp_path / name}") == 0
    first, second = tmp_path / "texts", tmp_path / "records"
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert results(first) == results(second)
    assert (second / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    for name, file in (("texts", text), ("records", made)):
        use = ["run_ner", f"--model={second}", f"--test_file={file}", "--do_predict", "--max_seq_length=32"]
        assert run(*use, f"--output_dir={tmp_path / f'{name}-used'}") == 0
    first, second = (tmp_path / f"{name}-used" / "predictions.txt" for name in ("texts", "records"))
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "--labels: must be given"),
        (["--labels=O,B-place"], "but there are 2"),
        (["--labels=O,B-place", "--long_text=window"], "--long_text: "),
        ([f"--labels={','.join(TAGS)}", "--max_seq_length=5"], "give --max_seq_length="),
        (["--train_file=one.tf_record", "--labels=O,B-x"], "use bert run_classifier"),
        (["--train_file=ends.tf_record", "--labels=O,B-x"], "record 0 is not [CLS], one text, [SEP]"),
        (["--train_file=good.txt", "--labels=O,B-x"], "--labels: is for .tf_record files"),
    ],
)
def test_mistakes_with_record_files(arguments: list[str], error: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.txt").write_text("the B-place\nold O\nlibrary B-building\nthe O\n")
    made = records(Path("good.txt"), Path("good.tf_record"))
    sequences = Sequences(np.array([2, 7, 7], np.uint16), np.array([0, 3]), np.array([3]))
    for name, tags in (("one", [1]), ("ends", [0, 1, 0])):
        write_labelled_records(Path(f"{name}.tf_record"), LabelledRecords(sequences, np.array(tags)), 8)
    command = ["run_ner", *MODEL, "--output_dir=out", "--do_train", f"--train_file={made}", *arguments]
    assert cli.main(command) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bert run_ner: ")]
    assert len(lines) == 1
    assert error in lines[0]


def test_it_opens_in_transformers_with_the_same_answers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    train = columns(tmp_path / "train.txt")
    command = ["run_ner", *MODEL, f"--train_file={train}", "--do_train", "--num_train_epochs=4", "--learning_rate=3e-3"]
    assert run(*command, f"--output_dir={tmp_path / 'out'}", "--precision=fp32") == 0
    again = ["run_ner", f"--model={tmp_path / 'out'}", f"--test_file={train}", "--do_predict"]
    assert run(*again, f"--output_dir={tmp_path / 'tagged'}") == 0
    model, report = transformers.AutoModelForTokenClassification.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(report.values()), report
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    blocks = (tmp_path / "tagged" / "predictions.txt").read_text().strip().split("\n\n")[:20]
    for block in blocks:
        words, tags = zip(*(line.split(" ") for line in block.split("\n")), strict=True)
        encoded = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model.eval()(**encoded).logits[0].argmax(-1).tolist()
        first = [encoded.word_ids().index(i) for i in range(len(words))]
        assert [model.config.id2label[best[place]] for place in first] == list(tags)


def test_cluener(tmp_path: Path) -> None:
    for split, name in (("train", "cluener.json"), ("dev", "cluener.json"), ("test", "cluener_test.json")):
        (tmp_path / f"{split}.json").write_text((FIXTURES / "tags" / name).read_text())
    command = ["run_ner", *MODEL, "--task_name=cluener", f"--data_dir={tmp_path}", "--do_train", "--do_eval"]
    assert run(*command, "--do_predict", f"--output_dir={tmp_path / 'out'}", "--num_train_epochs=30") == 0
    assert list(results(tmp_path / "out"))[:2] == ["global_step", "eval_cluener"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["fine_tuning"]["unit"] == "character"
    lines = (tmp_path / "out" / "cluener_predict.json").read_text().splitlines()
    assert [json.loads(line).keys() for line in lines] == [{"id", "label"}] * len(lines)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "give at least one of"),
        (["--do_train"], "--train_file: must be given"),
        (["--do_train", "--task_name=MRPC"], "has no tags; use bert run_classifier"),
        (["--do_train", "--task_name=CLUENER"], "--data_dir: must be given"),
        (["--do_train", "--train_file=plain.txt"], "has no tags"),
        (["--do_eval", "--dev_file=good.txt"], "says no tags (id2label"),
        (
            ["--do_train", "--do_eval", "--train_file=good.txt", "--dev_file=other.txt"],
            "line 1: the tag B-x",
        ),
    ],
)
def test_mistakes(arguments: list[str], error: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    columns(Path("good.txt"))
    columns(Path("plain.txt"), tagged=False)
    Path("other.txt").write_text("the B-x\n")
    assert cli.main(["run_ner", *MODEL, "--output_dir=out", *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bert run_ner: ")]
    assert len(lines) == 1
    assert error in lines[0]
