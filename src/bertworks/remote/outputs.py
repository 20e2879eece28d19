"""An output path that is an address: files are made in a local folder, and a thread sends those that are finished.

    STAGED/...                        what the command writes; a name that begins with a dot is unfinished, and stays
    .bertworks-run (elsewhere)        changes every few seconds while a run writes there; a second one is refused

A folder of files counts as whole by its marker (`state.json` of a checkpoint, `index.json` of a corpus). Markers are
listed before the other files and sent after them, so a checkpoint elsewhere is whole or does not count. If the folder
elsewhere is as this machine left it, and the local files are still there, a run continues with them; otherwise with a
copy of those elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bertworks import addresses, files
from bertworks.errors import InputError
from bertworks.progress import say
from bertworks.remote.stores import Listed, Store, store_of

MARKERS = ("state.json", "index.json")
RUN = ".bertworks-run"

# Seconds between looks at the local folder.
PERIOD = 5.0
# On the hub each file that is sent is a commit.
_PERIODS = {"hf": 300.0}

# How many times the period a sign of another run is waited for.
_PATIENCE = 2.5

_AT_ONCE = 4


class Output:
    """A folder elsewhere and the local one that is sent to it.

    Attributes:
        address, local: the two folders.
        is_folder: whether the address is a folder that a run may continue, or the one in which an output file lies.
        names: the files that are made in a folder of the latter kind; all else there belongs to other commands.
    """

    def __init__(self, address: str, *, is_folder: bool) -> None:
        self.address, self.is_folder = address.rstrip("/"), is_folder
        self.names: set[str] = set()
        self.local = addresses.place(addresses.outputs(), address)
        self._record = addresses.place(addresses.outputs().with_name("sent"), address).with_suffix(".sent.json")
        scheme = address.partition("://")[0]
        if scheme in addresses.HTTP:
            raise InputError(f"{address}: http is for reading; write to gs://, s3://, hf:// or a folder")
        self._store: Store = store_of(address)
        self._period = _PERIODS.get(scheme, PERIOD)
        self._token = f"{os.uname().nodename} {os.getpid()} {secrets.token_hex(4)}"
        self._sent: dict[str, dict[str, Any]] = {}
        self._recording = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_often, name="send", daemon=True)
        self._problem = ""

    def begin(self) -> None:
        """Make the local folder, and begin to send.

        Raises:
            InputError: the folder elsewhere cannot be read or written to, or another run writes there.
        """
        if self.is_folder:
            self._wait_for_other_run()
        self._sign(0)
        if self.is_folder:
            self._restore()
        else:
            self._store.remove(f"{self.address}/{RUN}")
            for entry in self.local.iterdir() if self.local.is_dir() else ():
                if self._is_mine(entry.name):
                    files.remove(entry)
        self.local.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def end(self) -> None:
        """Send the rest.

        Raises:
            InputError: it cannot be sent; says where the files are.
        """
        self._ended.set()
        self._thread.join()
        try:
            self._send_rest()
            if self.is_folder:
                self._store.remove(f"{self.address}/{RUN}")
        except InputError as error:
            raise InputError(
                f"{error}; what was not sent waits below {addresses.outputs()}, and the same command continues there"
            ) from None

    def _send_rest(self) -> None:
        """Send until all is there, or nothing more comes through."""
        while True:
            before = len(self._sent)
            try:
                self._send()
                return
            except InputError:
                if len(self._sent) == before:
                    raise

    def _wait_for_other_run(self) -> None:
        """Refuse to write where another run does."""
        path = f"{self.address}/{RUN}"
        before = self._signed(path)
        if before is None or not _may_live(before):
            return
        say(f"{self.address}: a run wrote there and did not end; waiting to see whether it lives")
        deadline = time.monotonic() + _PATIENCE * self._period
        while time.monotonic() < deadline:
            time.sleep(self._period / 5)
            if (now := self._signed(path)) is None:
                return
            if now != before:
                raise InputError(f"{self.address}: another run writes there ({' '.join(now.split()[:2])})")

    def _signed(self, path: str) -> str | None:
        found = self._store.find(path)
        return self._store.read(found, 0, found.size).decode(errors="replace") if found else None

    def _sign(self, number: int) -> None:
        """Give a sign of this run; it also tells whether one may write there."""
        self._store.put_bytes(f"{self._token} {number}".encode(), f"{self.address}/{RUN}")

    def _restore(self) -> None:
        """Continue with the local files or with a copy of those elsewhere."""
        there = {self._name(file): file for file in self._store.inside(self.address) if self._name(file) != RUN}
        self._sent = files.json_object(self._record)
        left = {name: of["there"] for name, of in self._sent.items()}
        if left == {name: file.version for name, file in there.items()} and self._record.exists() and self._is_here():
            return
        files.remove(self._record)  # so a kill before all is fetched does not make half of it count
        files.remove(self.local)
        whole = {name: file for name, file in there.items() if _is_whole(name, there)}
        self._sent = {name: {"here": None, "there": file.version} for name, file in there.items()}
        if whole:
            size = sum(file.size for file in whole.values()) / 1e6
            say(f"{self.address}: fetching its {len(whole)} files ({size:,.1f} MB), to continue with them")
        with ThreadPoolExecutor(_AT_ONCE, "restore") as pool:
            list(pool.map(self._fetch, whole, whole.values()))
        self._keep_record()

    def _is_here(self) -> bool:
        """Tell whether the local files are still there: who empties the cache does not mean the folder elsewhere."""
        if not self._sent:  # the store failed from the beginning
            return True
        here = self._names()
        marked = any(Path(name).name in MARKERS for name in self._sent)
        return not self._sent.keys().isdisjoint(here) and (not marked or any(Path(n).name in MARKERS for n in here))

    def _fetch(self, name: str, file: Listed) -> None:
        with files.written_whole(self.local / name) as stream:
            stream.writelines(self._store.parts(file))
        self._sent[name]["here"] = _state(self.local / name)

    def _name(self, file: Listed) -> str:
        return file.address.removeprefix(f"{self.address}/")

    def _send_often(self) -> None:
        number = 0
        while not self._ended.wait(self._period):
            number += 1
            try:
                if self.is_folder and self.address.partition("://")[0] not in _PERIODS:
                    self._sign(number)
                self._send()
                self._problem = ""
            except InputError as error:
                if not self._problem:
                    say(f"{error}; the work goes on, the files wait and are tried again")
                self._problem = str(error)

    def _send(self) -> None:
        """Send what is new or has changed, markers after all other files, and remove what is gone."""
        markers = {name: self.local / name for name in self._names() if Path(name).name in MARKERS}
        others = {name: self.local / name for name in self._names() if Path(name).name not in MARKERS}
        # A marker that goes, or changes, goes before the files that it stands for.
        gone = [name for name in self._sent if name not in others and not (self.local / name).exists()]
        for name in sorted(gone, key=lambda name: Path(name).name not in MARKERS):
            self._store.remove(f"{self.address}/{name}")
            self._note(name, None)
        with ThreadPoolExecutor(_AT_ONCE, "send") as pool:
            list(pool.map(lambda item: self._send_one(*item), others.items()))
            list(pool.map(lambda item: self._send_one(*item), markers.items()))

    def _names(self) -> list[str]:
        """Return the finished files, relative to the folder."""
        found = []
        for folder, inner, names in os.walk(self.local):
            below = Path(folder).relative_to(self.local)
            is_mine = self._is_mine if folder == str(self.local) else _is_finished
            inner[:] = filter(is_mine, inner)
            found += [(below / name).as_posix() for name in filter(is_mine, names)]
        return sorted(name for name in found if name != "checkpoints/lock")

    def _is_mine(self, name: str) -> bool:
        """Tell whether a finished file or folder directly in the local folder is of this output.

        Beside a file FILE, files such as FILE.json are, too. A name that begins with a dot is what a killed run can
        continue from.
        """
        return _is_finished(name) and (
            self.is_folder or any(name == made or name.startswith(f"{made}.") for made in self.names)
        )

    def _send_one(self, name: str, path: Path) -> None:
        try:
            state = _state(path)
            if self._sent.get(name, {}).get("here") == state:
                return
            sent = self._store.put(path, f"{self.address}/{name}")
        except FileNotFoundError:  # removed meanwhile, as old checkpoints are
            return
        self._note(name, {"here": state, "there": sent.version})

    def _note(self, name: str, sent: dict[str, Any] | None) -> None:
        """Keep what was sent, or that it was removed, at once: after it a store may fail or the run be killed."""
        with self._recording:
            if sent is None:
                del self._sent[name]
            else:
                self._sent[name] = sent
            self._keep_record()

    def _keep_record(self) -> None:
        if self.is_folder:
            files.write_text(self._record, json.dumps(self._sent) + "\n")


def _is_finished(name: str) -> bool:
    return not name.startswith(".")


def _state(path: Path) -> list[int]:
    """Return what changes when a local file changes."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _is_whole(name: str, there: Mapping[str, object]) -> bool:
    """Tell whether a file is not one of a checkpoint that was not sent to its end."""
    folder = re.match(r"(?:.*/)?checkpoints/step-\d+/", name)
    return folder is None or f"{folder[0]}state.json" in there


def _may_live(sign: str) -> bool:
    """Tell whether the run that gave a sign may still be there; one of this machine is looked for."""
    words = sign.split()
    if len(words) < 2 or words[0] != os.uname().nodename or not words[1].isdigit():
        return True
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
