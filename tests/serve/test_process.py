"""`bert serve` as a process and its models: starting, stopping, loading again, and what cannot be served."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertworks import cli
from bertworks.checkpoints.weights import DenseLayer, SentenceRules, Weight
from bertworks.commands.serve import Flags
from bertworks.errors import InputError
from bertworks.flags import parse
from bertworks.pretrained import Pretrained
from bertworks.serve import loading, run
from bertworks.serve.loading import load_model
from bertworks.serve.models import listed, named_sources
from tests.serve.models import TEXTS, serving


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["serve", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_cannot_be_served_is_one_line(
    sources: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = sources["words"]
    assert "must be given" in mistake(capsys)
    assert "nowhere" in mistake(capsys, str(tmp_path / "nowhere"), "--port=0")
    shutil.copytree(words, tmp_path / "words")
    twice = mistake(capsys, words, str(tmp_path / "words"))
    assert f"{words} and {tmp_path / 'words'} are both named words; give NAME={tmp_path / 'words'}" in twice
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port={port}: is in use" in mistake(capsys, words, f"--port={port}")
    assert "--host=203.0.113.7" in mistake(capsys, words, "--host=203.0.113.7")
    weights = load_file(tmp_path / "words" / "model.safetensors")
    weights["bert.encoder.layer.1.output.dense.bias"][3] = torch.nan
    save_file(weights, tmp_path / "words" / "model.safetensors")
    assert "bert.encoder.layer.1.output.dense.bias has values that are no numbers" in mistake(
        capsys, str(tmp_path / "words"), "--port=0"
    )


def test_a_missing_library_is_named_with_what_installs_it() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from bertworks.cli import main; sys.exit(main(['serve', 'a']))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr == 'bert serve: bert serve needs uvicorn: pip install "bertworks[serve]"\n'


def test_flags_of_other_servers_are_accepted() -> None:
    theirs = "--model-id M --hostname ::1 --port 80 --payload-limit 5000 --max-client-batch-size 9 --api-key K"
    ours = "M --host=::1 --port=80 --max_body_bytes=5000 --max_texts=9 --api_key=K"
    assert parse(Flags, theirs.split(), "p") == parse(Flags, ours.split(), "p")
    assert parse(Flags, ["-model_dir", "M", "-http_port", "8125"], "p") == parse(Flags, ["M", "--port=8125"], "p")


def test_models_have_names(sources: dict[str, str]) -> None:
    words = sources["words"]
    assert named_sources(f"{words},other={words}") == {"words": words, "other": words}
    assert named_sources(f" {words} , other = {words},") == {"words": words, "other": words}
    assert listed(" http://a.example, *,, ") == ["http://a.example", "*"]
    with pytest.raises(InputError, match="both named a"):
        named_sources(f"a={words},a={words}")


def test_the_version_follows_the_weights(sources: dict[str, str], tmp_path: Path) -> None:
    first = load_model("cpu", "fp32", "torch", "a", sources["words"])
    shutil.copytree(sources["words"], tmp_path / "copy")
    assert load_model("cpu", "fp32", "torch", "b", str(tmp_path / "copy")).version == first.version
    assert load_model("cpu", "int8", "torch", "b", str(tmp_path / "copy")).version != first.version
    weights = load_file(tmp_path / "copy" / "model.safetensors")
    weights["bert.embeddings.LayerNorm.bias"][0] += 1
    save_file(weights, tmp_path / "copy" / "model.safetensors")
    assert load_model("cpu", "fp32", "torch", "b", str(tmp_path / "copy")).version != first.version


def test_the_version_follows_the_rules_of_the_tokenizer(sources: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(sources["words"], tmp_path / "copy")
    for name, key in (("tokenizer_config.json", "do_lower_case"), ("tokenizer.json", "lowercase")):
        content = json.loads((tmp_path / "copy" / name).read_text())
        rules = content if name == "tokenizer_config.json" else content["normalizer"]
        rules[key] = not rules[key]
        (tmp_path / "copy" / name).write_text(json.dumps(content))
    first, other = (load_model("cpu", "fp32", "torch", "a", str(of)) for of in (sources["words"], tmp_path / "copy"))
    assert first.tokenizer.do_lower_case != other.tokenizer.do_lower_case
    assert first.version != other.version


def test_the_version_follows_all_rules_of_a_sentence(sources: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def weight(number: float) -> Weight:
        return Weight("w", (2,), lambda out: out.fill(number))

    opened = loading.load(sources["words"], device="cpu")
    dense = DenseLayer(weight(1), weight(1), "tanh")
    plain = SentenceRules(("mean",), (dense,), max_seq_length=20)
    kinds = [
        *(plain, replace(plain, poolings=("cls",)), replace(plain, max_seq_length=16), replace(plain, prompt="a ")),
        *(replace(plain, do_lower_case=True), replace(plain, steps=(dense, None))),
        *(replace(plain, steps=(replace(dense, bias=bias),)) for bias in (weight(2), None)),
        *(replace(plain, steps=(replace(dense, **one),)) for one in ({"weight": weight(2)}, {"activation": "relu"})),
    ]
    versions = set()
    for rules in (*kinds, plain):
        checkpoint = replace(opened.checkpoint, sentences=rules)
        monkeypatch.setattr(loading, "load", lambda *_, of=checkpoint, **__: replace(opened, checkpoint=of))
        versions.add(load_model("cpu", "fp32", "torch", "a", "words").version)
    assert len(versions) == len(kinds)


def test_a_model_whose_folder_is_deleted_goes_on_and_can_be_unloaded(sources: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(sources["classifier"], tmp_path / "one")
    own = {"one": str(tmp_path / "one"), "words": sources["words"]}
    with serving(own, allow_changes=True) as running:
        before = running.post("/v1/classify", texts=TEXTS[:2]).json
        assert running.ask("POST", "/v1/models/one/reload").json["version"] == before["version"]
        shutil.rmtree(tmp_path / "one")
        assert running.post("/v1/classify", texts=TEXTS[:2]).json == before
        stays = running.ask("POST", "/v1/models/one/reload")
        assert (stays.status, "the old one stays" in stays.json["error"]["message"]) == (400, True)
        assert running.post("/v1/classify", texts=TEXTS[:2]).json == before
        network = weakref.ref(running.engine.registry.named("one").pretrained.model)
        assert running.ask("DELETE", "/v1/models/one").json == {"id": "one", "deleted": True, "object": "model"}
        deadline = time.monotonic() + 10
        while (
            network() is not None and time.monotonic() < deadline
        ):  # the last answer was sent; its request may yet end
            gc.collect()
            time.sleep(0.01)
        assert network() is None
        gone = running.post("/v1/classify", texts=TEXTS[:2])
        assert (gone.status, gone.json["error"]["code"]) == (400, "unable")
        assert running.ask("DELETE", "/v1/models/one").status == 404
        assert running.ask("DELETE", "/v1/models/words").status == 200
        assert running.ask("GET", "/info").status == 503
        assert running.post("/", inputs="a").status == 503


def test_routes_that_change_models_are_off(sources: dict[str, str]) -> None:
    with serving({"words": sources["words"]}) as running:
        assert running.ask("DELETE", "/v1/models/words").status == 405
        assert running.ask("POST", "/v1/models/words/reload").status == 404


@contextmanager
def process(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command; gives the process and its address."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bertworks", "serve", *words, "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        try:
            assert running.stderr
            for line in running.stderr:
                if line.startswith("Serving at "):
                    yield running, line.split()[2]
                    break
            else:
                raise AssertionError("it did not start")
        finally:
            running.kill()


def post(url: str, body: object) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_signal_drains_and_another_loads_again(sources: dict[str, str]) -> None:
    with process(sources["classifier"], "--max_wait_ms=3000", "--max_batch_tokens=100000") as (running, url):
        running.send_signal(signal.SIGHUP)
        assert running.stderr
        assert "classifier: loaded again from" in running.stderr.readline()
        found: list[dict] = []
        # It waits for others to share its batch when the signal comes.
        asking = threading.Thread(target=lambda: found.append(post(f"{url}/v1/classify", {"texts": TEXTS})))
        asking.start()
        end = time.monotonic() + 20
        while "bert_waiting_tokens 0.0" in urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode():
            assert time.monotonic() < end
        running.send_signal(signal.SIGTERM)
        asking.join(30)
        assert len(found[0]["results"]) == len(TEXTS)
        assert running.wait(30) == 0
        assert "Stopping" in running.stderr.read()


def test_a_server_in_integers_says_so(sources: dict[str, str]) -> None:
    with serving({"words": sources["words"]}, precision="int8") as running:
        assert running.ask("GET", "/info").json["model_dtype"] == "int8"
        assert running.post("/v1/embeddings", input=["a house"]).status == 200


def test_answers_are_not_held_back_until_the_client_acknowledges() -> None:
    sock = run.bind("127.0.0.1", 0)

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=sock):
            _, writer = await asyncio.open_connection(*sock.getsockname()[:2])
            writer.close()
            return await found

    assert asyncio.run(accepted()) != 0


def test_a_model_is_loaded_in_a_thread_that_ends(sources: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """GNU OpenMP keeps a team for every thread that has computed; with two of them, all wait passively."""
    used: list[threading.Thread] = []
    opened = loading.load

    def seen(*args: Any, **options: Any) -> Pretrained:
        used.append(threading.current_thread())
        return opened(*args, **options)

    monkeypatch.setattr(loading, "load", seen)
    load_model("cpu", "fp32", "torch", "words", sources["words"])
    (thread,) = used
    assert thread is not threading.current_thread()
    assert not thread.is_alive()
