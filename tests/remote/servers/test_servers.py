"""Commands on s3://, gs:// and hf://, on real servers of these kinds behind a bad network. `make test-remote` runs it.

Without the libraries and servers of its environment these tests skip themselves.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pytest

from tests.commands.runs import FIXTURES, make_shards, metrics
from tests.remote.servers.hub import REPOSITORY, hub
from tests.remote.servers.proxy import Weather, in_front_of
from tests.together import free_port

for _library in ("s3fs", "gcsfs", "moto", "gcp_storage_emulator"):
    if importlib.util.find_spec(_library) is None:
        pytest.skip(f"{_library} is not installed; make test-remote", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries of others

_TRAIN = (
    *("run_pretraining", "--size=1/32", "--do_train", "--max_seq_length=32", "--max_predictions_per_seq=4"),
    *("--train_batch_size=4", "--num_warmup_steps=1", "--log_every_steps=1", "--device=cpu", "--precision=fp32"),
    *("--num_train_steps=40", "--save_checkpoints_steps=10", "--keep_checkpoint_max=2"),
)


@dataclass
class Place:
    """A bucket or repository.

    Attributes:
        root: its address.
        environment: what a command needs to find the server.
        weather: of the network between.
        files: a file system that sees it without that network; None for the hub.
    """

    root: str
    environment: dict[str, str]
    weather: Weather
    files: Any = None
    held: dict[str, bytes] | None = None

    def put(self, name: str, content: bytes) -> None:
        if self.held is not None:
            self.held[name] = content
        else:
            self.files.pipe_file(f"{self.root.partition('://')[2]}/{name}", content)

    def names(self, folder: str) -> list[str]:
        """The files in a folder, by their relative paths."""
        if self.held is not None:
            return [name.removeprefix(f"{folder}/") for name in list(self.held) if name.startswith(f"{folder}/")]
        self.files.invalidate_cache()
        top = f"{self.root.partition('://')[2]}/{folder}"
        return [name.partition(f"{top}/")[2] for name in self.files.find(top)]

    def all(self, folder: str) -> dict[str, bytes]:
        """What is in a folder to which nobody writes: relative path -> bytes."""
        names = self.names(folder)
        if self.held is not None:
            return {name: self.held[f"{folder}/{name}"] for name in names}
        top = f"{self.root.partition('://')[2]}/{folder}"
        # The servers do not say that nothing follows where a file is empty.
        return {n: self.files.cat_file(f"{top}/{n}") if self.files.size(f"{top}/{n}") else b"" for n in names}


class _Emulator:
    """The files of Google's emulator, a connection for each request: it does not end those that clients keep."""

    def __init__(self, address: str) -> None:
        self._address = address

    def _ask(self, path: str, content: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"{self._address}{path}", content, timeout=60) as answer:
            found: bytes = answer.read()
        return found

    def pipe_file(self, path: str, content: bytes) -> None:
        bucket, _, name = path.partition("/")
        self._ask(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}", content)

    def _items(self, path: str) -> list[dict[str, Any]]:
        bucket, _, name = path.partition("/")
        found = json.loads(self._ask(f"/storage/v1/b/{bucket}/o?prefix={quote(name, safe='')}"))
        return [item for item in found.get("items", []) if item["name"].startswith(name)]

    def find(self, path: str) -> list[str]:
        return [f"{path.partition('/')[0]}/{item['name']}" for item in self._items(f"{path}/")]

    def size(self, path: str) -> int:
        return next(int(item["size"]) for item in self._items(path) if path.endswith(item["name"]))

    def cat_file(self, path: str) -> bytes:
        bucket, _, name = path.partition("/")
        return self._ask(f"/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media")

    def invalidate_cache(self) -> None:
        pass


@contextmanager
def _process(*command: str, until: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(until, timeout=1).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=["s3", "gs", "hf"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with ExitStack() as stack:
        scheme, port = request.param, free_port()
        if scheme == "hf":
            port, held = stack.enter_context(hub())
            weather = stack.enter_context(in_front_of("127.0.0.1", port))
            yield Place(f"hf://{REPOSITORY}", {"HF_ENDPOINT": weather.address, "HF_TOKEN": "x"}, weather, held=held)
            return
        there = f"http://127.0.0.1:{port}"
        if scheme == "s3":
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            stack.enter_context(_process(*command, until=there))
            keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
            for name, value in keys.items():
                monkeypatch.setenv(name, value)
            files = fsspec.filesystem("s3", endpoint_url=there, skip_instance_cache=True)
        else:
            code = (  # by itself it answers one connection at a time, and clients keep theirs
                "from http import server; server.HTTPServer = server.ThreadingHTTPServer;"
                "from gcp_storage_emulator.server import create_server;"
                f"create_server('127.0.0.1', {port}, in_memory=True, default_bucket='bucket').run()"
            )
            stack.enter_context(_process(sys.executable, "-c", code, until=f"{there}/storage/v1/b"))
            keys = {}
            files = _Emulator(there)
        if scheme == "s3":
            files.mkdir("bucket")
        weather = stack.enter_context(in_front_of("127.0.0.1", port))
        addresses = {"s3": {"AWS_ENDPOINT_URL": weather.address}, "gs": {"STORAGE_EMULATOR_HOST": weather.address}}
        yield Place(f"{scheme}://bucket", {**keys, **addresses[scheme]}, weather, files)


def _bert(place: Place, home: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **place.environment, "BERTWORKS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bertworks", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def _done(process: subprocess.Popen[str], timeout: float = 400) -> tuple[int, str]:
    out, _ = process.communicate(timeout=timeout)
    return process.returncode, out


def test_text_to_shards_to_model_on_a_bad_network(place: Place, tmp_path: Path) -> None:
    """The same bytes as here; a run that is killed continues on a machine that has nothing of it."""
    shards = make_shards(tmp_path / "shards")
    plain = tmp_path / "plain"
    code, out = _done(_bert(place, tmp_path / "home", *_TRAIN, f"--input_file={shards}", f"--output_dir={plain}"))
    assert code == 0, out
    place.put("data/corpus.txt", (FIXTURES / "corpus.txt").read_bytes())
    place.put("data/vocab.txt", (FIXTURES / "vocab.txt").read_bytes())
    weather = place.weather
    # A commit to the hub is several requests, and all of them must come through.
    weather.latency, weather.error_every, weather.cut_every = 0.005, *((29, 37) if place.held is not None else (7, 11))
    words = (f"--input_file={place.root}/data/*.txt", f"--vocab_file={place.root}/data/vocab.txt")
    words = (f"--input_file={place.root}/data/corp*", words[1], f"--output_dir={place.root}/shards")
    code, out = _done(_bert(place, tmp_path / "home", "create_pretraining_data", *words))
    assert code == 0, out
    made = place.all("shards")
    assert made["shard-00000.safetensors"] == (shards / "shard-00000.safetensors").read_bytes()

    train = (*_TRAIN, f"--input_file={place.root}/shards", f"--output_dir={place.root}/run")
    running = _bert(place, tmp_path / "home", *train)
    deadline = time.monotonic() + 120
    while not any(name.endswith("state.json") for name in place.names("run")):
        if running.poll() is not None or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    code, out = _done(_bert(place, tmp_path / "another machine", *train))
    assert code == 0, out
    there = place.all("run")
    assert there["model.safetensors"] == (plain / "model.safetensors").read_bytes()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "metrics.jsonl").write_bytes(there["metrics.jsonl"])
    assert metrics(tmp_path / "there") == metrics(plain)
    steps = {name.split("/")[1] for name in there if name.startswith("checkpoints/step")}
    assert "step-40" in steps
    assert steps <= {"step-30", "step-40"}  # where the kill came before all of step 30 was there, it is removed
    assert weather.counts["errors"] > 3
    assert weather.counts["cuts"] > 0

    code, out = _done(_bert(place, tmp_path / "third", "fill_mask", f"--model={place.root}/run", "--text=a [MASK]"))
    assert code == 0, out


def test_what_is_not_there_or_refused_is_one_line(place: Place, tmp_path: Path) -> None:
    learn = ("learn_vocab", "--vocab_size=300")
    code, out = _done(_bert(place, tmp_path / "home", *learn, f"--input_file={place.root}/none", "--output_file=v"))
    assert (code, out.count("\n")) == (2, 1), out
    assert f"--input_file={place.root}/none: no such file or folder" in out
    scheme = place.root.partition("://")[0]
    nowhere = f"{scheme}://nobody-has-this/nothing/v.txt"
    words = (f"--input_file={FIXTURES / 'corpus.txt'}", f"--output_file={nowhere}")
    code, out = _done(_bert(place, tmp_path / "home", *learn, *words))
    assert code == 2, out
    assert nowhere.rpartition("/")[0] in out.splitlines()[-1]
    assert "Traceback" not in out


def test_a_server_that_always_fails_is_named(place: Place, tmp_path: Path) -> None:
    place.weather.error_every = 1
    words = ("--vocab_size=300", f"--input_file={place.root}/corpus.txt", "--output_file=v")
    code, out = _done(_bert(place, tmp_path / "home", "learn_vocab", *words))
    assert code == 2, out
    assert f"{place.root}/corpus.txt: cannot be read" in out.splitlines()[-1]
    assert "Traceback" not in out
