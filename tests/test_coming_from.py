"""`docs/coming-from.md` says what the program does: its commands run, its spellings and flags are there."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import cli
from bertworks.checkpoints.formats.safetensors import of_tensors
from bertworks.checkpoints.formats.tensorflow_writer import write_tensorflow
from bertworks.commands import evaluate_squad, run_classifier, run_ner, run_squad
from bertworks.config import BertConfig
from bertworks.data.labelled_records import LabelledRecords
from bertworks.data.protobuf import fields
from bertworks.data.sequences import encode
from bertworks.datasets.registry import find_model
from bertworks.errors import InputError
from bertworks.flags import describe, normalise, parse
from bertworks.model.heads import PretrainingModel
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.windows import WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer
from tests.checkpoints.builders import message
from tests.data.written_records import write_labelled_records
from tests.tasks.squad.written_windows import write_records

FIXTURES = Path(__file__).parent / "fixtures"
TINY = FIXTURES / "google_tiny"
PAGE = (Path(__file__).parents[1] / "docs" / "coming-from.md").read_text()

OURS, THEIR_SPELLINGS = "# ours\n", "# ours, their spellings\n"
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [block.removeprefix(OURS) for block in BLOCKS if block.startswith(OURS)]
# Each with the command above it.
SPELLED = [
    (block.removeprefix(THEIR_SPELLINGS), before.removeprefix(OURS))
    for before, block in pairwise(BLOCKS)
    if block.startswith(THEIR_SPELLINGS)
]
# The cells of the tables' rows, by the headers of their tables.
TABLES = {
    match[1]: [tuple(map(str.strip, line.strip("|").split("|"))) for line in match[2].splitlines()]
    for match in re.finditer(r"^(\|[^\n]+\|)\n\|---\|---\|\n((?:\|[^\n]+\|\n)+)", PAGE, re.MULTILINE)
}
SPELLINGS = TABLES["| flag | also accepted as |"]
SQUAD_SPELLINGS = TABLES["| flag of `run_squad` | also accepted as |"]
HUB = TABLES["| `--bert_hub_module_handle` | `--model` |"]
ROWS = [
    row
    for rows in re.findall(r"^\| theirs \| ours \|\n\|---\|---\|\n((?:\|[^\n]+\|\n)+)", PAGE, re.MULTILINE)
    for row in rows.splitlines()
]
# The flag of a launcher, not of a command.
LAUNCHER = {"nproc_per_node"}

BERT_LARGE = "bert_large_ascend_v130_enwiki_official_nlp_bs768_loss1.1.ckpt"


def names_in(text: str) -> list[str]:
    """The flags that a text speaks of."""
    return [name.replace("-", "_") for name in re.findall(r"--(\w[\w-]*)", text)]


def several(source: Path, target: Path, times: int) -> None:
    """A folder whose files to train on are longer; enough for a step."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        (target / path.name).write_text(path.read_text() * (times if path.name.startswith("train") else 1))


def small_model(folder: Path) -> None:
    """A model of the original's, with as many positions as the windows of SQuAD want."""
    folder.mkdir()
    values = json.loads((TINY / "bert_config.json").read_text()) | {"max_position_embeddings": 512}
    (folder / "bert_config.json").write_text(json.dumps(values))
    model = PretrainingModel(BertConfig.from_google_file(folder / "bert_config.json"))
    model.initialise(0)
    write_tensorflow(folder / "bert_model.ckpt", of_tensors(dict(model.named_parameters())))
    shutil.copy(FIXTURES / "vocab.txt", folder)


def with_positions(checkpoint: bytes, count: int) -> bytes:
    """MindSpore's checkpoint, with zeros for so many positions."""
    values = []
    for _, value in fields(checkpoint):
        named = dict(fields(value))
        if named[1].endswith(b"full_position_embedding.embedding_table"):
            width = [number for field, number in fields(named[2]) if field == 1][1]
            tensor = message((1, count), (1, width), (2, b"Float32"), (3, bytes(4 * count * width)))
            values.append((1, message((1, named[1]), (2, tensor))))
        else:
            values.append((1, value))
    return message(*values)


def squad_files(root: Path, model: Path) -> None:
    """Few questions of 1.1 and 2.0 by their released names, and what DeepSpark's folder has."""
    released, prepared = root / "SQuAD", root / "squad"
    for folder in (released, prepared):
        folder.mkdir()
    for version, files in {"v1": ("v1.1",), "v2": ("v2.0", "")}.items():
        whole = json.loads((FIXTURES / f"squad-{version}.json").read_text())
        few = json.dumps({**whole, "data": whole["data"][:14]})
        for file in files:
            for split in ("train", "dev"):
                (released / f"{split}-{file}.json" if file else root / f"{split}.json").write_text(few)
    tokenizer, reading = Tokenizer.from_vocab(FIXTURES / "vocab.txt"), SquadReader(released / "train-v1.1.json", True)
    made = make_windows(tokenizer, reading.examples(), WindowSettings(512, 128, 64), True)
    write_records(prepared / "train.tf_record", (one for _, one in made), 512)
    for path in (released / "dev-v1.1.json", model / "vocab.txt", model / "bert_config.json"):
        shutil.copy(path, prepared)
    (prepared / BERT_LARGE).write_bytes(with_positions((FIXTURES / "mindspore_tiny.ckpt").read_bytes(), 512))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands in the braces, small; every other name is a folder of its own for what is written."""
    root = tmp_path_factory.mktemp("elsewhere")
    model = root / "uncased"
    small_model(model)
    squad_files(root, model)
    shutil.copytree(FIXTURES / "mrpc", root / "glue" / "MRPC")
    for task in ("TNEWS", "CLUENER"):
        several(FIXTURES / "tasks" / task, root / "clue" / task, 32)
    # The kinds of entities that training saw.
    shutil.copy(root / "clue" / "CLUENER" / "train.json", root / "clue" / "CLUENER" / "dev.json")
    lines = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:24]
    for name in ("train", "dev", "test"):
        rows = [(line, "long" if len(line) > 45 else "short") for line in lines]
        with (root / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("sentence1", "label"), *rows])
    sequences = encode(Tokenizer.from_vocab(FIXTURES / "vocab.txt"), ((line, None) for line in lines), 128)
    classes = np.array([len(line) > 45 for line in lines], np.int64)
    tags = np.zeros(len(sequences.ids), np.int64)
    # The first two pieces after [CLS] are the beginning and the end of a name.
    tags[sequences.starts[:-1] + 1], tags[sequences.starts[:-1] + 2] = 2, 4
    for name in ("train", "dev"):
        write_labelled_records(root / f"{name}.tf_record", LabelledRecords(sequences, classes), 128)
        write_labelled_records(root / f"ner_{name}.tf_record", LabelledRecords(sequences, tags), 128)
    models = (
        "BERT_BASE_DIR",
        "uncased_L-12_H-768_A-12",
        "bert_12_768_12_book_corpus_wiki_en_uncased",
        "bert_24_1024_16_book_corpus_wiki_en_uncased",
        "bert-base-cased",
        "bert-base-uncased",
    )
    return {
        **dict.fromkeys(models, str(model)),
        "GLUE_DIR": str(root / "glue"),
        "CLUE_DIR": str(root / "clue"),
        "SQUAD_DIR": str(root / "SQuAD"),
        "squad": str(root / "squad"),
        "bert_base.ckpt": str(FIXTURES / "mindspore_tiny.ckpt"),
        "bert_config.json": str(TINY / "bert_config.json"),
        "vocab.txt": str(FIXTURES / "vocab.txt"),
        **{path.name: str(path) for path in root.iterdir() if path.is_file()},
    }


def words_of(command: str, places: dict[str, str], output_dir: Path) -> list[str]:
    filled = re.sub(r"\{([^}]+)\}", lambda match: places.get(match[1], str(output_dir / match[1])), command)
    # The shell joins lines that end with a backslash.
    words = shlex.split(filled.replace("\\\n", " "))
    assert words[0] == "bert"
    return words[1:]


def test_the_page_is_read() -> None:
    assert (len(COMMANDS), len(SPELLED)) == (15, 9)
    assert len(SPELLINGS) > 10
    assert len(SQUAD_SPELLINGS) == 4
    assert len(HUB) == 6
    assert len(ROWS) > 60


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_ours_runs(command: str, places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = words_of(command, places, tmp_path)
    assert cli.main(words) == 0, capsys.readouterr().err
    (output,) = tmp_path.iterdir()
    results = json.loads((output / "eval_results.json").read_text())
    assert results["global_step"] > 0
    written = {path.name for path in output.iterdir()}
    assert {"eval_results.txt", "model.safetensors", "flags.toml"} <= written
    if "--do_predict" in words:
        files = {"run_ner": "cluener_predict.json", "run_squad": "predictions.json"}
        assert files.get(words[0], "predictions.tsv") in written
    if words[0] == "run_squad":
        version_2 = "--version_2_with_negative" in words
        assert "nbest_predictions.json" in written
        assert ("null_odds.json" in written, "eval_HasAns_f1" in results) == (version_2, version_2)
    if "--do_predict" in words and "--task_name=MRPC" in words:
        assert (output / "MRPC.tsv").read_text().startswith("index\tprediction\n")


@pytest.mark.parametrize(("spelled", "plain"), SPELLED, ids=range(len(SPELLED)))
def test_their_spellings_mean_the_same(spelled: str, plain: str, places: dict[str, str], tmp_path: Path) -> None:
    theirs, ours = (words_of(command, places, tmp_path) for command in (spelled, plain))
    assert theirs != ours
    assert theirs[0] == ours[0]
    flags = {"run_classifier": run_classifier.Flags, "run_squad": run_squad.Flags}[ours[0]]
    assert parse(flags, theirs[1:], "bert") == parse(flags, ours[1:], "bert")


def aliases(flags: type) -> dict[str, set[str]]:
    return {name: set(f.aliases) for name, f in describe(flags).items() if f.aliases}


def test_the_table_has_all_spellings() -> None:
    shared, squad = (
        {names_in(name)[0]: set(names_in(others)) for name, others in table} for table in (SPELLINGS, SQUAD_SPELLINGS)
    )
    assert aliases(run_classifier.Flags) == aliases(run_ner.Flags) == shared
    del shared["dev_file"]
    assert aliases(run_squad.Flags) == {**shared, **squad}


def test_a_value_is_known_by_another_name() -> None:
    assert "`--optimizer=bertadam` is `--optimizer=adam`" in PAGE
    read = parse(run_classifier.Flags, ["--output_dir=x", "--optimizer=bertadam"], "bert")
    assert read.optimizer == "adam"
    with pytest.raises(InputError, match="'lamb' is not one of adam, adamw"):
        parse(run_classifier.Flags, ["--output_dir=x", "--optimizer=lamb"], "bert")


@pytest.mark.parametrize("row", ROWS)
def test_what_is_not_accepted_has_a_place(row: str) -> None:
    """Our flags are there. A flag that is only theirs is refused, not taken for another."""
    theirs, ours = (set(names_in(cell)) for cell in row.strip("|").split("|"))
    commands = (run_classifier, run_ner, run_squad, evaluate_squad)
    known: dict[str, Any] = {name: f for command in commands for name, f in describe(command.Flags).items()}
    spellings = {
        spelling for command in commands for f in describe(command.Flags).values() for spelling in (f.name, *f.aliases)
    }
    assert ours <= known.keys() | LAUNCHER
    if "accepted" in row or "the same" in row or not theirs:
        return
    for name in theirs - spellings:
        for command in (run_classifier, run_squad):
            with pytest.raises(InputError, match=f"--{name}: no such flag"):
                normalise([f"--{name}=1"], describe(command.Flags))


@pytest.mark.parametrize(("handle", "name"), [(handle.strip("`"), name.strip("`")) for handle, name in HUB])
def test_modules_of_the_hub_have_names(handle: str, name: str) -> None:
    assert find_model(name) is not None
    assert handle == f"https://tfhub.dev/google/bert_{name}/1"


def test_gluonnlps_models_have_names() -> None:
    assert find_model("bert_12_768_12_book_corpus_wiki_en_uncased") is not None
    assert find_model("bert_24_1024_16_book_corpus_wiki_en_uncased") is not None


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_no_spelling_means_two_flags(command: str) -> None:
    flags = describe(importlib.import_module(f"bertworks.commands.{command}").Flags).values()
    names = [name for f in flags for name in (f.name, *f.aliases)]
    assert len(names) == len(set(names))
