"""The loop that measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bertworks.benchmark.contest import Absent, Contestant, Turn, take_turns
from bertworks.errors import InputError


def contestant(name: str, log: list[tuple[str, int]]) -> Contestant:
    def turn(passes: int) -> Turn:
        log.append((name, passes))
        return Turn(seconds=(1.0,) * passes)

    return Contestant(name=name, version="", settings="", precision="fp32", turn=turn, answers=lambda: np.zeros(1))


def of_all(found: list[list[Turn] | Absent]) -> list[list[Turn]]:
    return [one for one in found if not isinstance(one, Absent)]


def test_all_work_in_every_round_and_each_round_begins_with_another() -> None:
    log: list[tuple[str, int]] = []
    advanced: list[None] = []
    three = [contestant(name, log) for name in "abc"]
    turns = of_all(take_turns(three, 3, 2, advance=lambda: advanced.append(None)))
    assert [len(one) for one in turns] == [3, 3, 3]
    assert all(turn.seconds == (1.0, 1.0) for one in turns for turn in one)
    rounds = [log[first : first + 3] for first in range(0, len(log), 3)]
    assert [{name for name, _ in one} for one in rounds] == [{"a", "b", "c"}] * 4
    assert [one[0][0] for one in rounds] == ["c", "a", "b", "c"]
    assert len(advanced) == len(log) == 12


def test_the_first_round_is_short_and_not_kept() -> None:
    log: list[tuple[str, int]] = []
    turns = of_all(take_turns([contestant("a", log)], 1, 5))
    assert log == [("a", 1), ("a", 5)]
    assert len(turns[0]) == 1


def test_without_contestants_there_is_nothing_to_do() -> None:
    assert take_turns([], 2, 1) == []


def test_a_peer_that_fails_takes_no_more_turns() -> None:
    log: list[tuple[str, int]] = []

    def fail(passes: int) -> Turn:
        log.append(("peer", passes))
        if len(log) > 3:
            raise InputError("out of memory")
        return Turn(seconds=(1.0,))

    ours = contestant("bertworks", log)
    peer = replace(contestant("peer", log), turn=fail)
    found, failed = take_turns([ours, peer], 4, 1)
    assert len(of_all([found])[0]) == 4
    assert isinstance(failed, Absent)
    assert (failed.name, failed.reason) == ("peer", "out of memory")
    assert sum(name == "peer" for name, _ in log) == 2
    with pytest.raises(InputError):
        take_turns([replace(ours, turn=fail)], 2, 1)
