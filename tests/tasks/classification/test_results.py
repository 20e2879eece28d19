"""What an evaluation shows: results by class, baselines, confusions."""

from __future__ import annotations

import numpy as np

from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.results import report


def test_classes_baseline_and_confusions() -> None:
    problem = Problem(name="mine", kind="single", labels=("a", "b", "c"), metrics=())
    labels, found = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1])
    lines = report(problem, labels, np.eye(3, dtype=np.float32)[found]).splitlines()
    assert lines[1].split() == ["a", "100.00%", "66.67%", "80.00%", "3", "2", "2"]
    assert lines[3].split() == ["c", "0.00%", "0.00%", "0.00%", "1", "0", "0"]
    assert lines[4].split() == ["all", "66.67%", "66.67%", "66.67%", "6", "6", "4"]
    assert lines[5:] == [
        "always a: accuracy 0.5000",
        "most often taken for another: a as b 1 times, c as b 1 times",
    ]


def test_several_at_once_have_no_baseline() -> None:
    problem = Problem(name="mine", kind="multi", labels=("a", "b"), metrics=())
    lines = report(
        problem, np.array([[1, 0], [1, 1]], np.float32), np.array([[1, 1], [1, -1]], np.float32)
    ).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["a", "b", "all"]
    assert lines[2].split()[1:4] == ["0.00%", "0.00%", "0.00%"]


def test_many_classes_are_not_all_shown() -> None:
    problem = Problem(name="mine", kind="single", labels=tuple(map(str, range(100))), metrics=())
    lines = report(problem, np.arange(100), np.eye(100, dtype=np.float32)).splitlines()
    assert "and 40 more" in lines
    assert lines[-1] == "always 0: accuracy 0.0100"


def test_numbers() -> None:
    problem = Problem(name="mine", kind="regression", labels=(), metrics=())
    shown = report(problem, np.array([1, 3], np.float32), np.array([[1.5], [3.5]], np.float32))
    assert shown == "mean absolute error 0.5; always the mean, 2: 1"
