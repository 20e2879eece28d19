"""Small runs of every command, each a story that `tests/commands/test_frozen_runs.py` freezes."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.commands.frozen import Recorder
from tests.commands.runs import FIXTURES

TINY, TASKS = FIXTURES / "google_tiny", FIXTURES / "tasks"
VOCAB = f"--vocab_file={FIXTURES / 'vocab.txt'}"
MODEL = (VOCAB, f"--bert_config_file={TINY / 'bert_config.json'}", "--device=cpu")
TRAINED = (*MODEL, f"--init_checkpoint={TINY / 'trained.ckpt'}")
SQUAD = (*MODEL, f"--init_checkpoint={TINY / 'squad.ckpt'}")
WINDOWS = ("--max_seq_length=64", "--doc_stride=16", "--max_query_length=16")
TRAIN = ("--precision=fp32", "--num_train_epochs=1", "--train_batch_size=16", "--learning_rate=1e-3")
ALL = ("--do_train", "--do_eval", "--do_predict")
LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line]


def _own_csv(folder: Path) -> tuple[str, str]:
    train = [("text", "label"), *((line, "long" if len(line) > 45 else "short") for line in LINES[:60])]
    test = [("id", "text"), ("a", "the man"), ("b", " and ".join(LINES[:3]))]
    for name, rows in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return f"--train_file={folder / 'train.csv'}", f"--test_file={folder / 'test.csv'}"


def _columns(path: Path) -> Path:
    blocks = []
    for i, line in enumerate(LINES[:40]):
        kind, (first, second) = (("building", ("old", "library")), ("place", ("the", "market")))[i % 2]
        words = line.split()
        rows = [f"{word} O" for word in words[:4]] + [f"{first} B-{kind}", f"{second} I-{kind}"]
        blocks.append("\n".join([*rows, *(f"{word} O" for word in words[4:8])]) + "\n")
    path.write_text("\n".join(blocks))
    return path


def learn_vocab(run: Recorder) -> None:
    """Its file opens in create_pretraining_data."""
    text, vocab = f"--input_file={FIXTURES / 'corpus.txt'}", run.folder / "vocab.txt"
    run.bert("learn_vocab", text, f"--output_file={vocab}", "--vocab_size=400", leaves=vocab)


def create_pretraining_data(run: Recorder) -> None:
    command = ("create_pretraining_data", f"--input_file={FIXTURES / 'corpus.txt'}", VOCAB, "--num_workers=1")
    shards, records = run.folder / "shards", run.folder / "records"
    run.bert(*command, f"--output_dir={shards}", "--show=2", leaves=shards)
    records.mkdir()
    limits = ("--max_seq_length=64", "--max_predictions_per_seq=10", "--dupe_factor=2")
    run.bert(*command, *limits, f"--output_file={records / 'a.tfrecord'}", leaves=records)


def run_pretraining(run: Recorder) -> None:
    """Train, continue, train no more, evaluate alone, from records, from a checkpoint; show a step."""
    shards, output = run.folder / "shards", run.folder / "out"
    text = f"--input_file={FIXTURES / 'corpus.txt'}"
    run.bert("create_pretraining_data", text, VOCAB, "--num_workers=1", f"--output_dir={shards}")
    sizes = ("--max_seq_length=64", "--max_predictions_per_seq=10", "--train_batch_size=8", "--learning_rate=1e-3")
    rest = ("--num_warmup_steps=2", "--log_every_steps=1", "--max_eval_steps=2", "--precision=fp32", "--device=cpu")
    command = ("run_pretraining", *sizes, *rest)
    shaped = (*command, "--size=2/32", f"--input_file={shards}", f"--output_dir={output}")
    run.bert(*shaped, "--do_train", "--do_eval", "--num_train_steps=2", leaves=output)
    run.bert(*shaped, "--do_train", "--do_eval", "--num_train_steps=4", "--eval_every_steps=3", leaves=output)
    run.bert(*shaped, "--do_train", "--num_train_steps=4")
    run.bert(*shaped, "--do_eval")
    run.bert("run_pretraining", f"--input_file={shards}", "--show_step=2", "--train_batch_size=2")
    records = f"--input_file={FIXTURES / 'pretraining_wwm_False.tfrecord'}"
    more = run.folder / "more"
    begin = (f"--init_checkpoint={TINY / 'trained.ckpt'}", *MODEL, f"--output_dir={more}")
    run.bert(*command, records, *begin, "--do_train", "--do_eval", "--num_train_steps=2", leaves=more)


def models(run: Recorder) -> None:
    run.bert("models")
    run.bert("models", "--filter=bert-tiny")
    run.bert("models", "--filter=chinese", "--format=json")


def extract_features(run: Recorder) -> None:
    text = run.folder / "lines.txt"
    text.write_text("the old market\nwhy was the ferry sold ? ||| it costs 80\n" + "the " * 60 + "\n")
    command = ("extract_features", *TRAINED, f"--input_file={text}", "--max_seq_length=8")
    run.bert("embed", *TRAINED, "the old market", "--normalize", f"--output_file={run.folder / 'one.jsonl'}")
    hows = {"a.jsonl": ["--layers=-1"], "b.npz": ["--layers=-1,-2"], "c.npz": ["--layers=-1", "--pooling=mean"]}
    for name, more in hows.items():
        run.bert(*command, *more, f"--output_file={run.folder / name}", leaves=run.folder / name)


def classify_own_files(run: Recorder) -> None:
    """Train with windows, then predict and evaluate from the trained folder alone."""
    train, test = _own_csv(run.folder)
    trained, again = run.folder / "out", run.folder / "again"
    command = ("run_classifier", *TRAINED, *TRAIN, train, test, "--dev_fraction=0.25", "--class_weights=balanced")
    window = ("--max_seq_length=9", "--long_text=window", "--save_checkpoints_steps=1", "--log_every_steps=1")
    run.bert(*command, *window, *ALL, f"--output_dir={trained}", leaves=trained)
    run.bert(*command, *window, *ALL, f"--output_dir={trained}")
    use = ("run_classifier", f"--model={trained}", "--device=cpu", f"--output_dir={again}")
    run.bert(*use, test, "--do_predict", leaves=again)
    run.bert(*use, f"--dev_file={run.folder / 'train.csv'}", "--do_eval", leaves=again)
    run.bert("classify", f"--model={trained}", "--device=cpu", "the man ran")
    run.bert(
        "classify", f"--model={trained}", "--device=cpu", f"--input{test.removeprefix('--test')}", "--format=jsonl"
    )


def classify_mrpc(run: Recorder) -> None:
    """A known task: trained and evaluated, with several seeds, and from the original's checkpoint."""
    task = ("run_classifier", "--task_name=MRPC", f"--data_dir={FIXTURES / 'mrpc'}", "--max_seq_length=64")
    one, several, original = run.folder / "one", run.folder / "several", run.folder / "original"
    run.bert(*task, *TRAINED, *TRAIN, *ALL, f"--output_dir={one}", leaves=one)
    run.bert(*task, *TRAINED, *TRAIN, *ALL, "--seeds=1,2", f"--output_dir={several}", leaves=several)
    begin = (*MODEL, f"--init_checkpoint={TINY / 'classifier.ckpt'}")
    run.bert(*task, *begin, "--do_eval", "--do_predict", f"--output_dir={original}", leaves=original)
    run.bert("compare", str(one), str(several), "--format=json")
    run.bert("card", str(several))


def classify_numbers_and_several_labels(run: Recorder) -> None:
    lines = LINES[:40]
    scores = [{"text": line, "score": len(line) / 10} for line in lines]
    several = [{"text": line, "labels": [w for w in ("the", "a", "is") if f" {w} " in line]} for line in lines]
    for name, rows in (("scores", scores), ("several", several)):
        file, output = run.folder / f"{name}.jsonl", run.folder / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        own = (f"--train_file={file}", f"--test_file={file}", "--dev_fraction=0.2", "--max_seq_length=64")
        run.bert("run_classifier", *TRAINED, *TRAIN, *own, *ALL, f"--output_dir={output}", leaves=output)


def run_multiple_choice(run: Recorder) -> None:
    output = run.folder / "out"
    data = (f"--data_dir={TASKS / 'SWAG'}", "--max_seq_length=64", f"--output_dir={output}")
    run.bert("run_multiple_choice", *TRAINED, *TRAIN, "--train_batch_size=2", *data, *ALL, leaves=output)


def run_ner(run: Recorder) -> None:
    """Own columns, with a CRF and windows, then CLUENER, then tags from the trained folder alone."""
    file = _columns(run.folder / "columns.txt")
    own = (f"--train_file={file}", f"--dev_file={file}", f"--test_file={file}")
    cluener = run.folder / "data"
    cluener.mkdir()
    for part, name in (("train", "cluener"), ("dev", "cluener"), ("test", "cluener_test")):
        shutil.copy(FIXTURES / "tags" / f"{name}.json", cluener / f"{part}.json")
    for name, more in (
        ("plain", [*own, "--max_seq_length=64"]),
        ("crf", [*own, "--use_crf", "--long_text=window", "--max_seq_length=16", "--doc_stride=5"]),
        ("cluener", ["--task_name=CLUENER", f"--data_dir={cluener}", "--train_batch_size=1", "--max_seq_length=64"]),
    ):
        output = run.folder / name
        run.bert("run_ner", *TRAINED, *TRAIN, *more, *ALL, f"--output_dir={output}", leaves=output)
    use = ("run_ner", f"--model={run.folder / 'crf'}", own[2], "--do_predict", "--device=cpu")
    run.bert(*use, f"--output_dir={run.folder / 'again'}", leaves=run.folder / "again")
    run.bert(
        "tag", f"--model={run.folder / 'crf'}", "--device=cpu", "the old library near the market", "--format=jsonl"
    )


def run_squad(run: Recorder) -> None:
    """Both versions trained, then predicted alone, then asked and scored."""
    for version, more in (("v1", []), ("v2", ["--version_2_with_negative"])):
        file = FIXTURES / f"squad-{version}.json"
        output = run.folder / version
        data = (f"--train_file={file}", f"--predict_file={file}", *WINDOWS, "--n_best_size=3", *more)
        run.bert("run_squad", *SQUAD, *TRAIN, *data, *ALL, f"--output_dir={output}", leaves=output)
        again = run.folder / f"{version}-again"
        use = ("run_squad", f"--model={output}", "--device=cpu", f"--predict_file={file}", "--do_predict", *more)
        run.bert(*use, f"--output_dir={again}", leaves=again)
        run.bert("evaluate_squad", str(file), str(again / "predictions.json"))
        text = "--context=Kemi wrote that the harbour near the old bridge is the best."
        run.bert("answer", "Who wrote?", text, f"--model={output}", "--device=cpu")


def answer(run: Recorder) -> None:
    (run.folder / "questions.txt").write_text("Who wrote?\nwhat was the old ?\n")
    text = "--context=Kemi wrote that the harbour near the old bridge is the best."
    command = ("answer", *SQUAD, text, *WINDOWS)
    run.bert(*command, "Who wrote?", "--top_k=2")
    output = run.folder / "answers.jsonl"
    asked = (f"--input_file={run.folder / 'questions.txt'}", "--format=jsonl", f"--output_file={output}")
    run.bert(*command, *asked, leaves=output)


def evaluate_squad(run: Recorder) -> None:
    """The golden predictions of both versions."""
    one, two = (str(FIXTURES / f"squad-{version}") for version in ("v1", "v2"))
    run.bert("evaluate_squad", f"{one}.json", f"{one}.predictions.json")
    run.bert("evaluate_squad", f"{two}.json", f"{two}.predictions.json")
    pictures = run.folder / "pictures"
    odds = (f"--na_prob_file={two}.null_odds.json", f"--output_dir={pictures}")
    run.bert("evaluate_squad", f"{two}.json", f"{two}.predictions.json", *odds, leaves=pictures)


def fill_mask(run: Recorder) -> None:
    run.bert("fill_mask", *TRAINED, "--text=the [MASK] went to the [MASK] .", "--top_k=3")
    texts, output = run.folder / "texts.txt", run.folder / "out.jsonl"
    texts.write_text("the [MASK] .\n\n  a [MASK] [MASK] ü \n")
    asked = (f"--input_file={texts}", "--format=jsonl", f"--output_file={output}", "--top_k=2")
    run.bert("fill_mask", *TRAINED, *asked, leaves=output)


def convert_checkpoint(run: Recorder) -> None:
    """To a folder, in half precision, and back to TensorFlow's form."""
    folder, half, back = run.folder / "folder", run.folder / "half", run.folder / "back"
    run.bert("convert_checkpoint", str(TINY / "bert_model.ckpt"), str(folder), VOCAB, leaves=folder)
    run.bert("convert_checkpoint", str(folder), str(half), "--fp16", leaves=half)
    run.bert("convert_checkpoint", "--format=tensorflow", f"--src={folder}", f"--dst={back}", leaves=back)


def export(run: Recorder) -> None:
    """In float32 only: of int8 the last digits differ between processors."""
    model, folder = (str(TINY / "classifier.ckpt"), VOCAB, MODEL[1]), run.folder / "exported"
    run.bert("export", *model, f"--folder={folder}", leaves=folder / "config.json")
    run.bert("export", *model, f"--folder={folder}", "--format=openvino", leaves=folder / "tokenizer_config.json")


def explain(run: Recorder) -> None:
    classifier, spans = (f"--init_checkpoint={TINY / f'{name}.ckpt'}" for name in ("classifier", "squad"))
    run.bert("explain", *MODEL, classifier, "--text=the old man went home .", "--label=LABEL_1")
    words = ("--text=who went home ?", "--text_pair=the old man went home .", "--format=jsonl")
    run.bert("explain", *MODEL, spans, *words)


def convert_triviaqa(run: Recorder) -> None:
    for kind, text in (("wikipedia", "The Mill is old."), ("web", "It is an old mill.")):
        (run.folder / "evidence" / kind).mkdir(parents=True)
        (run.folder / "evidence" / kind / "1.txt").write_text(text)
    pages = {"EntityPages": [{"Filename": "1.txt"}], "SearchResults": [{"Filename": "1.txt"}, {"Filename": "2.txt"}]}
    asked = {"QuestionId": "q1", "Question": "What is old?", "Answer": {"NormalizedAliases": ["mill"]}, **pages}
    (run.folder / "qa").mkdir()
    file = run.folder / "qa" / "web-dev.json"
    file.write_text(json.dumps({"Data": [asked], "Domain": "Web", "Split": "dev"}))
    output = run.folder / "squad.json"
    run.bert("convert_triviaqa", f"--triviaqa_file={file}", f"--squad_file={output}", leaves=output)


def download_data(run: Recorder) -> None:
    """The list only: nothing is fetched."""
    run.bert("download_data", f"--data_dir={run.folder / 'data'}")


STORIES: tuple[Callable[[Recorder], None], ...] = (
    learn_vocab,
    create_pretraining_data,
    run_pretraining,
    models,
    extract_features,
    classify_own_files,
    classify_mrpc,
    classify_numbers_and_several_labels,
    run_multiple_choice,
    run_ner,
    run_squad,
    answer,
    evaluate_squad,
    fill_mask,
    convert_checkpoint,
    export,
    explain,
    convert_triviaqa,
    download_data,
)
