"""What follows from measured turns."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bertworks.benchmark.contest import Absent, Contest, Contestant, Turn, largest_difference, unlike
from bertworks.benchmark.results import compared, entries_of
from bertworks.errors import InputError
from tests.benchmark.entries import entry, report, turns


def test_ratios_are_within_a_round() -> None:
    """A machine that is slow in a round is slow for both; the ratio does not see it."""
    ours, theirs = entry((1.0,), (10.0,)), entry((2.0,), (30.0,), name="transformers")
    found = report(ours, theirs).ratio(theirs)
    assert found is not None
    assert (found.least, found.median, found.greatest) == (2.0, 2.5, 3.0)
    assert report(ours, theirs).ratio(ours) is None


def test_ours_is_compared_in_the_same_precision_only() -> None:
    ours, theirs = entry((1.0,)), entry((2.0,), name="transformers", precision="bf16")
    assert report(ours, theirs).ratio(theirs) is None
    other = entry((4.0,), precision="bf16")
    assert report(ours, other, theirs).ratio(theirs).median == 0.5  # type: ignore[union-attr]


def test_ours_of_another_contest_does_not_count() -> None:
    theirs = entry((2.0,), name="transformers", contest="other")
    assert report(entry((1.0,)), theirs).ratio(theirs) is None


def test_figures_come_from_the_median_of_the_rounds() -> None:
    one = entry((1.0, 3.0), (4.0, 4.0), (6.0, 8.0), peak=5e8)
    assert one.rounds == [2.0, 4.0, 7.0]
    assert one.seconds == 4.0
    assert one.share == pytest.approx(1e9 / 4.0 / 5e8)
    assert one.percentile(100) == 8.0
    assert one.price(3.6) == pytest.approx(3.6 / 3600 * 4.0 / 4096 * 1e6)
    assert entry((1.0,)).share is None


def test_json_has_the_times_and_what_follows() -> None:
    found = json.loads(json.dumps(report(entry((2.0,)), entry((4.0,), name="transformers")).to_json()))
    first, second = found["entries"]
    assert first["tokens_per_second"] == 2048.0
    assert second["sequences_per_second"] == 8.0
    assert second["times_as_fast_is_ours"] == {"median": 2.0, "least": 2.0, "greatest": 2.0}
    assert second["turns"][0]["seconds"] == [4.0]
    assert found["machine"]["processor"] == "A Processor"


def test_json_has_no_infinity() -> None:
    found = json.dumps(
        report(entry((2.0,)), entry((4.0,), name="peer", difference=math.inf)).to_json(), allow_nan=False
    )
    assert [one["difference"] for one in json.loads(found)["entries"]] == [None, "other answers"]


def test_differences_of_answers() -> None:
    ours = np.array([1.0, 2.0])
    assert largest_difference(np.array([1.0, 2.5]), ours) == 0.5
    assert largest_difference(np.array([1.0]), ours) == math.inf
    assert largest_difference(np.array([1.0, np.nan]), ours) == math.inf
    assert unlike(np.array([1.0, 9.0]), ours) == 1
    assert unlike(np.array([1.0]), ours) == math.inf


def contestant(name: str, precision: str, answer: float) -> Contestant:
    return Contestant(
        name=name,
        version="1",
        settings="",
        precision=precision,
        turn=lambda passes: Turn(seconds=(1.0,) * passes),
        answers=lambda: np.array([answer]),
    )


def test_answers_are_compared_with_ours_in_the_same_precision_or_in_fp32() -> None:
    absent = Absent(name="openvino", settings="best", precision="fp32", reason="openvino is not there")
    started = [
        contestant("bertworks", "fp32", 1.0),
        contestant("bertworks", "bf16", 2.0),
        contestant("transformers", "bf16", 2.25),
        absent,
        contestant("onnxruntime", "int8", 1.5),
    ]
    assert [difference for _, difference in compared(started)] == [None, None, 0.25, None, 0.5]


def test_a_peer_without_answers_is_absent() -> None:
    def fail() -> np.ndarray:
        raise InputError("it has no such layer")

    ours, theirs = contestant("bertworks", "fp32", 1.0), contestant("transformers", "fp32", 1.0)
    (_, _), (failed, difference) = compared([ours, replace(theirs, answers=fail)])
    assert isinstance(failed, Absent)
    assert (failed.name, failed.reason, difference) == ("transformers", "it has no such layer", None)
    with pytest.raises(InputError):
        compared([replace(ours, answers=fail)])


def test_a_peer_that_failed_in_its_turns_stands_in_the_table() -> None:
    ours, theirs = contestant("bertworks", "fp32", 1.0), contestant("transformers", "fp32", 1.0)
    failed = theirs.absent(InputError("out of memory"))
    first, second = entries_of(Contest(name="c"), [(ours, None), (theirs, 0.0)], [turns((1.0,)), failed])
    assert (first.missing, second.missing, second.turns) == ("", "out of memory", ())


def test_a_library_that_is_missing_stands_in_the_table_once() -> None:
    absent = [Absent(name="openvino", settings=s, precision="fp32", reason="not there") for s in ("best", "defaults")]
    started = [contestant("bertworks", "fp32", 1.0), *absent]
    contest = Contest(name="c", sequences=2, tokens=8, operations=3.0, model="tiny", longest=4)
    entries = entries_of(contest, [(one, None) for one in started], [turns((1.0,))])
    assert [(e.name, e.missing, len(e.turns)) for e in entries] == [
        ("bertworks", "", 1),
        ("openvino", "not there", 0),
    ]
    assert (entries[0].tokens, entries[0].sequences, entries[0].model, entries[0].longest) == (8, 2, "tiny", 4)
