"""The flags that several commands share."""

from __future__ import annotations

import pytest

from bertworks.flag_groups import MachineFlags
from bertworks.flags import parse


@pytest.mark.parametrize(
    ("words", "device"),
    [
        ([], "auto"),
        (["--gpu"], "cuda"),
        (["--gpu", "--verbose"], "cuda"),
        (["--gpu", "0"], "cuda:0"),
        (["--gpus=3"], "cuda:3"),
        (["--gpus", "0,1"], "0,1"),
        (["--gpu=-1"], "cpu"),
        (["--cuda"], "cuda"),
        (["--cuda=false"], "cpu"),
        (["--device", "cuda:1"], "cuda:1"),
    ],
)
def test_the_device_in_others_words(words: list[str], device: str) -> None:
    assert parse(MachineFlags, words, "bert test").device == device
