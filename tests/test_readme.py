"""The commands of README.md run as they stand there, in order, in one folder with small files and models."""

from __future__ import annotations

import importlib
import io
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import bertworks
from bertworks import cli
from bertworks.flags import parse
from tests.commands.runs import FIXTURES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", "").splitlines()]
(PYTHON,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# What needs a network, a port or a second process has tests of its own; here only its flags are read.
ONLY_READ = ("download_data", "serve", "export")
# What makes a command short, or fit the tiny model; all else is as written.
ALSO = {
    "run_classifier": ("--num_train_epochs=1", "--max_seq_length=32"),
    "run_ner": ("--num_train_epochs=1", "--max_seq_length=64"),
    "run_multiple_choice": ("--train_batch_size=1", "--max_seq_length=32"),
    "run_squad": ("--num_train_epochs=1", "--max_seq_length=64", "--doc_stride=16", "--max_query_length=16"),
    "run_pretraining": ("--num_train_steps=2", "--num_warmup_steps=1", "--train_batch_size=2"),
    "learn_vocab": ("--vocab_size=400",),
    "create_pretraining_data": ("--num_workers=1",),
}
LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line and line.isascii()][:40]


def _rows(path: Path, records: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a person who has everything that README.md names; the models are a tiny one."""
    folder = tmp_path_factory.mktemp("readme")
    tiny = FIXTURES / "google_tiny"
    options = {"vocab_file": FIXTURES / "vocab.txt", "bert_config_file": tiny / "bert_config.json"}
    model = bertworks.load(tiny / "trained.ckpt", do_lower_case=True, **options)
    for name in ("bert-mini", "bert-base-uncased", "bert-base-cased", "bert-base-chinese"):
        model.save(folder / name)
    texts = [line.replace('"', "") for line in LINES]
    (folder / "mails.csv").write_text(
        "text,team\n" + "".join(f'"{t}",{("lifts", "calls")[i % 2]}\n' for i, t in enumerate(texts))
    )
    shutil.copy(folder / "mails.csv", folder / "new.csv")
    (folder / "stars.csv").write_text("text,stars\n" + "".join(f'"{t}",{len(t) + 0.5}\n' for t in texts))
    _rows(folder / "topics.jsonl", [{"text": t, "topics": ["art", "trade"][: 1 + i % 2]} for i, t in enumerate(texts)])
    _rows(folder / "spans.jsonl", [{"text": "Marta sails to Porto.", "label": [[15, 20, "place"]]}] * 40)
    for name in ("train", "dev"):
        (folder / f"{name}.conll").write_text("Marta B-name\nsails O\nto O\nPorto B-place\n\n" * 40)
    (folder / "data" / "SQuAD").mkdir(parents=True)
    for name in ("train", "dev"):
        shutil.copy(FIXTURES / "squad-v1.json", folder / "data" / "SQuAD" / f"{name}-v1.1.json")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("It was written by Mary.")
    (folder / "notes.txt").write_text("Marta Olsen sails to Porto.\n")
    (folder / "text").mkdir()
    shutil.copy(FIXTURES / "corpus.txt", folder / "text")
    (folder / "glue").mkdir()
    shutil.copytree(FIXTURES / "mrpc", folder / "glue" / "MRPC")
    (folder / "CLUENER").mkdir()
    for name in ("train", "dev"):
        (folder / "CLUENER" / f"{name}.json").write_text((FIXTURES / "tasks/CLUENER/train.json").read_text() * 40)
    shutil.copytree(FIXTURES / "tasks" / "SWAG", folder / "swag")
    return folder


def test_it_runs_as_written(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    for line in COMMANDS:
        before, _, piped = line.rpartition(" | ")
        words = shlex.split(piped, comments=True)
        if before:
            text = Path(before.removeprefix("cat ")).read_bytes()
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
        if words[0] == "torchrun":
            words = words[words.index("bertworks") :]
        name = words[1]
        if name in ONLY_READ:
            parse(importlib.import_module(f"bertworks.commands.{name}").Flags, words[2:], name)
            continue
        words = [word.replace("--size=base", "--size=2/32") for word in words[1:]]
        code = cli.main([*words, *ALSO.get(name, ())])
        assert code == 0, f"{line}\n{capsys.readouterr().err}"
    # The page's Python goes on with the models that its commands have trained.
    exec(compile(PYTHON, "README.md", "exec"), {})
    for name in ("mails/dev_predictions.tsv", "topics/reliability.png", "ner/dev_errors.tsv", "vectors.npy"):
        assert Path(name).stat().st_size > 0, name


def test_its_links_lead_somewhere() -> None:
    root = Path(__file__).parents[1]
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (root / link).exists()] == []
