"""Rows that are left out are counted and told; many of them are told at the top."""

from __future__ import annotations

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError


def test_leaving_rows_out_is_advised_unless_something_else_helps() -> None:
    with pytest.raises(InputError, match=r"^f, line 9: wrong \(to leave out such rows: --on_bad_row=skip\)$"):
        BadRows().found("f, line 9: wrong")
    with pytest.raises(InputError, match=r"^f, line 9: wrong \(give --encoding\)$"):
        BadRows().found("f, line 9: wrong", "give --encoding")


@pytest.mark.parametrize(
    ("rows", "heading"),
    [
        (0, "2 bad rows left out:"),
        (200, "2 bad rows left out:"),
        (199, "WARNING: 2 of 199 rows (1.0%) are bad and left out:"),
        (4, "WARNING: 2 of 4 rows (50.0%) are bad and left out:"),
    ],
)
def test_more_than_a_hundredth_is_much(rows: int, heading: str) -> None:
    bad = BadRows("skip")
    bad.rows = rows
    bad.found("f, line 1: wrong")
    bad.found("f, line 2: wrong")
    assert bad.summary() == [heading, "  f, line 1: wrong", "  f, line 2: wrong"]
