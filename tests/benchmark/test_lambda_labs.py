"""The files of Lambda Labs' tools, read by the rules of its parser."""

from __future__ import annotations

import csv
import io
import re
from contextlib import AbstractContextManager

import numpy as np
import pytest

from bertworks.benchmark.contest import Absent, Contestant, Turn
from bertworks.benchmark.lambda_labs import largest, pages, started_and_fits
from bertworks.benchmark.processes import NoMemoryError
from bertworks.errors import InputError
from tests.benchmark.entries import MACHINE, entry, report


def throughput(log: str) -> float:
    """Read a log as `gather_throughput` of compile_results_pytorch_v2.py does: the last match, its sixth last word."""
    found = 0.0
    for line in log.splitlines(keepends=True):
        for match in re.finditer("^.*training_sequences_per_second :.*$", line):
            found = float(match.group().split(" ")[-6])
    return found


def made() -> dict[str, str]:
    """Two repeats of two steps, of ours and of a peer, of Base and Large, in two precisions."""
    entries = [
        entry((0.5, 1.5), (1.0, 3.0), name=name, model=model, precision=precision, settings="its best: sdpa")
        for model in ("base", "large")
        for precision in ("fp32", "bf16")
        for name in ("bertworks", "transformers")
    ]
    return pages(report(*entries, kind="finetune"), "NVIDIA H200")


def test_its_parser_finds_the_throughput_of_every_repeat() -> None:
    logs = {path: text for path, text in made().items() if path.endswith(".txt")}
    assert len(logs) == 2 * 2 * 2 * 2
    for model in ("base", "large"):
        for precision in ("FP32", "FP16"):
            folder = f"results_v2/bertworks_1x_NVIDIA-H200_v2/PyTorch_bert_{model}_squad_{precision}/"
            found = sorted(throughput(text) for path, text in logs.items() if path.startswith(folder))
            assert found == [2 * 32 / 4.0, 2 * 32 / 2.0]
    assert all(text.splitlines()[-1] == "DONE!" for text in logs.values())


def test_batch_sizes_are_where_its_parser_looks() -> None:
    files = {path: text for path, text in made().items() if path.endswith("benchmark.para")}
    assert len(files) == 8
    assert {int(text.splitlines()[0].split(" ")[1]) for text in files.values()} == {32}


def test_the_tables_of_its_charts() -> None:
    files = made()
    for kind in ("fp32", "fp16"):
        rows = list(csv.reader(io.StringIO(files[f"pytorch-train-throughput-v2-{kind}.csv"])))
        assert rows[0] == [
            "", "ssd", "bert_base_squad", "bert_large_squad", "gnmt", "resnet50", "tacotron2", "waveglow",
        ]  # fmt: skip
        assert [row[0] for row in rows[1:]] == [
            "bertworks_1x_NVIDIA-H200_v2",
            "transformers-its-best_1x_NVIDIA-H200_v2",
        ]
        assert rows[1][1:] == ["0", "24", "24", "0", "0", "0", "0"]
        sizes = list(csv.reader(io.StringIO(files[f"pytorch-train-bs-{kind}.csv"])))
        assert sizes[1][2:4] == ["32", "32"]


def test_logs_have_the_form_of_dllogger() -> None:
    log = next(text for path, text in made().items() if path.endswith(".txt"))
    for line in log.splitlines()[:-1]:
        assert re.match(r"DLL \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} - ", line)
    assert "PARAMETER train_batch_size : 32 " in log
    assert "Training Epoch: 0 Training Iteration: 2  step_loss : 5.9  learning_rate" in log
    assert MACHINE.date[:10] in log


@pytest.mark.parametrize("most", [1, 7, 8, 9, 100, 592, 1000])
def test_the_largest_batch_is_found_to_a_sixteenth(most: int) -> None:
    tried: list[int] = []

    def fits(count: int) -> bool:
        tried.append(count)
        return count <= most

    found = largest(fits)
    assert found <= most
    assert most - found <= max(1, found // 16)
    assert len(tried) < 20


def test_not_even_one_fits() -> None:
    with pytest.raises(InputError, match="not even one sequence fits"):
        largest(lambda count: False)


class Trial(AbstractContextManager[Contestant | Absent]):
    """A contestant that starts, or says why not."""

    def __init__(self, error: str, in_turn: bool) -> None:
        self.error, self.in_turn = error, in_turn

    def __enter__(self) -> Contestant | Absent:
        if self.error and not self.in_turn:
            return Absent(name="bertworks", settings="", precision="fp32", reason=self.error)

        def turn(passes: int) -> Turn:
            if self.error:
                raise NoMemoryError(self.error)
            return Turn(seconds=(1.0,))

        return Contestant(
            name="bertworks", version="", settings="", precision="fp32", turn=turn, answers=lambda: np.zeros(1)
        )

    def __exit__(self, *_: object) -> None:
        return None


def test_a_batch_that_is_too_large_is_told_from_what_fails() -> None:
    assert started_and_fits(Trial("", False))
    assert not started_and_fits(Trial("torch.OutOfMemoryError: CUDA out of memory", False))
    assert not started_and_fits(Trial("torch.OutOfMemoryError: CUDA out of memory", True))
    with pytest.raises(InputError, match="no such file"):
        started_and_fits(Trial("no such file", False))
