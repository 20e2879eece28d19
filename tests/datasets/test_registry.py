"""Finding tasks, data sets and models by name; what their files say is tested with those who use it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bertworks.datasets import registry
from bertworks.errors import InputError


def test_every_row_is_read() -> None:
    assert len(registry.tasks()) == 36
    assert len(registry.data_sets()) == 42
    assert len(registry.models()) == 44


def test_they_are_read_once() -> None:
    assert registry.tasks() is registry.tasks()


@pytest.mark.parametrize("spelled", ["bert-base-uncased", "BERT_BASE_UNCASED", "uncased_L-12_H-768_A-12"])
def test_a_model_is_found_however_it_is_spelled(spelled: str) -> None:
    model = registry.find_model(spelled)
    assert model is not None
    assert model.name == "uncased_L-12_H-768_A-12"


def test_the_nearest_names_are_told() -> None:
    assert registry.did_you_mean(registry.models(), "bert-tinny") == "did you mean bert-tiny?"
    two = "did you mean Bert-base-zh or bert-base-cased?"
    assert registry.did_you_mean(registry.models(), "bert-base", 2) == two
    assert registry.did_you_mean(registry.models(), "???") == ""
    with pytest.raises(InputError, match=r"^nothing: no data set of this name; `bert download_data` lists them$"):
        registry.find_data_set("nothing")


def test_help_reads_none_of_them() -> None:
    code = (
        "from bertworks import cli\n"
        "for words in (['--help'], ['models', '--help'], ['download_data', '--help'], ['run_classifier', '--help']):\n"
        "    try: cli.main(words)\n"
        "    except SystemExit: pass\n"
        "from bertworks.datasets import registry\n"
        "read = (registry.tasks, registry.data_sets, registry.models)\n"
        "assert not any(table.cache_info().currsize for table in read)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
