"""`bert download_data`: the list, and fetching by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.datasets import download, registry
from bertworks.datasets.schema import DataSet, RemoteFile
from tests.http_server import served


def test_the_list_names_every_data_set_and_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download_data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line for line in lines if line}
    assert {"mrpc", "mnli", "squad2.0", "xnli", "cluener", "lcqmc", "swag"} < set(table)
    assert "xnli-ar" not in table
    assert "312.8 MB" in table["mnli"]
    assert "CC BY-SA 4.0" in table["squad1.1"]
    assert "by hand" in table["lcqmc"]
    assert "unknown" in table["cluener"]


def test_data_sets_are_fetched_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(download.OFFLINE, raising=False)
    with served() as site:
        site.files = {"/a.csv": b"1", "/b.csv": b"2"}
        sets = [
            DataSet(name=name, folder=name, files=(RemoteFile(f"{site.address}/{name}.csv", name="x.csv"),), home="h")
            for name in "ab"
        ]
        monkeypatch.setattr(registry, "data_sets", lambda: tuple(sets))
        assert cli.main(["download_data", "a, B", f"--data_dir={tmp_path}"]) == 0
    assert (tmp_path / "a" / "x.csv").read_bytes() == b"1"
    assert (tmp_path / "b" / "x.csv").read_bytes() == b"2"
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "a")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("mrcp", "mrcp: no data set of this name; did you mean mrpc?"),
        ("lcqmc", "LCQMC: no address to download it from is known; ask its authors"),
        (",", "names: give at least one"),
    ],
)
def test_what_cannot_be_fetched_is_told(
    names: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["download_data", names, f"--data_dir={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith(f"bert download_data: {problem}")


def test_no_network_is_used_where_it_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(download.OFFLINE, "1")
    assert cli.main(["download_data", "cola", f"--data_dir={tmp_path}"]) == 2
    assert "not downloaded, because BERTWORKS_OFFLINE=1 is set; download it by hand" in capsys.readouterr().err


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; from bertworks import cli\n"
        "try: cli.main(['download_data', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
