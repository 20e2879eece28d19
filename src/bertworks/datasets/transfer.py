"""One HTTP transfer of a file: what a server sends is appended to a partial file, and continued where it was cut off.

What the server says about the file (its ETag, or its date) is kept in `NAME.partial.version`, so that the halves of two
different files are not put together.
"""

from __future__ import annotations

import errno
import http.client
import io
import os
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bertworks.errors import InputError, one_line
from bertworks.progress import progress

SCHEMES = ("http", "https")

_CHUNK = 1 << 18
# The answers of a server that is busy or under repair.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class CutError(Exception):
    """A transfer failed in a way that the next try may not."""


@dataclass(frozen=True)
class Transfer:
    """A file that is fetched, and where it goes.

    Attributes:
        to: the path that the whole file gets.
        description: what the progress bar calls it.
        size: its bytes; None if unknown.
        limit: the most bytes that are accepted where the size is unknown.
        timeout: seconds without a byte after which a connection counts as cut.
    """

    address: str
    to: Path
    description: str
    size: int | None
    limit: int
    timeout: float

    @property
    def partial(self) -> Path:
        """The file for the bytes until all of them are there."""
        return self.to.with_name(f"{self.to.name}.partial")

    @property
    def version(self) -> Path:
        """The file with the address and the server's version of what the partial file holds."""
        return self.to.with_name(f"{self.to.name}.partial.version")

    def by_hand(self, problem: str) -> InputError:
        """Return the error that tells a person what to download, and where to put it."""
        return InputError(f"{self.address}: {problem}; download it by hand and put it at {self.to}")

    def forget(self) -> None:
        """Remove the partial file."""
        self.partial.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def bytes_held(self, stream: io.FileIO) -> int:
        """Return the number of bytes that can be continued; drop bytes that cannot."""
        count = os.fstat(stream.fileno()).st_size
        fits = count <= (self.limit if self.size is None else self.size)
        if count and not (fits and self._held_version()):
            self._start_over(stream)
            return 0
        return count

    def request(self, stream: io.FileIO) -> None:
        """Ask the server once for the missing bytes, and append them to the partial file.

        Raises:
            CutError: some of them did not come.
            InputError: the server has another file, or none.
        """
        have, version = self.bytes_held(stream), self._held_version()
        request = urllib.request.Request(self.address, headers={"User-Agent": "bertworks"})
        if have:
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", version)
        with self._open(request, stream) as response:
            whole = None
            if response.status == 206:
                continues, whole = _continues(response.headers, have, version)
                if not continues:
                    self._start_over(stream)
                    raise CutError("the server has another file than before, or sends another part of it")
            if response.status == 200 and have:
                self._start_over(stream)
                have = 0
            elif response.status not in (200, 206):
                raise self.by_hand(f"the server answers {response.status} {one_line(response.reason)}")
            total = whole or (self.size if response.length is None else have + response.length)
            self._check_size(total, have)
            kept = f"{self.address}\n{_version_of(response.headers)}"
            self.version.write_text(kept, encoding="ascii", errors="replace")
            self.append(response, stream, have, total)

    def append(self, response: http.client.HTTPResponse, stream: io.FileIO, have: int, total: int | None) -> None:
        """Write what a response still sends behind the `have` bytes of the partial file; the whole has `total`."""
        most = total if total is not None else self.limit
        with progress(self.description, None if total is None else total / 1e6, "MB", have / 1e6) as advance:
            while True:
                try:
                    chunk = response.read(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise CutError(f"cut off after {have:,} bytes ({one_line(error)})") from None
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
                    raise InputError(
                        f"{self.to}: {error.strerror}; free some space; the part that was downloaded is kept"
                    ) from None
                advance(len(chunk) / 1e6)
        if total is not None and have < total:
            raise CutError(f"cut off after {have:,} of {total:,} bytes")

    def _start_over(self, stream: io.FileIO) -> None:
        stream.truncate(0)
        self.version.unlink(missing_ok=True)

    def _held_version(self) -> str:
        """Return the server's version of the partial file; "" if it is unknown or of another address."""
        try:
            address, version = self.version.read_text(encoding="ascii").split("\n", 1)
        except (OSError, ValueError):
            return ""
        return version if address == self.address and re.fullmatch(r"[ -~]+", version) else ""

    @contextmanager
    def _open(self, request: urllib.request.Request, stream: io.FileIO) -> Iterator[http.client.HTTPResponse]:
        try:
            response = urllib.request.build_opener(_Redirects).open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                self._start_over(stream)
                raise CutError("the server has a shorter file than before") from None
            if error.code in _BUSY:
                raise CutError(f"the server answers {error.code} {one_line(error.reason)}") from None
            raise self.by_hand(f"the server answers {error.code} {one_line(error.reason)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError) or isinstance(
                error, ValueError | http.client.InvalidURL
            ):
                raise self.by_hand(f"cannot be downloaded ({one_line(reason)})") from None
            raise CutError(one_line(reason)) from None
        with response:
            yield response

    def _check_size(self, total: int | None, have: int) -> None:
        """Refuse a file whose size is wrong, or for which the disk has no room."""
        if self.size is not None and total != self.size:
            raise self.by_hand(f"the server has {total:,} bytes, not {self.size:,}")
        if total is not None and total > self.limit and self.size is None:
            raise self.by_hand(f"the server has {total:,} bytes, more than the {self.limit:,} that it could be")
        free = shutil.disk_usage(self.to.parent).free
        if total is not None and total - have > free:
            needed = f"{(total - have) / 1e6:,.0f} MB are to come, {free / 1e6:,.0f} MB are free"
            raise InputError(f"{self.to}: the disk is too full ({needed}); free some space")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https only, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request for the new address; see urllib."""
        scheme = urlsplit(newurl).scheme
        # From https to http the file could be changed on its way.
        if scheme not in SCHEMES or (scheme == "http" and req.type == "https"):
            raise urllib.error.HTTPError(newurl, code, f"and sends us to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _version_of(headers: Message) -> str:
    """Return what tells one version of a file from another: a strong ETag or else a date (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return str(tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", ""))


def _continues(headers: Message, have: int, version: str) -> tuple[bool, int | None]:
    """Tell whether an answer of 206 begins behind the bytes that we have, in the same file, and that file's size.

    The size is None where the server does not say it. A server may send less than what is missing.
    """
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != have or _version_of(headers) not in ("", version):
        return False, None
    return True, None if match[2] == "*" else int(match[2])
