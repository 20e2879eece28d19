"""`bert run_ner` on small files of both formats, with and without a CRF, with windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bertworks import cli
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
    again = ["run_ner", f"--model={output}", f"--test_file={words}", "--do_predict", *size, f"--long_text={long_text}"]
    assert run(*again, f"--output_dir={tmp_path / 'tagged'}") == 0
    found = (tmp_path / "tagged" / "predictions.txt").read_text().split()
    right = train.read_text().split()
    assert found[::2] == right[::2]
    assert sum(a == b for a, b in zip(found, right, strict=True)) > 0.97 * len(right)


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
