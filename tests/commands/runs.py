"""Small real runs of commands, as functions and as processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bertworks import cli

FIXTURES = Path(__file__).parents[1] / "fixtures"

# Fields of metrics.jsonl that measure time. All other fields are equal, to the last digit, in a resumed run.
TIME_FIELDS = ("seconds", "tokens_per_second")

# A tiny model on the small corpus; everything else is added by the test.
TINY = (
    "--size=2/32",
    "--do_train",
    "--max_seq_length=64",
    "--max_predictions_per_seq=10",
    "--train_batch_size=8",
    "--learning_rate=1e-3",
    "--num_warmup_steps=5",
    "--log_every_steps=1",
)


def make_shards(folder: Path, *words: str) -> Path:
    """Shards of the small corpus."""
    command = (
        "create_pretraining_data",
        f"--input_file={FIXTURES / 'corpus.txt'}",
        f"--vocab_file={FIXTURES / 'vocab.txt'}",
    )
    assert cli.main([*command, f"--output_dir={folder}", *words]) == 0
    return folder


def run(*words: str) -> int:
    """`bert WORDS` in this process."""
    return cli.main(words)


def start(log: Path, *words: str) -> subprocess.Popen:
    """`bert WORDS` as a process of its own; what it prints goes to `log`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("w") as stream:
        command = [sys.executable, "-m", "bertworks", *words]
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)


def metrics(folder: Path) -> list[dict]:
    """metrics.jsonl without its time fields, nor a last line that a kill cut short."""
    whole = [line for line in (folder / "metrics.jsonl").read_text().splitlines(keepends=True) if line.endswith("\n")]
    found = [json.loads(line) for line in whole]
    return [{name: value for name, value in line.items() if name not in TIME_FIELDS} for line in found]
