"""Downloading from a server that cuts, lies, changes and redirects."""

import errno
import hashlib
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertworks.datasets import download as module
from bertworks.datasets.download import download
from bertworks.datasets.transfer import Transfer
from bertworks.errors import InputError
from tests.http_server import Site, served

FIXTURES = Path(__file__).parents[1] / "fixtures"

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", module.OFFLINE):
        monkeypatch.delenv(name, raising=False)
    with served() as site:
        site.files["/file.zip"] = BODY
        yield site


def fetch(site: Site, to: Path, path: str = "/file.zip", **options: Any) -> Path:
    return download(site.address + path, to, description="file", **{"wait": 0.0, "timeout": 5.0, **options})


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "deep" / "file.zip"
    assert fetch(site, to, size=len(BODY), checksum=SHA256) == to
    assert to.read_bytes() == BODY
    assert fetch(site, to).read_bytes() == BODY
    assert len(site.requests) == 1
    assert left_in(to.parent) == ["file.zip"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400_000), max_size=6), st.booleans())
def test_cut_anywhere_it_is_put_together(site: Site, tmp_path: Path, cuts: list[int], ranges: bool) -> None:
    site.cuts, site.ranges, site.requests = list(cuts), ranges, []
    to = tmp_path / "file.zip"
    to.unlink(missing_ok=True)
    assert fetch(site, to, tries=8).read_bytes() == BODY
    if ranges:  # no byte that arrived is asked for again
        starts = [int(headers.get("Range", "bytes=0-")[6:-1]) for _, headers in site.requests]
        assert starts == [start for start in accumulate(cuts, initial=0) if start < len(BODY)]
    assert left_in(tmp_path) == ["file.zip"]


def test_a_later_process_continues(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "file.zip"
    site.cuts = [300_000, 0, 0]
    with pytest.raises(InputError, match=r"cut off .*; download it by hand and put it at .*file\.zip"):
        fetch(site, to, tries=2)
    assert left_in(tmp_path) == ["file.zip.partial", "file.zip.partial.version"]
    site.cuts = []
    assert fetch(site, to).read_bytes() == BODY
    assert site.requests[-1][1]["Range"] == "bytes=300000-"
    assert site.requests[-1][1]["If-Range"] == '"1"'


@pytest.mark.parametrize("if_range", [True, False])
def test_the_halves_of_two_files_are_not_put_together(site: Site, tmp_path: Path, if_range: bool) -> None:
    to = tmp_path / "file.zip"
    site.cuts, site.if_range = [300_000], if_range
    with pytest.raises(InputError):
        fetch(site, to, tries=1)
    site.files["/file.zip"], site.etag = BODY[::-1], '"2"'
    assert fetch(site, to).read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_what_has_no_version_is_not_continued(site: Site, tmp_path: Path, etag: str | None) -> None:
    to = tmp_path / "file.zip"
    site.cuts, site.etag = [300_000], etag
    assert fetch(site, to).read_bytes() == BODY
    assert "Range" not in site.requests[-1][1]


def test_a_file_that_became_shorter_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "file.zip"
    site.cuts = [300_000]
    with pytest.raises(InputError):
        fetch(site, to, tries=1)
    site.files["/file.zip"] = b"short"
    assert fetch(site, to).read_bytes() == b"short"


def test_what_is_left_of_another_address_is_not_used(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "file.zip"
    site.cuts, site.files["/other"] = [300_000], BODY[::-1]
    with pytest.raises(InputError):
        fetch(site, to, tries=1)
    assert fetch(site, to, "/other").read_bytes() == BODY[::-1]
    (tmp_path / "more.partial").write_bytes(b"of nothing known")
    assert fetch(site, tmp_path / "more").read_bytes() == BODY


@pytest.mark.parametrize("options", [{"checksum": "sha1:" + "0" * 40}, {"check": "not a zip"}])
def test_wrong_bytes_are_told_and_not_kept(site: Site, tmp_path: Path, options: dict[str, str]) -> None:
    def check(path: Path) -> None:
        raise InputError(options["check"])

    wanted: dict[str, Any] = {"check": check} if "check" in options else options
    with pytest.raises(InputError) as raised:
        fetch(site, tmp_path / "file.zip", **wanted)
    assert f"{site.address}/file.zip: wrong bytes came (" in str(raised.value)
    assert options.get("check", f"sha1 {hashlib.sha1(BODY).hexdigest()}, not {'0' * 40}") in str(raised.value)
    assert "\n" not in str(raised.value)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("behaviour", "options", "message"),
    [
        # It says more than it has, and says less.
        ({"declared": str(len(BODY) + 5)}, {}, "cut off after 1,048,576 of 1,048,581 bytes"),
        ({"declared": "1000"}, {"size": len(BODY)}, "the server has 1,000 bytes, not 1,048,576"),
        ({"declared": "1000"}, {"checksum": SHA256}, "wrong bytes came"),
        # It has another file than we know.
        ({}, {"size": 1000}, "the server has 1,048,576 bytes, not 1,000"),
        ({}, {"limit": 1000}, "the server has 1,048,576 bytes, more than the 1,000"),
        # It does not say, and never ends.
        ({"declared": "", "endless": True}, {"limit": 2 << 20}, "the server sends more than 2,097,152 bytes"),
        ({"declared": "", "endless": True}, {"size": len(BODY)}, "the server sends more than 1,048,576 bytes"),
        ({"declared": "", "cuts": [9, 9, 9, 9, 9]}, {"size": len(BODY)}, "cut off after 9 of 1,048,576 bytes"),
        ({"statuses": [404]}, {}, "the server answers 404 Not Found"),
        ({"statuses": [403]}, {}, "the server answers 403 Forbidden"),
        ({"statuses": [204]}, {}, "the server answers 204 No Content"),
        ({"statuses": [500, 503, 502]}, {}, "cannot be downloaded (the server answers 502 Bad Gateway)"),
        ({"redirects": {"/file.zip": "/file.zip"}}, {}, "the server answers 302"),
        ({"redirects": {"/file.zip": "file:///etc/passwd"}}, {}, "the server answers 302"),
        ({"redirects": {"/file.zip": "ftp://127.0.0.1/x"}}, {}, "sends us to ftp://127.0.0.1/x"),
    ],
)
def test_a_server_that_lies_is_told_in_one_line(
    site: Site, tmp_path: Path, behaviour: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    for name, value in behaviour.items():
        setattr(site, name, value)
    if "cuts" in behaviour:
        site.ranges = False
    with pytest.raises(InputError) as raised:
        fetch(site, tmp_path / "file.zip", **{"tries": 3, **options})
    assert message in str(raised.value)
    assert str(raised.value).endswith(f"; download it by hand and put it at {tmp_path / 'file.zip'}")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "file.zip").exists()
    partial = tmp_path / "file.zip.partial"
    assert not partial.exists() or partial.stat().st_size <= options.get("size", len(BODY))


@pytest.mark.parametrize(
    "told", ["bytes 0-1048575/1048576", "bytes 300001-1048575/1048576", "300000-1048575", "bytes */1048576", "x" * 99]
)
def test_another_part_than_was_asked_for_is_not_used(site: Site, tmp_path: Path, told: str) -> None:
    site.cuts, site.content_range = [300_000], told
    assert fetch(site, tmp_path / "file.zip", checksum=SHA256).read_bytes() == BODY
    assert [headers.get("Range") for _, headers in site.requests] == [None, "bytes=300000-", None]


def test_a_part_that_ends_early_is_not_taken_for_the_rest(site: Site, tmp_path: Path) -> None:
    site.cuts, site.parts = [300_000], 400_000
    assert fetch(site, tmp_path / "file.zip").read_bytes() == BODY
    starts = [headers.get("Range") for _, headers in site.requests]
    assert starts == [None, "bytes=300000-", "bytes=700000-"]


def test_a_file_of_another_size_is_told_when_it_is_continued(site: Site, tmp_path: Path) -> None:
    site.cuts, site.content_range = [300_000], "bytes 300000-1048575/2097152"
    with pytest.raises(InputError, match=r"the server has 2,097,152 bytes, not 1,048,576; download it by hand"):
        fetch(site, tmp_path / "file.zip", size=len(BODY))


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [("self_signed", False, "self-signed certificate"), ("expired", True, "certificate has expired")],
)
def test_a_certificate_that_cannot_be_trusted_is_told_with_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: str, trusted: bool, reason: str
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", module.OFFLINE):
        monkeypatch.delenv(name, raising=False)
    # The key in these files is of no other use.
    file = FIXTURES / "tls" / f"{certificate}.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file if trusted else tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with served(file) as site:
        site.files["/file.zip"] = BODY
        with pytest.raises(InputError) as raised:
            fetch(site, tmp_path / "file.zip", tries=2)
    told = str(raised.value)
    assert told.startswith(f"{site.address}/file.zip: cannot be downloaded (")
    assert reason in told
    assert "\n" not in told
    assert site.requests == []
    assert not (tmp_path / "file.zip").exists()


def test_a_trusted_certificate_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", module.OFFLINE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(FIXTURES / "tls" / "self_signed.pem"))
    with served(FIXTURES / "tls" / "self_signed.pem") as site:
        site.files["/file.zip"] = BODY
        assert fetch(site, tmp_path / "file.zip").read_bytes() == BODY


def test_a_server_without_tls_is_told_with_the_address(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    address = site.address.replace("http:", "https:") + "/file.zip"
    with pytest.raises(InputError, match=r"https://127\.0\.0\.1:\d+/file\.zip: cannot be downloaded \(\[SSL"):
        download(address, tmp_path / "file.zip", description="file", tries=1, wait=0.0, timeout=5.0)


def test_a_length_that_is_not_given_is_not_needed(site: Site, tmp_path: Path) -> None:
    site.declared = ""
    assert fetch(site, tmp_path / "file.zip").read_bytes() == BODY


def test_a_server_that_is_busy_is_asked_again(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.statuses = [503, 429]
    site.redirects = {"/elsewhere": f"{site.address}/file.zip"}
    assert fetch(site, tmp_path / "file.zip", "/elsewhere").read_bytes() == BODY
    assert "file.zip: the server answers 503 Service Unavailable; trying again in 0 s" in capsys.readouterr().err


def test_failures_are_counted_from_the_last_new_byte(site: Site, tmp_path: Path) -> None:
    site.cuts = [100_000] * 9
    assert fetch(site, tmp_path / "file.zip", tries=2).read_bytes() == BODY
    assert len(site.requests) == 10


def test_without_a_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as site:
        gone = site.address
    to = tmp_path / "models" / "file.zip"
    with pytest.raises(InputError, match=r"cannot be downloaded \(.*refused\); download it by hand and put it at"):
        download(f"{gone}/file.zip", to, description="file", tries=2, wait=0.0)
    assert left_in(to.parent) == []
    monkeypatch.setenv(module.OFFLINE, "1")
    with pytest.raises(InputError, match="because BERTWORKS_OFFLINE=1 is set; download it by hand"):
        download(f"{gone}/file.zip", to, description="file")
    to.write_bytes(b"by hand")
    assert download(f"{gone}/file.zip", to, description="file").read_bytes() == b"by hand"


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nothing", "http://127.0.0.1:x/y"])
def test_other_addresses_are_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match=address[:9]):
        download(address, tmp_path / "x", description="file", tries=1)
    assert left_in(tmp_path) == []


def test_a_proxy_of_the_environment_is_used(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.address)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    site.files["http://nowhere.invalid/file.zip"] = BODY
    address = "http://nowhere.invalid/file.zip"
    assert download(address, tmp_path / "x", description="file", wait=0.0).read_bytes() == BODY


def test_a_silent_server_counts_as_a_cut(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/file.zip"
        with pytest.raises(InputError, match="timed out"):
            download(address, tmp_path / "x", description="file", tries=1, timeout=0.2)


class _Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._room = stream, 400_000

    def write(self, data: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._stream.write(data[: self._room])
        self._room -= written
        return int(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def test_a_full_disk_is_told_in_one_line(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to = tmp_path / "file.zip"
    append: Callable[..., None] = Transfer.append
    with monkeypatch.context() as patch:
        patch.setattr(
            Transfer, "append", lambda self, answer, stream, *rest: append(self, answer, _Full(stream), *rest)
        )
        with pytest.raises(InputError, match=r"file\.zip: No space left on device; free some space"):
            fetch(site, to)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
        with pytest.raises(InputError, match=r"file\.zip: the disk is too full \(1 MB are to come, 0 MB are free\)"):
            fetch(site, to)
    assert fetch(site, to).read_bytes() == BODY
    assert site.requests[-1][1]["Range"] == "bytes=400000-"


def _fetch_in_a_process(address: str, to: Path) -> None:
    download(f"{address}/file.zip", to, description="file", checksum=SHA256, wait=0.01)


def test_two_processes_do_not_disturb_each_other(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "file.zip"
    site.cuts = [200_000, 100_000, 150_000]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fetch_in_a_process, args=(site.address, to)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert to.read_bytes() == BODY
    assert left_in(tmp_path) == ["file.zip"]
    assert len(site.requests) == 4
