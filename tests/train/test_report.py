"""metrics.jsonl, the window, the learning curve."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bertworks.train import report
from bertworks.train.report import MetricWindow, cut_back, learning_curve


def test_cut_back_drops_later_lines_and_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = ['{"step": 0}\n', '{"step": 3}\n', '{"step": 3, "evaluation": {}}\n', '{"step": 6}\n', '{"step": 9, "lo']
    path.write_text("".join(lines))
    assert cut_back(path, 3) == lines[:3]
    assert cut_back(path, 100) == lines[:4]
    assert cut_back(tmp_path / "absent", 3) == []
    path.write_bytes("".join(lines[:2]).encode() + b"\xff\xfe" + lines[2].encode())
    assert cut_back(path, 100) == lines[:2]


def test_a_window_carries_over() -> None:
    whole, first = (MetricWindow(torch.device("cpu")) for _ in range(2))
    whole.add("loss", torch.tensor(0.1), 1)
    first.add("loss", torch.tensor(0.1), 1)
    saved = json.loads(json.dumps(first.pairs(first.stacked())))
    second = MetricWindow(torch.device("cpu"), saved)
    for window in (whole, second):
        window.add("loss", torch.tensor(0.7), 1)
    assert whole.pairs(whole.stacked()) == second.pairs(second.stacked())
    whole.clear()
    assert whole.pairs(whole.stacked()) == {}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved while the test runs."""
    figures, save = [], Figure.savefig

    def savefig(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_learning_curve(tmp_path: Path, drawn: list[Figure]) -> None:
    """Every curve has the points of metrics.jsonl, before the first evaluation and after."""
    lines = [{"step": 0, "precision": "fp32"}, *({"step": n, "loss": 1 / n, "f1": n / 9} for n in (1, 2, 3))]
    evaluations = [{"step": n, "evaluation": {"eval_loss": 0.5, "eval_accuracy": n / 9}} for n in (2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    learning_curve(tmp_path, ["accuracy", "f1"])
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in evaluations)
    path = learning_curve(tmp_path, ["accuracy", "f1"], (3, 3 / 9), {"always the commonest": 0.05})
    assert path.read_bytes().startswith(b"\x89PNG")
    bare, full = ([curves(axes) for axes in figure.axes] for figure in drawn)
    training = {"training": [(1, 1.0), (2, 0.5), (3, 1 / 3)]}, {"f1, training": [(1, 1 / 9), (2, 2 / 9), (3, 3 / 9)]}
    assert bare == [*training]
    assert full[0] == {**training[0], "held out": [(2, 0.5), (3, 0.5)]}
    assert full[1] == {
        **training[1],
        "accuracy, held out": [(2, 2 / 9), (3, 3 / 9)],
        "kept: 0.3333 at step 3": [(3, 3 / 9)],
        "always the commonest": [(0, 0.05), (1, 0.05)],  # a line from side to side
    }


def curves(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Label -> points of every curve."""
    return {line.get_label(): [*zip(*line.get_data(), strict=True)] for line in axes.get_lines()}


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
    # Only this module's clock: a server of other tests may run in this process.
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: now))
    opened = report.Report(tmp_path, 0, lambda *amount: None, {}, seconds=3.0)
    now = 110.0
    with opened.clock_stopped():
        now = 150.0
    now = 155.0
    opened.training(5, {"loss": 1.0}, 36)
    opened.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (line["seconds"], line["tokens_per_second"]) == (18.0, 2.0)
