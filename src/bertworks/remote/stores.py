"""What we ask of a store of files, over fsspec, with patience: servers fail, cut connections and are slow."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from bertworks.addresses import SCHEMES
from bertworks.errors import InputError, one_line
from bertworks.progress import say

# How often something is tried that fails without saying why, and the seconds before the second try, which double.
TRIES, FIRST_WAIT, LONGEST_WAIT = 6, 0.5, 10.0

# Seconds for a connection, and for an answer.
_CONNECT, _ANSWER = 10, 60

# The bytes that are asked for at once.
CHUNK = 8 << 20

# Where stores keep what changes when a file changes, the most exact first.
_VERSIONS = ("ETag", "etag", "generation", "blob_id", "md5Hash", "sha256", "created", "mtime", "last_modified")

# The libraries' own loggers; what fails is told by us.
_LOGGERS = ("fsspec", "s3fs", "gcsfs", "aiobotocore", "huggingface_hub")

_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": _CONNECT, "read_timeout": _ANSWER, "retries": {"max_attempts": 1}}},
    "gs": {"timeout": _ANSWER},
}

# What a store says where trying again is of no use.
_REFUSED = re.compile(
    r"denied|forbidden|unauthorized|credential|authenticat|anonymous|\b40[13]\b|invalid bucket|read-only", re.IGNORECASE
)

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Listed:
    """A file of a store: its size in bytes, and what changes when the file changes ("" if the store says nothing)."""

    address: str
    size: int
    version: str


def patiently(address: str, doing: str, call: Callable[[], _Result]) -> _Result:
    """Call something that asks a store; try again when it fails.

    Args:
        doing: what cannot be done if it fails: `read`, `written to`.

    Raises:
        FileNotFoundError: nothing is there.
        InputError: it is refused, or fails each time; one line names the address.
    """
    for number in range(1, TRIES + 1):
        try:
            return call()
        except (FileNotFoundError, InputError):
            raise
        except Exception as error:  # each store passes on the errors of the libraries that it uses
            reason = one_line(error)
            if isinstance(error, PermissionError | IsADirectoryError) or _REFUSED.search(f"{type(error)} {reason}"):
                raise InputError(f"{address}: cannot be {doing} ({reason}); check the name and your access") from None
            if number == TRIES:
                raise InputError(f"{address}: cannot be {doing}, tried {TRIES} times ({reason})") from None
            pause = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (number - 1))
            if number > 1:
                say(f"{address}: cannot be {doing} now ({reason}); trying again in {pause:.1f} s")
            time.sleep(pause)
    raise AssertionError


class Store:
    """The files of one scheme."""

    def __init__(self, scheme: str, files: Any) -> None:
        self._scheme, self._files = scheme, files

    def find(self, address: str) -> Listed | None:
        """Return a file, or None if there is none at this address (there may be a folder)."""
        try:
            found = patiently(address, "read", lambda: self._files.info(self._path(address)))
        except FileNotFoundError:
            return None
        return self._listed(found) if found["type"] == "file" else None

    def inside(self, address: str, *, deep: bool = True) -> list[Listed]:
        """Return all files in a folder and, if `deep`, in the folders in it, sorted; none if there is no folder.

        A bucket may have millions of files, of which only those beside one are wanted.
        """

        def listing() -> list[dict[str, Any]]:
            path = self._path(address)
            return list(self._files.find(path, detail=True).values() if deep else self._files.ls(path, detail=True))

        try:
            found = patiently(address, "listed", listing)
        except (FileNotFoundError, NotADirectoryError):
            return []
        files = [self._listed(each) for each in found if each["type"] == "file"]
        below = address.rstrip("/") + "/"
        return sorted((f for f in files if f.address.startswith(below)), key=lambda file: file.address)

    def matching(self, pattern: str) -> list[str]:
        """Return the addresses of files and folders that match a pattern, sorted."""
        try:
            found = patiently(pattern, "listed", lambda: self._files.glob(self._path(pattern)))
        except FileNotFoundError:
            return []
        return sorted(self._address(path) for path in found)

    def read(self, file: Listed, start: int, end: int) -> bytes:
        """Return the bytes from `start` to before `end`."""

        def part() -> bytes:
            found: bytes = self._files.cat_file(self._path(file.address), start=start, end=end)
            if len(found) != end - start:
                raise OSError(f"{len(found)} bytes came instead of {end - start}")
            return found

        try:
            return patiently(file.address, "read", part) if end > start else b""
        except FileNotFoundError:
            raise InputError(f"{file.address}: is no longer there") from None

    def parts(self, file: Listed, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `start` to the end, some megabytes at a time."""
        for at in range(start, file.size, CHUNK):
            yield self.read(file, at, min(at + CHUNK, file.size))

    def put(self, local: Path, address: str) -> Listed:
        """Send a file; it appears whole or not at all.

        Raises:
            FileNotFoundError: the local file is gone.
            InputError: it cannot be written.
        """

        def send() -> Listed:
            size = local.stat().st_size
            self._files.put_file(str(local), self._path(address))
            return self._checked(address, size)

        return self._writing(address, send, local)

    def put_bytes(self, content: bytes, address: str) -> Listed:
        """Write a small file."""

        def send() -> Listed:
            self._files.pipe_file(self._path(address), content)
            return self._checked(address, len(content))

        return self._writing(address, send, None)

    def remove(self, address: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            patiently(address, "removed", lambda: self._files.rm_file(self._path(address)))

    def _writing(self, address: str, send: Callable[[], Listed], local: Path | None) -> Listed:
        try:
            return patiently(address, "written", send)
        except FileNotFoundError as error:
            if local is not None and not local.exists():
                raise
            reason = one_line(error)
            raise InputError(f"{address}: cannot be written ({reason}); is there such a bucket?") from None

    def _checked(self, address: str, size: int) -> Listed:
        """Return what the store has after a file was sent."""
        self._files.invalidate_cache()
        found = self._listed(self._files.info(self._path(address)))
        if found.size < size:
            raise OSError(f"the store has {found.size} bytes of {size}")
        return found

    def _path(self, address: str) -> str:
        self._files.invalidate_cache()  # what a listing of some seconds ago said is of no use
        rest = address.partition("://")[2].rstrip("/")
        return f"/{rest}" if self._scheme == "memory" else rest

    def _address(self, path: str) -> str:
        return f"{self._scheme}://{path.removeprefix(f'{self._scheme}://').lstrip('/')}"

    def _listed(self, found: dict[str, Any]) -> Listed:
        version = next((found[key] for key in _VERSIONS if found.get(key)), "")
        version = str(version.timestamp() if isinstance(version, datetime) else version)
        return Listed(self._address(str(found["name"])), int(found["size"] or 0), version)


def store_of(address: str) -> Store:
    """Return the store of an address.

    Raises:
        InputError: it is none of ours, or a library for it is missing.
    """
    try:
        return _store(address.partition("://")[0])
    except InputError as error:
        raise InputError(f"{address}: {error}") from None


@lru_cache
def _store(scheme: str) -> Store:
    known = ", ".join(f"{each}://" for each in (*SCHEMES, "file"))
    if scheme not in SCHEMES:
        raise InputError(f"not a kind of address that we read; {known} are")
    try:
        import fsspec  # noqa: PLC0415  (an extra)

        if scheme == "hf":
            import huggingface_hub  # noqa: F401, PLC0415  (an extra)
        files = fsspec.filesystem(
            scheme, skip_instance_cache=True, use_listings_cache=False, **_OPTIONS.get(scheme, {})
        )
    except ImportError as error:
        raise InputError(f'needs a library ({one_line(error)}): pip install "bertworks[remote]"') from None
    except Exception as error:
        raise InputError(f"cannot be used ({one_line(error)})") from None
    for name in _LOGGERS:  # after the libraries, which set them when they are imported
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return Store(scheme, files)
