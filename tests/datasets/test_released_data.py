"""Bringing data sets here, from a server on this machine that has archives of our own."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bertworks.datasets import download, registry
from bertworks.datasets.registry import find_data_set, find_task
from bertworks.datasets.released_data import fetch, make_mrpc
from bertworks.datasets.schema import DataSet, RemoteFile
from bertworks.errors import InputError
from bertworks.names import plain_name
from bertworks.tasks import known_tasks
from tests.http_server import Site, served

FIXTURES = Path(__file__).parents[1] / "fixtures" / "tasks"
CONTENT = {"T/train.tsv": b"sentence\tlabel\nfine\t1\n", "T/dev.tsv": b"sentence\tlabel\nbad\t0\n", "T/other.txt": b"x"}
MEMBERS = ("T/train.tsv", "T/dev.tsv")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in (download.OFFLINE, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with served() as site:
        yield site


def zipped(content: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(content: Mapping[str, bytes], **links: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def offered(site: Site, archive: bytes, name: str = "T.zip", **more: Any) -> DataSet:
    site.files[f"/{name}"] = archive
    remote = RemoteFile(f"{site.address}/{name}", unpack=MEMBERS, **more)
    return DataSet(name="T", folder="T", files=(remote,), home="https://example.org/")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["T.zip", "T.tgz"])
def test_the_known_files_of_an_archive_are_unpacked(site: Site, tmp_path: Path, name: str) -> None:
    content = {"__MACOSX/T/train.tsv": b"?", **CONTENT}
    archive = zipped(content) if name == "T.zip" else tarred(content)
    checksum = f"sha256:{hashlib.sha256(archive).hexdigest()}"
    data = offered(site, archive, name, size=len(archive), checksum=checksum)
    assert fetch(data, tmp_path) == tmp_path / "T"
    assert files(tmp_path / "T") == {"train.tsv": CONTENT["T/train.tsv"], "dev.tsv": CONTENT["T/dev.tsv"]}
    # What is there is not fetched again.
    fetch(data, tmp_path)
    assert len(site.requests) == 1
    (tmp_path / "T" / "dev.tsv").unlink()
    fetch(data, tmp_path)
    assert len(files(tmp_path / "T")) == 2


def test_a_file_that_is_no_archive_is_kept_under_its_name(site: Site, tmp_path: Path) -> None:
    site.files["/elsewhere.csv"] = b"a,b\n"
    data = DataSet(
        name="T", folder="T", files=(RemoteFile(f"{site.address}/elsewhere.csv", name="train.csv"),), home="h"
    )
    assert files(fetch(data, tmp_path)) == {"train.csv": b"a,b\n"}


def test_a_member_may_go_into_a_folder_of_its_own(site: Site, tmp_path: Path) -> None:
    site.files["/a.zip"] = zipped({"X/multinli.train.de.tsv": b"x"})
    remote = RemoteFile(f"{site.address}/a.zip", unpack=("multinli.train.de.tsv",), folder="multinli")
    folder = fetch(DataSet(name="T", folder="T", files=(remote,), home="h"), tmp_path)
    assert files(folder) == {"multinli/multinli.train.de.tsv": b"x"}


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (b"<html>not found</html>", "not the archive that was expected"),
        (zipped({"T/train.tsv": b"x"}), "holds no T/dev.tsv"),
        (zipped({**CONTENT, "again/T/dev.tsv": b"y"}), "holds T/dev.tsv twice"),
        (zipped({**CONTENT, "T/train.tsv": bytes(1 << 21)}), "unpacks to more than 64 times its size"),
        (tarred(CONTENT)[:-30], "not the archive that was expected"),
        (tarred({"T/train.tsv": b"x"}, **{"T/dev.tsv": "/etc/passwd"}), "holds no T/dev.tsv"),
        (gzip.compress(b"not a tar", mtime=0), "not the archive that was expected"),
    ],
)
def test_a_wrong_archive_is_unpacked_not_even_in_part(site: Site, tmp_path: Path, archive: bytes, problem: str) -> None:
    with pytest.raises(InputError) as error:
        fetch(offered(site, archive), tmp_path)
    assert problem in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "T" / "T.zip"))
    assert "\n" not in str(error.value)
    assert list(files(tmp_path / "T")) == ["T.zip"]


def test_a_damaged_archive_is_told(site: Site, tmp_path: Path) -> None:
    archive = bytearray(zipped({**CONTENT, "T/dev.tsv": bytes(range(256)) * 20}))
    at = archive.index(b"T/dev.tsv") + 40
    archive[at : at + 20] = bytes(20)
    with pytest.raises(InputError, match="not the archive that was expected"):
        fetch(offered(site, bytes(archive)), tmp_path)
    assert list(files(tmp_path / "T")) == ["T.zip"]


def test_names_in_an_archive_decide_nothing(site: Site, tmp_path: Path) -> None:
    archive = zipped({"../../T/train.tsv": b"up", "/T/dev.tsv": b"root"})
    fetch(offered(site, archive), tmp_path / "below" / "here")
    assert files(tmp_path) == {"below/here/T/train.tsv": b"up", "below/here/T/dev.tsv": b"root"}


def test_other_bytes_than_expected_are_not_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wrong bytes came .*; download it by hand and put it at .*T\.zip"):
        fetch(offered(site, zipped(CONTENT), checksum="sha256:00"), tmp_path)
    assert not files(tmp_path)


def test_an_archive_that_was_put_there_by_hand_is_used(site: Site, tmp_path: Path) -> None:
    data = offered(site, b"")
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "T.zip").write_bytes(zipped(CONTENT))
    assert len(files(fetch(data, tmp_path))) == 2
    assert not site.requests


def test_what_cannot_be_fetched_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"LCQMC: no address .* is known; ask its authors for it, and put .*LCQMC \("):
        fetch(find_data_set("lcqmc"), tmp_path)


# -------------------------------------------------------------------------------------------------------------- MRPC
HEADER = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String"


def mrpc(folder: Path, **changes: str) -> Path:
    folder.mkdir(exist_ok=True)
    content = {
        "msr_paraphrase_train.txt": (
            f'{HEADER}\r\n1\t1\t2\tThe "mill\tA mill\x85\r\n0\t3\t4\tRain\u2028falls\tSnow \r\n'
        ),
        "msr_paraphrase_test.txt": f"{HEADER}\r\n1\t5\t6\tOne\tTwo\r\n0\t7\t8\tThree\tFour\r\n",
        "dev_ids.tsv": "3\t4\n",
        **changes,
    }
    for name, text in content.items():
        (folder / name).write_bytes(text.encode())
    return folder


def test_mrpc_is_made_of_its_files_as_glue_makes_it(tmp_path: Path) -> None:
    make_mrpc(mrpc(tmp_path / "MRPC"))
    made = files(tmp_path / "MRPC")
    assert made["train.tsv"].decode() == f'{HEADER}\n1\t1\t2\tThe "mill\tA mill\n'
    assert made["dev.tsv"].decode() == f"{HEADER}\n0\t3\t4\tRain\u2028falls\tSnow\n"
    assert (
        made["test.tsv"].decode()
        == "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t6\tOne\tTwo\n1\t7\t8\tThree\tFour\n"
    )
    assert [row.label for row in known_tasks.rows(find_task("mrpc"), tmp_path, "dev")] == ["0"]


def test_mrpc_is_fetched_and_made(site: Site, tmp_path: Path) -> None:
    there = files(mrpc(tmp_path / "there"))
    site.files = {f"/{name}": content for name, content in there.items()}
    remotes = tuple(RemoteFile(f"{site.address}/{name}", name=name) for name in there)
    data = DataSet(name="MRPC", folder="MRPC", files=remotes, home="h")
    assert {"train.tsv", "dev.tsv", "test.tsv"} < set(files(fetch(data, tmp_path)))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dev_ids.tsv": "3\n"}, r"dev_ids\.tsv, line 1: has 1 columns, not 2"),
        ({"msr_paraphrase_test.txt": f"{HEADER}\n1\t2\n"}, r"msr_paraphrase_test\.txt, line 2: has 2 columns, not 5"),
    ],
)
def test_a_wrong_file_of_mrpc_is_told(tmp_path: Path, changes: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make_mrpc(mrpc(tmp_path / "MRPC", **changes))
    assert "train.tsv" not in files(tmp_path)


# --------------------------------------------------------------------------------------------------------- the table
def test_every_name_of_the_command_is_known() -> None:
    glue = ("mrpc", "cola", "sst-2", "SST_2", "sts-b", "qqp", "mnli", "qnli", "rte", "wnli", "ax")
    chinese = ("cluener", "tnews", "afqmc", "cmnli", "chnsenticorp", "lcqmc")
    answers = ("squad", "squad1.1", "squad2.0", "triviaqa", "xquad", "drcd", "cmrc2018", "cmrc-2018", "CMRC")
    for name in (*glue, *chinese, *answers, "xnli", "xnli-de", "swag", "conll2003"):
        assert find_data_set(name)
    with pytest.raises(InputError, match=r"mprc: no data set of this name; did you mean mrpc\?"):
        find_data_set("mprc")


def test_what_is_fetched_has_the_files_that_the_tasks_read() -> None:
    for task in registry.tasks():
        data = find_data_set("MNLI" if task.name == "MNLI-mm" else task.name)
        assert data.folder == task.folder
        made = {"train.tsv", "dev.tsv", "test.tsv"} if task.name == "MRPC" else set()
        there = made | {name for remote in data.files for name in remote.kept}
        for split in task.splits if data.files else ():
            assert any(file.name in there for file in task.files if file.split == split), (task.name, split)


def test_the_table_holds_together() -> None:
    known = [plain_name(name) for data in registry.data_sets() for name in (data.name, *data.aliases)]
    assert len(set(known)) == len(known)
    for data in registry.data_sets():
        assert data.files or data.remark
        for remote in data.files:
            assert remote.address.startswith("https://")
            assert not (remote.unpack and remote.name)
            assert remote.checksum is None or len(remote.checksum) == len("sha256:") + 64


def compressed(content: Mapping[str, bytes], kind: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
@pytest.mark.parametrize("offset", [-3, -12, 60])
def test_a_changed_byte_of_a_compressed_archive_is_found(site: Site, tmp_path: Path, kind: str, offset: int) -> None:
    """The checksum is at the end of the file, behind all that is unpacked."""
    archive = bytearray(compressed({**CONTENT, "T/last.txt": bytes(range(256)) * 40}, kind))
    archive[offset] ^= 1
    with pytest.raises(InputError, match="not the archive that was expected"):
        fetch(offered(site, bytes(archive), f"T.tar.{kind}"), tmp_path)
    assert not (tmp_path / "T" / "train.tsv").exists()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_an_archive_with_a_name_of_gigabytes_is_refused(site: Site, tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 2_000_000_000
    archive = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(InputError, match="has a header of 2,000,000,000 bytes"):
        fetch(offered(site, archive, "T.tgz"), tmp_path)


def test_an_archive_of_nothing_but_zeros_is_not_unpacked(site: Site, tmp_path: Path) -> None:
    archive = compressed({"other": bytes(100 << 20), **CONTENT}, "gz")
    with pytest.raises(InputError, match="unpacks to more than 64 times its size"):
        fetch(offered(site, archive, "T.tgz"), tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_of_any_compression_is_told(site: Site, tmp_path: Path, method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in CONTENT.items():
            archive.writestr(name, data * 50)
    damaged = bytearray(stream.getvalue())
    damaged[60:70] = bytes(10)
    with pytest.raises(InputError, match="not the archive that was expected"):
        fetch(offered(site, bytes(damaged)), tmp_path)
