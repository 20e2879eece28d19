"""`bert run_ner` on small files of both formats, with and without a CRF, with windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bertworks import cli
from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import LabelledRecords
from bertworks.data.sequences import Sequences
from bertworks.tasks.ner.entities import spans
from bertworks.tasks.ner.tag_files import read_columns
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import run
from tests.data.written_records import write_labelled_records

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
    rest = ["--num_train_epochs=20", "--learning_rate=1e-3", "--train_batch_size=8", f"--long_text={long_text}"]
    size = ["--max_seq_length=16", "--doc_stride=5"] if long_text == "window" else ["--max_seq_length=64"]
    output = tmp_path / "out"
    assert run(*command, *rest, *size, f"--output_dir={output}", f"--use_crf={crf}", "--precision=fp32") == 0
    assert results(output)["eval_entity_f1"] > 0.95
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
    rows = list(read_columns(text, BadRows()))
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


def plain_columns(path: Path) -> Path:
    """The sentences of `columns` without words of signs or Chinese, so that words are what blanks separate."""
    lines = columns(path).read_text().splitlines()
    path.write_text(
        "\n".join(line for line in lines if (line.isascii() and line.split(" ")[0].isalnum()) or not line) + "\n"
    )
    return path


def sentences(path: Path) -> list[tuple[list[str], list[str]]]:
    """The words and the tags of a file that `columns` wrote."""
    blocks = [[line.split() for line in block.splitlines()] for block in path.read_text().strip().split("\n\n")]
    return [([word for word, _ in block], [tag for _, tag in block]) for block in blocks]


def test_other_files_of_the_same_sentences_train_the_same_model(tmp_path: Path, capsys) -> None:
    """Numbered columns, lists with names and with numbers, texts with entities, a folder of BRAT."""
    rows = sentences(plain_columns(tmp_path / "train.txt"))
    numbered, brat = tmp_path / "numbered.tsv", tmp_path / "brat"
    blocks = (enumerate(zip(words, tags, strict=True), 1) for words, tags in rows)
    numbered.write_text("\n".join("# x\n" + "".join(f"{i}\t{w}\t{t}\tO\n" for i, (w, t) in block) for block in blocks))
    lists = [{"tokens": words, "ner_tags": [TAGS.index(tag) for tag in tags]} for words, tags in rows]
    texts, annotations, at = [], [], 0
    for words, tags in rows:
        joined = " ".join(words)
        begins = [len(" ".join(words[:i])) + (i > 0) for i in range(len(words) + 1)]
        found = [(begins[begin], begins[end] - 1, kind) for kind, begin, end in spans(tags)]
        texts.append([joined, {"entities": found}])
        annotations += [(kind, at + begin, at + end, joined[begin:end]) for begin, end, kind in found]
        at += len(joined) + 1
    brat.mkdir()
    (brat / "a.txt").write_text("".join(f"{joined}\n" for joined, _ in texts))
    (brat / "a.ann").write_text("".join(f"T{i}\t{k} {b} {e}\t{m}\n" for i, (k, b, e, m) in enumerate(annotations)))
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(value) + "\n" for value in texts))
    names = f"--labels={','.join(TAGS)}"
    said = {
        "train.txt": "words in column 0, tags in column 1 of 2",
        "numbered.tsv": "words in column 1, tags in column 2 of 4; column 0 counts the words; ",
        "lists.json": 'lists of words; words in "tokens", tags in "ner_tags"; tags are numbers, named by --labels',
        "texts.jsonl": "spaCy's pairs; each word of a text is tagged (--unit=character tags each character)",
        "brat": "a folder of BRAT; each word of a text is tagged",
    }
    models = set()
    for name, line in said.items():
        output = tmp_path / f"of-{name}"
        command = ["run_ner", *MODEL, f"--train_file={tmp_path / name}", f"--dev_file={tmp_path / name}", "--do_train"]
        more = [names] if name == "lists.json" else []
        rest = ["--do_eval", "--num_train_epochs=1", "--max_seq_length=32", "--precision=fp32"]
        assert run(*command, *rest, *more, f"--output_dir={output}") == 0
        assert f"{tmp_path / name}: {line}" in capsys.readouterr().err
        models.add((output / "model.safetensors").read_bytes())
        assert json.loads((output / "config.json").read_text())["fine_tuning"]["unit"] == "word"
    assert len(models) == 1
    # The names of the numbers are remembered.
    again = ["run_ner", f"--model={tmp_path / 'of-lists.json'}", f"--dev_file={tmp_path / 'lists.json'}", "--do_eval"]
    assert run(*again, f"--output_dir={tmp_path / 'again'}") == 0
    trained = results(tmp_path / "of-lists.json")
    assert results(tmp_path / "again") == trained | {"global_step": 0}


def test_texts_are_tagged_as_the_model_was_trained(tmp_path: Path) -> None:
    """Trained on words of columns, it tags the words of texts, and says their characters."""
    text = plain_columns(tmp_path / "train.txt")
    command = ["run_ner", *MODEL, f"--train_file={text}", "--do_train", "--num_train_epochs=20", "--learning_rate=1e-3"]
    assert run(*command, "--train_batch_size=8", f"--output_dir={tmp_path / 'out'}") == 0
    rows = sentences(text)
    (tmp_path / "test.json").write_text("".join(json.dumps({"text": " ".join(words)}) + "\n" for words, _ in rows))
    use = ["run_ner", f"--model={tmp_path / 'out'}", f"--test_file={tmp_path / 'test.json'}", "--do_predict"]
    assert run(*use, f"--output_dir={tmp_path / 'tagged'}") == 0
    found = sentences(tmp_path / "tagged" / "predictions.txt")
    assert [words for words, _ in found] == [words for words, _ in rows]
    lines = (tmp_path / "tagged" / "cluener_predict.json").read_text().splitlines()
    assert len(lines) == len(rows)
    for line, (words, _), (_, tags) in zip(lines, rows, found, strict=True):
        told = {kind: set(texts) for kind, texts in json.loads(line)["label"].items()}
        expected: dict[str, set[str]] = {}
        for kind, begin, end in spans(tags):
            expected.setdefault(kind, set()).add(" ".join(words[begin:end]))
        assert told == expected
    assert any(json.loads(line)["label"] for line in lines)
    # A text on each line is the same texts.
    (tmp_path / "test.txt").write_text("".join(" ".join(words) + "\n" for words, _ in rows))
    plain = [*use[:2], f"--test_file={tmp_path / 'test.txt'}", "--do_predict", f"--output_dir={tmp_path / 'plain'}"]
    assert run(*plain) == 0
    for name in ("predictions.txt", "cluener_predict.json"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "tagged" / name).read_bytes()
    # What the file says of entities is not looked at, so their types may be others.
    foreign = [json.dumps({"text": " ".join(words), "label": [[0, 1, "strange"]]}) for words, _ in rows]
    (tmp_path / "foreign.jsonl").write_text("\n".join(foreign))
    again = [*use[:2], f"--test_file={tmp_path / 'foreign.jsonl'}", "--do_predict"]
    assert run(*again, f"--output_dir={tmp_path / 'foreign'}") == 0
    found_again = (tmp_path / "foreign" / "predictions.txt").read_bytes()
    assert found_again == (tmp_path / "tagged" / "predictions.txt").read_bytes()
    # A person may ask for characters all the same.
    assert run(*use, "--unit=character", f"--output_dir={tmp_path / 'letters'}") == 0
    assert all(len(word) == 1 for words, _ in sentences(tmp_path / "letters" / "predictions.txt") for word in words)


def test_record_files_are_evaluated_by_the_names_of_the_training(tmp_path: Path) -> None:
    """The model's labels have another order than the numbers of the records."""
    text = columns(tmp_path / "train.txt")
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    whole = [line for line in text.read_text().splitlines() if not line or line.split()[0] in tokenizer.vocab]
    text.write_text("\n".join(whole) + "\n")
    made = records(text, tmp_path / "train.tf_record")
    rest = ["--do_train", "--do_eval", "--num_train_epochs=2", "--max_seq_length=32", f"--labels={','.join(TAGS)}"]
    command = ["run_ner", *MODEL, f"--train_file={made}", f"--dev_file={made}", *rest]
    assert run(*command, f"--output_dir={tmp_path / 'out'}") == 0
    again = ["run_ner", f"--model={tmp_path / 'out'}", f"--dev_file={made}", "--do_eval"]
    assert run(*again, f"--output_dir={tmp_path / 'again'}") == 0
    assert results(tmp_path / "again") == results(tmp_path / "out") | {"global_step": 0}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "--labels: must be given"),
        (["--labels=O,B-place"], "but there are 2"),
        (["--labels=O,B-place,"], "--labels=O,B-place,: label 3 of 3 has no name"),
        (["--labels=O,B-place", "--long_text=window"], "--long_text: "),
        (["--labels=O,B-place", "--tag_column=1"], "--tag_column: .tf_record files have no columns"),
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


def test_cluener(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, name in (("train", "cluener.json"), ("dev", "cluener.json"), ("test", "cluener_test.json")):
        (tmp_path / f"{split}.json").write_text((FIXTURES / "tags" / name).read_text())
    command = ["run_ner", *MODEL, "--task_name=cluener", f"--data_dir={tmp_path}", "--do_train", "--do_eval"]
    assert run(*command, "--do_predict", f"--output_dir={tmp_path / 'out'}", "--num_train_epochs=30") == 0
    # What is not given is as published, the rest as given.
    said = capsys.readouterr().err + (tmp_path / "out" / "flags.toml").read_text()
    assert "CLUENER: trained as published (task_ner_config.yaml of MindSpore's BERT): --train_batch_size=32" in said
    assert "Remarks:" in said
    assert "overlaps another mention" in said
    assert "learning_rate = 2e-05" in said
    assert "num_train_epochs = 30.0" in said
    assert list(results(tmp_path / "out"))[:2] == ["global_step", "eval_cluener"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["fine_tuning"]["unit"] == "character"
    lines = (tmp_path / "out" / "cluener_predict.json").read_text().splitlines()
    assert [json.loads(line).keys() for line in lines] == [{"id", "label"}] * len(lines)
    # The same file as somebody's own.
    use = ["run_ner", f"--model={tmp_path / 'out'}", f"--test_file={tmp_path / 'test.json'}", "--do_predict"]
    assert run(*use, f"--output_dir={tmp_path / 'used'}") == 0
    assert (tmp_path / "used" / "cluener_predict.json").read_text().splitlines() == lines


def test_a_task_without_a_dev_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns(tmp_path / "train.txt")
    test = columns(tmp_path / "test.txt")
    command = ["run_ner", *MODEL, "--task_name=MSRA", f"--data_dir={tmp_path}", "--do_train", "--do_eval"]
    assert run(*command, "--num_train_epochs=1", f"--output_dir={tmp_path / 'out'}") == 0
    assert f"MSRA: has no dev set; its test set is evaluated on ({test})" in capsys.readouterr().err
    assert "eval_entity_f1" in results(tmp_path / "out")


def test_a_model_of_few_positions_is_used_as_it_was_trained(tmp_path: Path) -> None:
    train = columns(tmp_path / "train.txt")
    config = json.loads((TINY / "bert_config.json").read_text()) | {"max_position_embeddings": 32}
    (tmp_path / "small.json").write_text(json.dumps(config))
    small = [MODEL[0], f"--bert_config_file={tmp_path / 'small.json'}", "--max_seq_length=32", "--do_train"]
    assert run("run_ner", *small, f"--train_file={train}", "--num_train_epochs=1", f"--output_dir={tmp_path}/out") == 0
    assert run("run_ner", f"--output_dir={tmp_path}/out", f"--dev_file={train}", "--do_eval") == 0


def test_a_share_of_the_sentences_is_the_dev_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = columns(tmp_path / "train.txt")
    count = len(train.read_text().split("\n\n"))
    command = ["run_ner", *MODEL, f"--train_file={train}", "--dev_fraction=0.25", "--do_train", "--do_eval"]
    for name in ("one", "again"):
        output = tmp_path / name
        assert run(*command, "--num_train_epochs=1", "--max_seq_length=64", f"--output_dir={output}") == 0
    dev = (output / "dev_predictions.txt").read_text().strip().split("\n\n")
    assert f"{len(dev):,} of {count:,} training sentences are the dev set (--dev_fraction)" in capsys.readouterr().err
    # A quarter of the sentences with each thing; the same ones each time.
    of_place = sum(line.split()[1] == "B-place" for sentence in dev for line in sentence.splitlines())
    assert abs(of_place - count / 8) <= 1
    assert abs(len(dev) - count / 4) <= 1
    assert results(tmp_path / "one") == results(tmp_path / "again")


def test_changed_training_data_are_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = columns(tmp_path / "train.txt")
    command = ["run_ner", *MODEL, "--do_train", "--num_train_epochs=1", f"--output_dir={tmp_path / 'out'}"]
    assert run(*command, f"--train_file={train}") == 0
    # A flag that changes the data is what is named.
    assert run(*command, f"--train_file={train}", "--max_seq_length=8") == 2
    assert "--max_seq_length: 8 here" in capsys.readouterr().err
    text = train.read_text()
    (tmp_path / "moved.txt").write_text(text)
    assert run(*command, f"--train_file={tmp_path / 'moved.txt'}") == 0
    for changed in (text.replace("old B-building", "library B-building", 1), text.replace("B-building", "O", 1)):
        train.write_text(changed)
        capsys.readouterr()
        assert run(*command, f"--train_file={train}") == 2
        assert "the training data (a hash): " in capsys.readouterr().err


def test_strange_tags_and_several_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = columns(tmp_path / "train.txt")
    dev = tmp_path / "dev.txt"
    dev.write_text("the B-x\n\nold B-building\n")
    command = ["run_ner", *MODEL, f"--train_file={train}", f"--dev_file={dev}", "--do_train", "--do_eval"]
    command += ["--num_train_epochs=1", "--on_bad_row=skip", f"--output_dir={tmp_path / 'out'}"]
    assert run(*command, "--seeds=1,2") == 0
    said = capsys.readouterr().err
    assert "1 bad row left out:" in said
    assert f"{dev}, line 1: the tag B-x of 'the' is not among those trained on; known are O, B-building" in said
    assert (tmp_path / "out" / "seeds.json").exists()
    # A single training's model is none of the seeds'.
    assert run(*command) == 0
    assert not (tmp_path / "out" / "seeds.json").exists()
    dev.write_text("the B-x\n")
    capsys.readouterr()
    assert run(*command) == 2
    assert "no sentence of the dev set can be used; the first: " in capsys.readouterr().err


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
        (["--do_train", "--train_file=good.txt", "--seeds=1,2"], "--seeds: needs a dev set"),
        (["--do_train", "--train_file=good.txt", "--early_stopping=1"], "--early_stopping: needs a dev set"),
        (["--do_train", "--do_eval", "--early_stopping=1", "--keep=last"], "--early_stopping and --keep=last: "),
        (["--do_train", "--do_eval", "--seeds=99999999999999999999999"], "must be at most 1e+18"),
        (["--do_train", "--do_eval", "--seeds=1,-1"], "--seeds=1,-1: -1 must be at least 0"),
        (["--do_train", "--do_eval", "--seeds=1,a"], "--seeds=1,a: 'a' is not a whole number"),
        *(
            (["--do_train", f"--eval_every={every}"], f"--eval_every={every}: give")
            for every in ("0", "-1", "0.0", "nan")
        ),
        (["--do_train", "--train_file=good.txt", "--freeze_layers=100"], "--freeze_layers=100: the model has"),
        (["--do_train", "--train_fraction=0"], "--train_fraction: 0 must be above 0"),
        (["--do_train", "--train_fraction=1.5"], "--train_fraction: 1.5 must be at most 1"),
        (["--do_train", "--layerwise_lr_decay=5"], "--layerwise_lr_decay: 5 must be at most 1"),
        (["--do_train", "--warmup_proportion=5"], "--warmup_proportion: 5 must be at most 1"),
        (
            ["--do_train", "--task_name=MSRA", "--data_dir=.", "--train_file=good.txt"],
            "--task_name and --train_file: give one",
        ),
        (["--do_train", "--task_name=MSRA", "--data_dir=.", "--labels=O,B-x"], "--labels: is for .tf_record files"),
        (["--do_train", "--task_name=MSRA", "--data_dir=.", "--unit=word"], "--unit: is for your own files"),
        (["--do_train", "--task_name=MSRA", "--data_dir=.", "--dev_fraction=0.1"], "--dev_fraction: is for your own"),
        (["--do_train", "--train_file=good.txt", "--dev_file=a", "--dev_fraction=0.1"], "give one of them; each says"),
        (["--do_eval", "--train_file=good.txt", "--dev_fraction=0.1"], "takes sentences out of --train_file"),
        (["--do_train", "--do_eval", "--train_file=good.txt", "--dev_fraction=1e-4"], "that is 0 of"),
        (["--do_train", "--train_file=absent.txt"], "absent.txt: no such file"),
        (["--do_train", "--train_file=good.txt", "--word_column=2"], "--word_column=2: there are 2 columns"),
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
