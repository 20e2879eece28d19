"""metrics.jsonl, the window, pictures."""

import json
from pathlib import Path

import pytest
import torch

from bertworks.train import report
from bertworks.train.pictures import learning_curve
from bertworks.train.report import Window, cut_back


def test_cut_back_drops_later_lines_and_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = ['{"step": 0}\n', '{"step": 3}\n', '{"step": 3, "evaluation": {}}\n', '{"step": 6}\n', '{"step": 9, "lo']
    path.write_text("".join(lines))
    assert cut_back(path, 3) == lines[:3]
    assert cut_back(path, 100) == lines[:4]
    assert cut_back(tmp_path / "absent", 3) == []


def test_a_window_carries_over() -> None:
    whole, first = (Window(torch.device("cpu")) for _ in range(2))
    whole.add("loss", torch.tensor(0.1), 1)
    first.add("loss", torch.tensor(0.1), 1)
    saved = json.loads(json.dumps(first.pairs(first.stacked())))
    second = Window(torch.device("cpu"), saved)
    for window in (whole, second):
        window.add("loss", torch.tensor(0.7), 1)
    assert whole.pairs(whole.stacked()) == second.pairs(second.stacked())
    whole.clear()
    assert whole.pairs(whole.stacked()) == {}


def test_learning_curve_is_a_picture(tmp_path: Path) -> None:
    lines = [
        {"step": 0, "precision": "fp32"},
        {"step": 0, "evaluation": {"loss": 9.0, "masked_lm_accuracy": 0.0}},
        {"step": 10, "loss": 8.0, "masked_lm_accuracy": 0.1},
        {"step": 20, "loss": 7.0, "masked_lm_accuracy": 0.2},
        {"step": 20, "evaluation": {"loss": 7.5, "masked_lm_accuracy": 0.15}},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = learning_curve(tmp_path, {"baseline": 0.05})
    assert path.read_bytes().startswith(b"\x89PNG")


def test_tensorboard_events_are_written_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    opened = report.Report(tmp_path, 0, lambda *amount: None, {})
    opened.training(1, {"loss": 1.0}, 10)
    opened.close()
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_the_extra_is_optional(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: None)
    opened = report.Report(tmp_path, 0, lambda *amount: None, {})
    opened.evaluation(1, {"loss": 1.0})
    opened.close()
    assert not (tmp_path / "tensorboard").exists()


def test_evaluating_and_saving_take_no_training_time(tmp_path: Path, monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(report.time, "monotonic", lambda: now)
    opened = report.Report(tmp_path, 0, lambda *amount: None, {}, seconds=3.0)
    now = 110.0
    with opened.clock_stopped():
        now = 150.0
    now = 155.0
    opened.training(5, {"loss": 1.0}, 36)
    opened.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (line["seconds"], line["tokens_per_second"]) == (18.0, 2.0)
