"""Commands as several real processes: they agree, or say in one line why not."""

import csv
import shutil
from pathlib import Path

import pytest

from tests.commands.runs import FIXTURES, TINY, make_shards, metrics
from tests.together import together

GOOGLE = FIXTURES / "google_tiny"
SHAPE = (f"--vocab_file={FIXTURES / 'vocab.txt'}", f"--bert_config_file={GOOGLE / 'bert_config.json'}")
TRAINED = (*SHAPE, f"--init_checkpoint={GOOGLE / 'trained.ckpt'}")
TRAIN = (
    "--precision=fp32",
    "--num_train_epochs=1",
    "--train_batch_size=6",
    "--learning_rate=1e-3",
    "--log_every_steps=1",
)
TEXTS = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:40]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards")


def test_what_differs_between_processes_is_one_line_and_ends_all(shards: Path, tmp_path: Path) -> None:
    """Other flags, other code would be found in the same way; then other data behind the same flags."""
    other = make_shards(tmp_path / "other", "--truncate_segments=0.5")
    command = ["run_pretraining", *TINY, "--num_train_steps=2", f"--output_dir={tmp_path / 'out'}"]
    given = f"--input_file={shards}"
    done = together(tmp_path / "flags", 2, *command, given, apart={1: ["--learning_rate=2e-3"]})
    assert [one.code for one in done] == [2, 2], done
    assert done[0].err == (
        "bert run_pretraining: the processes differ: --learning_rate is 0.001 in process 0, 0.002 in process 1; "
        "start all of them with the same flags\n"
    )
    assert done[1].err == ""
    # A folder of the same name on each machine, with other files in it.
    for rank, source in enumerate((shards, other)):
        (tmp_path / f"machine-{rank}").mkdir()
        shutil.copytree(source, tmp_path / f"machine-{rank}" / "shards")
    done = together(
        tmp_path / "data", 2, *command, "--input_file=shards", folders=[tmp_path / f"machine-{r}" for r in (0, 1)]
    )
    assert [one.code for one in done] == [2, 2], done
    assert done[0].err.startswith("bert run_pretraining: the processes differ: what --input_file names (a hash) is ")
    assert done[0].err.count("\n") == 1
    assert done[1].err == ""


def _classify(folder: Path) -> list[str]:
    """Texts of up to three windows, and a dev set that is drawn."""
    rows = [("text", "label"), *((line, "long" if len(line) > 45 else "short") for line in TEXTS)]
    with (folder / "rows.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    file = folder / "rows.csv"
    window = ["--max_seq_length=12", "--long_text=window", "--class_weights=balanced", "--calibrate"]
    return ["run_classifier", *TRAINED, f"--train_file={file}", f"--test_file={file}", "--dev_fraction=0.5", *window]


def _score(folder: Path) -> list[str]:
    """Scores, which are standardised in training."""
    with (folder / "scores.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *((line, 500 + len(line)) for line in TEXTS)])
    files = [f"--{split}_file={folder / 'scores.csv'}" for split in ("train", "dev", "test")]
    return ["run_classifier", *TRAINED, *files, "--kind=regression", "--max_seq_length=32"]


def _choose(folder: Path) -> list[str]:
    data = [f"--data_dir={FIXTURES / 'tasks' / 'SWAG'}", "--max_seq_length=64"]
    return ["run_multiple_choice", *TRAINED, *data, "--train_batch_size=2"]


def _tag(folder: Path) -> list[str]:
    blocks = ["\n".join(f"{word} {'B-x' if word == 'the' else 'O'}" for word in line.split()) for line in TEXTS]
    (folder / "tags.txt").write_text("\n\n".join(blocks) + "\n")
    files = [f"--{split}_file={folder / 'tags.txt'}" for split in ("train", "dev", "test")]
    return ["run_ner", *TRAINED, *files, "--use_crf", "--long_text=window", "--max_seq_length=10", "--doc_stride=5"]


def _ask(folder: Path) -> list[str]:
    file, windows = FIXTURES / "squad-v2.json", ["--max_seq_length=64", "--doc_stride=16", "--max_query_length=16"]
    model = [*SHAPE, f"--init_checkpoint={GOOGLE / 'squad.ckpt'}", "--version_2_with_negative", "--n_best_size=3"]
    return ["run_squad", *model, f"--train_file={file}", f"--predict_file={file}", *windows]


def _numbers(path: Path) -> dict[str, float]:
    return {name: float(value) for name, _, value in (line.partition(" = ") for line in path.read_text().splitlines())}


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.soak)])
@pytest.mark.parametrize("command", [_classify, _score, _choose, _tag, _ask], ids=lambda one: one.__name__.strip("_"))
def test_fine_tuning_shares_all_its_work(command, size: int, tmp_path: Path) -> None:
    """Trained together, losses agree to rounding; one model predicts the same bytes with any number of processes."""
    words, one, many = [*command(tmp_path), *TRAIN], tmp_path / "one", tmp_path / "many"
    words += [word for word in words if word.startswith("--train_batch_size=2")]
    everything = ["--do_train", "--do_eval", "--do_predict"]
    for output, processes in ((one, 1), (many, size)):
        done = together(tmp_path / f"{processes}", processes, *words, *everything, f"--output_dir={output}")
        assert [run.code for run in done] == [0] * processes, done
        assert all(run.out == run.err == "" for run in done[1:])
    ours, theirs = metrics(many), metrics(one)
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert mine.get("evaluation", mine) == pytest.approx(other.get("evaluation", other), rel=2e-3, abs=2e-4)
    assert _numbers(many / "eval_results.txt") == pytest.approx(_numbers(one / "eval_results.txt"), rel=2e-3, abs=2e-4)

    # The model of the one, used by one and by many.
    found = {}
    for name, processes in (("alone", 1), ("shared", size)):
        use = [*command(tmp_path), "--do_eval", "--do_predict", f"--output_dir={tmp_path / name}", f"--model={one}"]
        use = [word for word in use if not word.startswith(("--init_checkpoint", "--bert_config", "--class_weights"))]
        done = together(tmp_path / f"use-{name}", processes, *use)
        assert [run.code for run in done] == [0] * processes, done
        found[name] = {
            path.name: path.read_bytes()
            for path in (tmp_path / name).iterdir()
            if path.suffix in (".txt", ".tsv", ".json")
        }
    assert found["shared"] == found["alone"]
    assert len(found["alone"]) >= 3


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_pretraining_shares_all_its_work(shards: Path, size: int, tmp_path: Path) -> None:
    words = ["run_pretraining", *TINY, "--num_train_steps=8", "--eval_every_steps=4", "--max_eval_steps=5", "--do_eval"]
    for processes in (1, size):
        output = tmp_path / f"out-{processes}"
        more = [f"--input_file={shards}", "--precision=fp32", f"--output_dir={output}"]
        done = together(tmp_path / f"{processes}", processes, *words, *more)
        assert [run.code for run in done] == [0] * processes, done
    one, many = metrics(tmp_path / "out-1"), metrics(tmp_path / f"out-{size}")
    for mine, other in zip(many[1:], one[1:], strict=True):
        assert mine.get("evaluation", mine) == pytest.approx(other.get("evaluation", other), rel=2e-3, abs=2e-4)
    # The same weights are evaluated in the same batches.
    done = together(tmp_path / "again", size, *words, *more, "--do_train=false", f"--output_dir={tmp_path / 'out-1'}")
    assert [run.code for run in done] == [0] * size, done
    alone = together(tmp_path / "alone", 1, *words, *more, "--do_train=false", f"--output_dir={tmp_path / 'out-1'}")
    assert done[0].out == alone[0].out
