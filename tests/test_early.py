"""What can be known without torch is told before torch is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
VOCAB = f"--vocab_file={FIXTURES / 'vocab.txt'}"

# Refused by their flags alone, and the end of the message.
COMMANDS = [
    (
        "run_classifier --train_file=gone.csv --dev_fraction=0.1 --model={model} --output_dir=out --do_train",
        "--train_file=gone.csv: no such file",
    ),
    (
        "run_classifier --task_name=MRPC --data_dir=. --model={model} --output_dir=out --do_train",
        "train.tsv",
    ),
    (
        "run_classifier --train_file={text} --model={model} --output_dir=out",
        "give at least one of --do_train",
    ),
    (
        "run_classifier --train_file={text} --output_dir=out --do_train",
        "--model: must be given",
    ),
    (
        "run_ner --train_file={text} --model=nonsens --output_dir=out --do_train",
        "no model of that name",
    ),
    (
        "run_ner --train_file={text} --model={model} --vocab_file=gone.txt --output_dir=out --do_train",
        "--vocab_file=gone.txt: no such file",
    ),
    (
        "run_squad --train_file=gone.json --model={model} --output_dir=out --do_train",
        "--train_file=gone.json: no such file",
    ),
    (
        "run_multiple_choice --data_dir=. --model={model} --output_dir=out --do_train",
        "SWAG",
    ),
    (
        "run_pretraining --input_file=gone --model={model} --output_dir=out --do_train",
        "no file matches gone",
    ),
    (
        "run_pretraining --input_file={text} --model=nonsens --output_dir=out --do_train",
        "no model of that name",
    ),
    (
        "classify text --model=gone/",
        "no model of that name",
    ),
    (
        "tag --input_file=gone.txt --model={model}",
        "no file matches gone.txt",
    ),
    (
        "embed text --model={model} --bert_config_file=gone.json",
        "--bert_config_file=gone.json: no such file",
    ),
    (
        "fill_mask text",
        "--model: must be given",
    ),
    (
        "answer who? --context=a --init_checkpoint=gone.ckpt",
        "no model of that name",
    ),
    (
        "extract_features --input_file={text} --output_file=out.npy --model=a/b.ckpt --pooling=cls",
        "no checkpoint is there",
    ),
    (
        "convert_checkpoint gone there",
        "no model of that name",
    ),
]


@pytest.mark.parametrize(("command", "error"), COMMANDS)
def test_refused_without_torch(command: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("text,label\na,b\n")
    words = command.format(model=FIXTURES / "google_tiny" / "trained.ckpt", text=tmp_path / "text.csv").split()
    code = (
        "import sys; from bertworks.cli import main; code = main(sys.argv[1:]); "
        "print(code, [name for name in ('torch', 'matplotlib') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path, check=True)
    (line,) = ran.stderr.splitlines()
    assert error in line
    assert ran.stdout.strip() == "2 []"
    assert not (tmp_path / "out").exists()
