"""Files and folders that we may not read or write: one line that names what is closed, by every command."""

import importlib
import os
import pkgutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bertworks
from bertworks import cli
from bertworks.data.parquet import parquet_columns
from bertworks.errors import InputError
from tests.commands.small_runs import TRAINED, VOCAB

# A user who owns nothing.
_NOBODY = 65534


@pytest.fixture
def closed() -> Iterator[Path]:
    """Give a folder with files and a folder inside that an ordinary user may not read."""
    # Such a user may not import what root has installed.
    for module in pkgutil.walk_packages(bertworks.__path__, "bertworks."):
        # Peers of the benchmark have libraries that need not be here.
        if not module.name.endswith("__main__") and not module.name.startswith("bertworks.benchmark.peers."):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("a.csv", "a.jsonl", "a.txt", "a.json", "a.parquet", "model.safetensors"):
            (folder / file).write_text("hidden")
            (folder / file).chmod(0)
        (folder / "inner").mkdir()
        (folder / "inner" / "a.txt").write_text("hidden")
        (folder / "inner").chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.setresuid(_NOBODY, _NOBODY, 0)
        try:
            yield folder
        finally:
            if is_root:
                os.setresuid(0, 0, 0)
            (folder / "inner").chmod(0o755)


COMMANDS = {
    ("run_classifier", *TRAINED, "--do_train", "--train_file={}/a.csv", "--output_dir={}/out"): "a.csv",
    ("run_classifier", *TRAINED, "--do_train", "--train_file={}/a.jsonl", "--output_dir={}/out"): "a.jsonl",
    ("run_classifier", *TRAINED, "--do_train", "--train_file={}/inner/a.txt", "--output_dir={}/out"): "inner",
    ("run_ner", *TRAINED, "--do_train", "--train_file={}/a.txt", "--output_dir={}/out"): "a.txt",
    ("run_ner", *TRAINED, "--do_train", "--train_file={}/inner", "--output_dir={}/out"): "inner",
    ("evaluate_squad", "{}/a.json", "{}/a.json"): "a.json",
    ("create_pretraining_data", "--input_file={}/a.txt", VOCAB, "--output_dir={}/out"): "a.txt",
    ("create_pretraining_data", "--input_file={}/inner/a.txt", VOCAB, "--output_dir={}/out"): "inner",
    ("fill_mask", "--model={}/model.safetensors", "--text=a [MASK]"): "model.safetensors",
    ("fill_mask", "--model={}/inner", "--text=a [MASK]"): "inner",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_may_not_be_read_is_named(
    closed: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    # Written nowhere, since an output folder of ours would be refused first.
    words = [word.replace("{}/out", f"{tempfile.gettempdir()}/never").replace("{}", str(closed)) for word in command]
    assert cli.main(words) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f" {closed / COMMANDS[command]}: " in told
    assert "Permission denied" in told


def test_parquet_that_may_not_be_read_is_not_called_damaged(closed: Path) -> None:
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read \(Permission denied\)"):
        parquet_columns(closed / "a.parquet")
