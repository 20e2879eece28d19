"""Metrics, against scikit-learn and scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bertworks.errors import InputError
from bertworks.tasks import metrics

sklearn = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")

Pair = tuple[np.ndarray, np.ndarray]


@st.composite
def classes(draw: st.DrawFn, count: int = 5) -> Pair:
    size = draw(st.integers(1, 40))
    one = arrays.arrays(np.int64, size, elements=st.integers(0, count - 1))
    return draw(one), draw(one)


@st.composite
def several(draw: st.DrawFn) -> Pair:
    shape = (draw(st.integers(1, 20)), draw(st.integers(1, 4)))
    one = arrays.arrays(np.int64, shape, elements=st.integers(0, 1))
    return draw(one), draw(one)


@st.composite
def scores(draw: st.DrawFn) -> Pair:
    size = draw(st.integers(2, 30))
    one = arrays.arrays(np.float64, size, elements=st.integers(-40, 40).map(lambda n: n / 8))
    return draw(one), draw(one)


@given(classes())
def test_classes(pair: Pair) -> None:
    labels, predictions = pair
    expected = {
        "accuracy": sklearn.accuracy_score(labels, predictions),
        "macro_f1": sklearn.f1_score(labels, predictions, average="macro", zero_division=0),
        "micro_f1": sklearn.f1_score(labels, predictions, average="micro"),
    }
    assert metrics.evaluate(expected, labels, predictions) == pytest.approx(expected, abs=1e-12)


@given(st.one_of(classes(), classes(2)))
def test_matthews(pair: Pair) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single class
        expected = sklearn.matthews_corrcoef(*pair)
    assert metrics.matthews(*pair) == pytest.approx(expected, abs=1e-12)


@given(classes(2))
def test_f1_of_the_positive_class(pair: Pair) -> None:
    assert metrics.f1(*pair) == pytest.approx(sklearn.f1_score(*pair, zero_division=0), abs=1e-12)


@given(several())
def test_several_labels_at_once(pair: Pair) -> None:
    labels, predictions = pair
    expected = {
        "exact_match": sklearn.accuracy_score(labels, predictions)
        if labels.shape[1] > 1
        else (labels == predictions).mean(),
        "macro_f1": np.mean(
            [sklearn.f1_score(one, other, zero_division=0) for one, other in zip(labels.T, predictions.T, strict=True)]
        ),
        "micro_f1": sklearn.f1_score(labels.ravel(), predictions.ravel(), zero_division=0),
    }
    assert metrics.evaluate(expected, labels, predictions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("name", "peer"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
@given(pair=scores())
def test_correlations(name: str, peer: Callable[..., Any], pair: Pair) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant scores
        expected = np.nan_to_num(peer(*pair).statistic)
    assert metrics.evaluate([name], *pair)[name] == pytest.approx(expected, abs=1e-9)


def test_what_is_undefined_is_zero() -> None:
    constant, rising = np.full(5, 0.1), np.arange(5.0)
    assert metrics.evaluate(["pearson", "spearman"], rising, constant) == {"pearson": 0.0, "spearman": 0.0}
    ones, zeros = np.ones(4, np.int64), np.zeros(4, np.int64)
    assert metrics.evaluate(["matthews", "f1"], ones, zeros) == {"matthews": 0.0, "f1": 0.0}
    assert metrics.f1(zeros, zeros) == 0.0
    assert metrics.f1(np.array([1, 2, 0]), np.array([1, 1, 2])) == pytest.approx(2 / 3)  # class 1 against the rest


@given(classes())
def test_the_confusion_matrix_has_labels_as_rows(pair: Pair) -> None:
    labels, predictions = pair
    found = metrics.confusion_matrix(labels, predictions, 6)
    assert np.array_equal(found, sklearn.confusion_matrix(labels, predictions, labels=range(6)))
    counts = metrics.per_class(labels, predictions, 6)
    expected = sklearn.precision_recall_fscore_support(labels, predictions, labels=range(6), zero_division=0)
    assert [(one.precision, one.recall, one.f1, one.actual) for one in counts] == [
        pytest.approx(row) for row in np.stack(expected, 1).tolist()
    ]
    assert metrics.total(counts).predicted == len(labels)


def test_metrics_come_in_the_order_named() -> None:
    labels = np.array([0, 1, 1])
    assert list(metrics.evaluate(["f1", "accuracy"], labels, labels)) == ["f1", "accuracy"]
    assert metrics.total([]) == (0, 0, 0)


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"'bleu': is not one of accuracy, f1, "):
        metrics.evaluate(["bleu"], np.array([1]), np.array([1]))
    with pytest.raises(InputError, match="no labelled examples"):
        metrics.evaluate(["accuracy"], np.array([], np.int64), np.array([], np.int64))
    with pytest.raises(InputError, match=r"example 1 is not a number; train with a lower --learning_rate"):
        metrics.evaluate(["pearson"], np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="labels"):
        metrics.evaluate(["accuracy"], np.array([1, 2]), np.array([1]))
