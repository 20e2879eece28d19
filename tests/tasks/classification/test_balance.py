"""Drawing a dev set that looks like the rest, and telling how labels are spread."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.classification.balance import draw_dev_set, label_table
from bertworks.tasks.classification.rows import Row


@given(st.lists(st.sampled_from("abc"), min_size=4, max_size=300), st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_every_class_has_its_share(labels: list[str], fraction: float, seed: int) -> None:
    count = int(np.floor(len(labels) * fraction + 0.5))
    if not 0 < count < len(labels):
        with pytest.raises(InputError, match="--dev_fraction"):
            draw_dev_set(labels, fraction, seed)
        return
    drawn = draw_dev_set(labels, fraction, seed)
    assert drawn.sum() == count
    for label, total in Counter(labels).items():
        there = sum(drawn[i] for i, other in enumerate(labels) if other == label)
        assert abs(there - fraction * total) < 1 + 1e-9
    assert (draw_dev_set(labels, fraction, seed) == drawn).all()


def test_scores_are_drawn_from_low_to_high() -> None:
    scores = np.random.default_rng(0).normal(size=1000).tolist()
    drawn = draw_dev_set(scores, 0.2, 1)
    assert drawn.sum() == 200
    tenths = np.argsort(np.argsort(scores)) * 10 // 1000
    assert np.bincount(tenths[drawn]).tolist() == [20] * 10


def test_several_labels_at_once_are_drawn_by_their_combination() -> None:
    labels = [("x",), ("x", "y"), ()] * 40
    drawn = draw_dev_set(labels, 0.25, 0)
    found = Counter(label for label, dev in zip(labels, drawn, strict=True) if dev)
    assert found == {("x",): 10, ("x", "y"): 10, (): 10}


def test_which_rows_are_drawn_never_changes() -> None:
    # A frozen answer: a run that is repeated must have the same dev set.
    assert np.flatnonzero(draw_dev_set(["a", "b"] * 10, 0.2, 12345)).tolist() == [6, 7, 9, 12]


def row(label: object) -> Row:
    return Row("", "", "", None, label)  # type: ignore[arg-type]


def test_classes_are_counted() -> None:
    train = [row("spam")] * 3 + [row("ham")] * 9
    assert label_table(["ham", "spam"], train, [row("spam")]).splitlines() == [
        "label     train   share       dev   share",
        "ham           9  75.00%         0   0.00%",
        "spam          3  25.00%         1 100.00%",
    ]


def test_several_classes_of_a_row_are_all_counted() -> None:
    assert label_table(["a", "b"], [row(("a", "b")), row(("a",)), row(())], []).splitlines()[1:] == [
        "a             2  66.67%         0   0.00%",
        "b             1  33.33%         0   0.00%",
    ]


def test_many_classes_are_not_all_shown() -> None:
    assert label_table([f"c{i}" for i in range(100)], [row("c1")], []).splitlines()[-1] == "and 40 more"
    long = "two\nlines " + "x" * 1000
    assert label_table([long], [row(long)], []).splitlines()[1].startswith("two lines " + "x" * 50 + "         1 ")


def test_scores_are_summed_up() -> None:
    assert label_table([], [row(0.5), row(4.5)], []) == "train: 2 scores from 0.5 to 4.5, mean 2.5"
