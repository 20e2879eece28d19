"""Two runs in one folder are refused, also from machines whose locks do not reach each other."""

import json
import threading
from pathlib import Path

import pytest

from bertworks.errors import InputError
from bertworks.train import lock


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr(lock, "PATIENCE", 2.0)


def test_a_second_process_of_this_machine_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    with (
        lock.claimed(tmp_path),
        pytest.raises(InputError, match="another process is training there"),
        lock.claimed(tmp_path),
    ):
        pass
    with lock.claimed(tmp_path):  # free again
        pass


def of_another_machine(path: Path, ended: threading.Event) -> None:
    """Write what a process there writes, without the system's lock, which does not reach this machine."""
    number = 0
    while not ended.is_set():
        with path.open("r+") as stream:
            stream.write(json.dumps({"host": "north", "pid": 7, "beat": number}).ljust(100))
        number += 1
        ended.wait(0.05)


def test_a_process_of_another_machine_is_seen_by_its_signs_of_life(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "lock").write_text(json.dumps({"host": "north", "pid": 7, "beat": -1}))
    ended = threading.Event()
    other = threading.Thread(target=of_another_machine, args=(tmp_path / "checkpoints" / "lock", ended))
    other.start()
    try:
        refused = pytest.raises(InputError, match=r"another process is training there \(pid 7 on north\)")
        with refused, lock.claimed(tmp_path, "south"):
            pass
    finally:
        ended.set()
        other.join()
    # The other machine went down without a word: its file stays, and no longer changes.
    with lock.claimed(tmp_path, "south"):
        pass


def test_a_folder_without_a_word_in_its_lock_is_free(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for content in ("", "not JSON", "[1]"):
        (tmp_path / "checkpoints" / "lock").write_text(content)
        with lock.claimed(tmp_path):
            pass
