"""Spans of many windows at a time: equal to plain loops, ties included."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.squad.candidates import best_span, best_spans
from tests.tasks.squad.slow_answers import best_indexes


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**32), st.integers(1, 14), st.integers(0, 5))
def test_equal_to_loops(count: int, length: int, seed: int, n_best_size: int, max_answer_length: int) -> None:
    draw = np.random.default_rng(seed)
    starts, ends = draw.choice(np.array([-1e30, -1.5, -0.0, 0.0, 1e-40, 2, 1e30], np.float32), (2, count, length))
    may_start, may_end = draw.random((2, count, length)) < 0.7
    expected = [
        (window, start, end)
        for window in range(count)
        for start in best_indexes(starts[window].tolist(), n_best_size)
        for end in best_indexes(ends[window].tolist(), n_best_size)
        if may_start[window, start] and may_end[window, end] and 0 <= end - start < max_answer_length
    ]
    spans = best_spans(starts, ends, may_start, may_end, n_best_size, max_answer_length)
    assert list(zip(*(array.tolist() for array in spans[:3]), strict=True)) == expected
    assert spans.start_logit.tolist() == [starts[window, start] for window, start, _ in expected]
    assert spans.end_logit.tolist() == [ends[window, end] for window, _, end in expected]

    groups = np.arange(count) // 2
    scores = (spans.start_logit + spans.end_logit).tolist()
    order = sorted(range(len(expected)), key=lambda i: (groups[expected[i][0]], -scores[i]))
    ordered = spans.ordered(groups)
    assert list(zip(*(array.tolist() for array in ordered[:3]), strict=True)) == [expected[i] for i in order]

    everything = best_spans(starts, ends, may_start, may_end, length, max_answer_length)
    best = best_span(starts, ends, may_start, may_end, max_answer_length)
    assert set(best.window.tolist()) == set(everything.window.tolist())
    for window, score in zip(best.window, best.start_logit + best.end_logit, strict=True):
        of_window = everything.window == window
        assert score == (everything.start_logit + everything.end_logit)[of_window].max()
