"""Twenty steps of a tiny run, frozen. A refactor matches them; a change of numbers moves them and says why.

python -m tests.commands.test_loss_trace      writes the trace anew
"""

import json
import tempfile
from pathlib import Path

import pytest

from tests.commands.runs import FIXTURES, TINY, make_shards, metrics, run

TRACE = FIXTURES / "loss_trace.json"


def trace(folder: Path) -> list[float]:
    """Losses of 20 steps in fp32, with dropout, in micro-batches of at most 200 tokens."""
    shards = make_shards(folder / "shards")
    words = (f"--input_file={shards}", f"--output_dir={folder / 'out'}", "--precision=fp32", "--token_budget=200")
    assert run("run_pretraining", *TINY, *words, "--device=cpu", "--num_train_steps=20") == 0
    return [line["loss"] for line in metrics(folder / "out") if "loss" in line]


def test_twenty_steps_are_those_of_before(tmp_path: Path) -> None:
    """To the last digit on one kind of machine; the tolerance is for the rounding of other processors."""
    assert trace(tmp_path) == pytest.approx(json.loads(TRACE.read_text()), rel=1e-5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        TRACE.write_text(json.dumps(trace(Path(folder)), indent=1) + "\n")
