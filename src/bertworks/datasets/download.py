"""Fetching one large file over HTTP: resumed after a cut, checked before it gets its name, never more than expected.

The bytes go to `NAME.partial` beside the target, which a later process continues. One process at a time writes there; a
second one waits and then finds the file. What the server says of the file (its ETag, or its date) is kept in
`NAME.partial.version`, so that the halves of two different files are not put together.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import io
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bertworks.errors import InputError, one_line
from bertworks.files import sync_file, sync_folder
from bertworks.progress import progress, say

# No network is used where this is set to 1.
OFFLINE = "BERTWORKS_OFFLINE"

# Bytes of a file whose size nobody knows beforehand.
LARGEST = 16 << 30

# Failures in a row without a new byte before we give up, and the seconds between the first two; then twice as many.
TRIES = 4
WAIT = 1.0
_LONGEST_WAIT = 30.0

_CHUNK = 1 << 18
_SCHEMES = ("http", "https")
# What a server that is busy or being repaired answers.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class _CutError(Exception):
    """A transfer failed in a way that the next try may not."""


def download(
    address: str,
    to: Path,
    *,
    description: str,
    size: int | None = None,
    limit: int = LARGEST,
    checksum: str | None = None,
    check: Callable[[Path], None] | None = None,
    tries: int = TRIES,
    wait: float = WAIT,
    timeout: float = 30.0,
) -> Path:
    """Bring the file at `address` to `to`; nothing is done where that is there already.

    Args:
        address: http or https. Proxies are taken from the environment.
        to: where it appears, whole.
        description: what the progress bar calls it.
        size: its bytes, where known.
        limit: the most bytes that are accepted where the size is not known.
        checksum: such as `sha256:0123...`, by any name of hashlib.
        check: looks at the file before it gets its name; raises InputError if it is not what was wanted.
        tries: failures in a row without a new byte before giving up.
        wait: seconds before the second try; they double with each failure.
        timeout: seconds without a byte after which a connection counts as cut.

    Returns:
        `to`.

    Raises:
        InputError: there is no network, or not the file that was expected. Says what to download by hand, and where to
            put it. What has come before a cut is kept for the next time, wrong bytes are not.
    """
    if to.exists():
        return to
    transfer = _Transfer(address, to, description, size, limit, timeout)
    if urlsplit(address).scheme not in _SCHEMES:
        raise InputError(f"{address}: not an address that can be downloaded; give one that begins with https://")
    if os.environ.get(OFFLINE) == "1":
        raise transfer.by_hand(f"not downloaded, because {OFFLINE}=1 is set")
    to.parent.mkdir(parents=True, exist_ok=True)
    with _locked(to, transfer.partial) as stream:
        if stream is None:
            return to
        try:
            _receive(transfer, stream, tries, wait)
            _verify(transfer, checksum, check)
            sync_file(stream)
            transfer.partial.replace(to)
            transfer.version.unlink(missing_ok=True)
        finally:
            if transfer.partial.exists() and not transfer.partial.stat().st_size:
                transfer.forget()
    sync_folder(to.parent)
    return to


@contextmanager
def _locked(to: Path, partial: Path) -> Iterator[io.FileIO | None]:
    """The partial file, ours alone while the block runs; None where another process has finished the file meanwhile."""
    told = False
    while not to.exists():
        with partial.open("a+b", buffering=0) as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    say(f"{to.name}: another process downloads it; waiting")
                told = True
                fcntl.flock(stream, fcntl.LOCK_EX)
            # Whoever held the lock may have renamed or removed the file that we opened.
            if partial.exists() and os.path.samestat(os.fstat(stream.fileno()), partial.stat()):
                yield stream
                return
    yield None


def _receive(transfer: _Transfer, stream: io.FileIO, tries: int, wait: float) -> None:
    """Fill `stream`, in as many requests as it takes."""
    failures, most = 0, transfer.held(stream)
    while most != transfer.size:
        try:
            transfer.request(stream)
            return
        except _CutError as cut:
            held = os.fstat(stream.fileno()).st_size
            failures, most = (failures + 1, most) if held <= most else (1, held)
            if failures >= tries:
                raise transfer.by_hand(f"cannot be downloaded ({cut})") from None
            pause = min(_LONGEST_WAIT, wait * 2 ** (failures - 1))
            say(f"{transfer.to.name}: {cut}; trying again in {pause:.0f} s")
            time.sleep(pause)


def _verify(transfer: _Transfer, checksum: str | None, check: Callable[[Path], None] | None) -> None:
    """Compare what has come with what is known of it, and drop it if it is wrong."""
    try:
        if checksum is not None:
            algorithm, _, expected = checksum.partition(":")
            with transfer.partial.open("rb") as stream:
                found = hashlib.file_digest(stream, algorithm).hexdigest()
            if found != expected:
                raise InputError(f"{algorithm} {found}, not {expected}")
        if check is not None:
            check(transfer.partial)
    except InputError as error:
        transfer.forget()
        raise transfer.by_hand(f"wrong bytes came ({error})") from None


@dataclass(frozen=True)
class _Transfer:
    """What is fetched and where it goes; see `download`."""

    address: str
    to: Path
    description: str
    size: int | None
    limit: int
    timeout: float

    @property
    def partial(self) -> Path:
        """Where the bytes go until they are all there."""
        return self.to.with_name(f"{self.to.name}.partial")

    @property
    def version(self) -> Path:
        """Where it is kept what the server says of the file."""
        return self.to.with_name(f"{self.to.name}.partial.version")

    def by_hand(self, what: str) -> InputError:
        """The error for a person who has to help."""
        return InputError(f"{self.address}: {what}; download it by hand and put it at {self.to}")

    def forget(self) -> None:
        """Remove what has come."""
        self.partial.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def start_over(self, stream: io.FileIO) -> None:
        """Empty the partial file."""
        stream.truncate(0)
        self.version.unlink(missing_ok=True)

    def held(self, stream: io.FileIO) -> int:
        """The bytes that can be continued; those that cannot are dropped."""
        count = os.fstat(stream.fileno()).st_size
        fits = count <= (self.limit if self.size is None else self.size)
        if count and not (fits and self._version()):
            self.start_over(stream)
            return 0
        return count

    def _version(self) -> str:
        """What was kept of the server's words about this address; empty where there is nothing."""
        try:
            address, version = self.version.read_text(encoding="ascii").split("\n", 1)
        except (OSError, ValueError):
            return ""
        return version if address == self.address and re.fullmatch(r"[ -~]+", version) else ""

    def request(self, stream: io.FileIO) -> None:
        """Ask once for what is missing, and append it.

        Raises:
            _CutError: it did not all come.
            InputError: the server has something else, or nothing.
        """
        have, version = self.held(stream), self._version()
        request = urllib.request.Request(self.address, headers={"User-Agent": "bertworks"})
        if have:
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", version)
        with self._open(request, stream) as response:
            if response.status == 206 and not _continues(response.headers, have, version):
                self.start_over(stream)
                raise _CutError("the server has another file than before")
            if response.status == 200 and have:
                self.start_over(stream)
                have = 0
            elif response.status not in (200, 206):
                raise self.by_hand(f"the server answers {response.status} {response.reason}")
            total = self.size if response.length is None else have + response.length
            self._check_size(total, have)
            kept = f"{self.address}\n{_version_of(response.headers)}"
            self.version.write_text(kept, encoding="ascii", errors="replace")
            self._append(response, stream, have, total)

    @contextmanager
    def _open(self, request: urllib.request.Request, stream: io.FileIO) -> Iterator[http.client.HTTPResponse]:
        try:
            response = urllib.request.build_opener(_Redirects).open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                self.start_over(stream)
                raise _CutError("the server has a shorter file than before") from None
            if error.code in _BUSY:
                raise _CutError(f"the server answers {error.code} {error.reason}") from None
            raise self.by_hand(f"the server answers {error.code} {one_line(error.reason)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError) or isinstance(error, ValueError):
                raise self.by_hand(f"cannot be downloaded ({one_line(reason)})") from None
            raise _CutError(one_line(reason)) from None
        with response:
            yield response

    def _check_size(self, total: int | None, have: int) -> None:
        """Refuse what is known beforehand to be wrong, or not to fit."""
        if self.size is not None and total != self.size:
            raise self.by_hand(f"the server has {total:,} bytes, not {self.size:,}")
        if total is not None and total > self.limit and self.size is None:
            raise self.by_hand(f"the server has {total:,} bytes, more than the {self.limit:,} that it could be")
        free = shutil.disk_usage(self.to.parent).free
        if total is not None and total - have > free:
            needed = f"{(total - have) / 1e6:,.0f} MB are to come, {free / 1e6:,.0f} MB are free"
            raise InputError(f"{self.to}: the disk is too full ({needed}); free some space")

    def _append(self, response: http.client.HTTPResponse, stream: io.FileIO, have: int, total: int | None) -> None:
        most = total if total is not None else self.limit
        with progress(self.description, None if total is None else total / 1e6, "MB", have / 1e6) as advance:
            while True:
                try:
                    chunk = response.read(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _CutError(f"cut off after {have:,} bytes ({one_line(error)})") from None
                if not chunk:
                    break
                have += len(chunk)
                if have > most:
                    self.forget()
                    raise self.by_hand(f"the server sends more than {most:,} bytes")
                try:
                    written = 0
                    while written < len(chunk):
                        written += stream.write(chunk[written:])
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
                    raise InputError(f"{self.to}: {error.strerror}; free some space, what has come is kept") from None
                advance(len(chunk) / 1e6)
        if total is not None and have < total:
            raise _CutError(f"cut off after {have:,} of {total:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the server elsewhere on the web, and nowhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See urllib."""
        scheme = urlsplit(newurl).scheme
        # From https to http the file could be changed on its way.
        if scheme not in _SCHEMES or (scheme == "http" and req.type == "https"):
            raise urllib.error.HTTPError(newurl, code, f"and sends us to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _version_of(headers: Message) -> str:
    """What tells one version of a file from another: a strong ETag or else a date (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return str(tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", ""))


def _continues(headers: Message, have: int, version: str) -> bool:
    """Whether an answer of 206 begins where we stopped, in the same file."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", headers.get("Content-Range", "").strip())
    return match is not None and int(match[1]) == have and _version_of(headers) in ("", version)
