"""Commands as several real processes: they agree, or say in one line why not."""

import shutil
from pathlib import Path

import pytest

from tests.commands.runs import FIXTURES, TINY, make_shards
from tests.together import together

GOOGLE = FIXTURES / "google_tiny"
MODEL = [
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={GOOGLE / 'bert_config.json'}",
    f"--init_checkpoint={GOOGLE / 'trained.ckpt'}",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards")


def test_what_differs_between_processes_is_one_line_and_ends_all(shards: Path, tmp_path: Path) -> None:
    """Other flags, other code would be found in the same way; then other data behind the same flags."""
    other = make_shards(tmp_path / "other", "--truncate_segments=0.5")
    command = ["run_pretraining", *TINY, "--num_train_steps=2", f"--output_dir={tmp_path / 'out'}"]
    given = f"--input_file={shards}"
    done = together(tmp_path / "flags", 2, *command, given, apart={1: ["--learning_rate=2e-3"]})
    assert [one.code for one in done] == [2, 2], done
    assert done[0].err == (
        "bert run_pretraining: the processes differ: --learning_rate is 0.001 in process 0, 0.002 in process 1; "
        "start all of them with the same flags\n"
    )
    assert done[1].err == ""
    # A folder of the same name on each machine, with other files in it.
    for rank, source in enumerate((shards, other)):
        (tmp_path / f"machine-{rank}").mkdir()
        shutil.copytree(source, tmp_path / f"machine-{rank}" / "shards")
    done = together(
        tmp_path / "data", 2, *command, "--input_file=shards", folders=[tmp_path / f"machine-{r}" for r in (0, 1)]
    )
    assert [one.code for one in done] == [2, 2], done
    assert done[0].err.startswith("bert run_pretraining: the processes differ: what --input_file names (a hash) is ")
    assert done[0].err.count("\n") == 1
    assert done[1].err == ""
