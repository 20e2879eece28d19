"""Commands whose paths are addresses: memory://, file:// and http://. Real servers: `make test-remote`."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import bertworks
from bertworks import addresses, cli
from bertworks.commands import create_pretraining_data, run_pretraining
from bertworks.data import stream
from bertworks.data.corpus import open_corpus
from bertworks.errors import InputError
from bertworks.flags import describe, parse
from bertworks.remote import cache, outputs, stores
from bertworks.remote.at_hand import at_hand, local_inputs
from tests.commands.runs import FIXTURES, make_shards, metrics, run
from tests.http_server import served

_TRAIN = (
    *("run_pretraining", "--size=1/32", "--do_train", "--max_seq_length=32", "--max_predictions_per_seq=4"),
    *("--train_batch_size=4", "--num_warmup_steps=1", "--log_every_steps=1", "--device=cpu", "--precision=fp32"),
)


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(addresses.HOME, str(tmp_path / "home"))
    monkeypatch.setattr(stores, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(outputs, "PERIOD", 0.05)
    yield
    cache.release()


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system of memory://, empty."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def _upload(memory: Any, folder: Path, to: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"{to}/{path.relative_to(folder)}", path.read_bytes())


def _below(memory: Any, folder: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{folder}/"): memory.cat_file(name) for name in memory.find(folder)}


def test_shards_elsewhere_are_those_made_here(memory: Any, tmp_path: Path) -> None:
    here = make_shards(tmp_path / "shards")
    memory.pipe_file("/b/corpus.txt", (FIXTURES / "corpus.txt").read_bytes())
    memory.pipe_file("/b/vocab.txt", (FIXTURES / "vocab.txt").read_bytes())
    words = ("--input_file=memory://b/*.txt,memory://b/corpus.txt", "--vocab_file=memory://b/vocab.txt")
    assert run("create_pretraining_data", words[0].partition(",")[0], words[1], "--output_dir=memory://b/both") == 0
    assert run("create_pretraining_data", "--input_file=memory://b/corp*", words[1], "--output_dir=memory://b/s") == 0
    there = _below(memory, "/b/s")
    wanted = {path.name: path.read_bytes() for path in here.iterdir() if path.name != "flags.toml"}
    assert {name: content for name, content in there.items() if name != "flags.toml"} == wanted
    assert b'input_file = "memory://b/corp*"' not in there["flags.toml"]  # what the pattern named
    assert b'input_file = "memory://b/corpus.txt"' in there["flags.toml"]


def test_a_run_continues_elsewhere_on_a_machine_that_has_nothing_of_it(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = make_shards(tmp_path / "shards")
    _upload(memory, here, "/b/shards")
    train = (*_TRAIN, "--save_checkpoints_steps=2", "--keep_checkpoint_max=2")
    assert run(*train, f"--input_file={here}", f"--output_dir={tmp_path / 'plain'}", "--num_train_steps=8") == 0
    elsewhere = ("--input_file=memory://b/shards", "--output_dir=memory://b/run")
    with monkeypatch.context() as interrupted:
        interrupted.setattr("bertworks.train.step.Stepper.take", _stopping_at(4))
        assert run(*train, *elsewhere, "--num_train_steps=8") == 130
    monkeypatch.setenv(addresses.HOME, str(tmp_path / "another machine"))
    capsys.readouterr()
    assert run(*train, *elsewhere, "--num_train_steps=8") == 0
    assert "Continuing from memory://b/run/checkpoints/step-4" in capsys.readouterr().err
    there = _below(memory, "/b/run")
    assert there["model.safetensors"] == (tmp_path / "plain" / "model.safetensors").read_bytes()
    steps = {name.split("/")[1] for name in there if name.startswith("checkpoints/step")}
    assert steps == {"step-6", "step-8"}  # older ones are removed elsewhere too
    assert b'output_dir = "memory://b/run"' in there["flags.toml"]
    assert outputs.RUN not in there
    assert not [name for name in there if "/." in name or name.startswith(".")]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "metrics.jsonl").write_bytes(there["metrics.jsonl"])
    assert metrics(tmp_path / "there") == metrics(tmp_path / "plain")
    assert run("fill_mask", "--model=memory://b/run", "--text=a [MASK]", "--device=cpu") == 0
    # From Python too.
    found = bertworks.load("memory://b/run", device="cpu").embed("a", pooling="mean")
    np.testing.assert_array_equal(found, bertworks.load(tmp_path / "plain", device="cpu").embed("a", pooling="mean"))


def _stopping_at(step: int) -> Callable[..., Any]:
    """Take steps, and be interrupted in one."""
    from bertworks.train.step import Stepper

    take = Stepper.take

    def taking(self: Any, number: int, *rest: Any) -> Any:
        if number == step:
            raise KeyboardInterrupt
        return take(self, number, *rest)

    return taking


def _two_steps_elsewhere(folder: Path) -> tuple[str, ...]:
    """Train for two steps into memory://b/run; return the command line without the number of steps."""
    train = (
        *(*_TRAIN, f"--input_file={make_shards(folder / 'shards')}"),
        *("--output_dir=memory://b/run", "--save_checkpoints_steps=2"),
    )
    assert run(*train, "--num_train_steps=2") == 0
    return train


def test_a_half_checkpoint_elsewhere_is_not_one(
    memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = _two_steps_elsewhere(tmp_path)
    for name, content in _below(memory, "/b/run/checkpoints/step-2").items():
        if name != "state.json":
            memory.pipe_file(f"/b/run/checkpoints/step-3/{name}", content)
    capsys.readouterr()
    assert run(*train, "--num_train_steps=4") == 0
    assert "Continuing from memory://b/run/checkpoints/step-2" in capsys.readouterr().err
    assert not memory.exists("/b/run/checkpoints/step-3")


def test_markers_are_sent_after_what_they_stand_for(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    output = outputs.Output("memory://b/run", is_folder=True)
    output.begin()
    sent: list[str] = []
    put = stores.Store.put
    monkeypatch.setattr(
        stores.Store, "put", lambda self, path, address: (put(self, path, address), sent.append(path.name))[0]
    )
    folder = output.local / "checkpoints" / "step-1"
    folder.mkdir(parents=True)
    for name in ("state.json", "a", "z", ".x.partial"):
        (folder / name).write_text("1")
    output.end()
    assert sorted(sent) == ["a", "state.json", "z"]
    assert sent[-1] == "state.json"


def test_a_second_run_is_refused(memory: Any) -> None:
    first = outputs.Output("memory://b/run", is_folder=True)
    first.begin()
    with pytest.raises(InputError, match="memory://b/run: another run writes there"):
        outputs.Output("memory://b/run", is_folder=True).begin()
    first.end()
    again = outputs.Output("memory://b/run", is_folder=True)
    again.begin()
    again.end()


def test_a_store_that_fails_for_a_while_loses_nothing(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = outputs.Output("memory://b/run", is_folder=True)
    output.begin()
    fails = threading.Event()
    fails.set()
    put = type(memory).put_file

    def failing(self: Any, *words: Any, **options: Any) -> Any:
        if fails.is_set():
            raise OSError("connection reset")
        return put(self, *words, **options)

    monkeypatch.setattr(type(memory), "put_file", failing)
    (output.local / "a").write_text("1")
    waited = threading.Event()
    for _ in range(400):
        waited.wait(0.05)
        if "the files wait" in capsys.readouterr().err:
            break
    else:
        pytest.fail("nothing was said")
    fails.clear()
    output.end()
    assert memory.cat_file("/b/run/a") == b"1"


def test_what_cannot_be_sent_waits(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *words: Any, **options: Any) -> None:
        raise PermissionError("read-only")

    output = outputs.Output("memory://b/run", is_folder=True)
    output.begin()
    (output.local / "a").write_text("1")
    monkeypatch.setattr(type(memory), "put_file", broken)
    with pytest.raises(InputError, match=r"memory://b/run/a: cannot be written \(read-only\).*waits below"):
        output.end()


@pytest.mark.parametrize("fails", ["all", "last"])
def test_what_waits_is_sent_by_the_same_command(memory: Any, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    put = type(memory).put_file

    def broken(self: Any, local: str, *words: Any, **options: Any) -> Any:
        if fails == "all" or local.endswith("state.json"):
            raise PermissionError("read-only")
        return put(self, local, *words, **options)

    output = outputs.Output("memory://b/run", is_folder=True)
    output.begin()
    folder = output.local / "checkpoints" / "step-1"
    folder.mkdir(parents=True)
    for name in ("weights", "state.json"):
        (folder / name).write_text(name)
    with monkeypatch.context() as failing:
        failing.setattr(type(memory), "put_file", broken)
        with pytest.raises(InputError, match="the same command continues there"):
            output.end()
    again = outputs.Output("memory://b/run", is_folder=True)
    again.begin()
    assert (folder / "state.json").exists()
    again.end()
    assert _below(memory, "/b/run/checkpoints/step-1") == {"weights": b"weights", "state.json": b"state.json"}


def test_a_folder_that_cannot_be_written_is_found_out_at_once(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Any, *words: Any, **options: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(type(memory), "pipe_file", broken)
    words = (f"--input_file={FIXTURES / 'corpus.txt'}", f"--vocab_file={FIXTURES / 'vocab.txt'}")
    assert run("create_pretraining_data", *words, "--output_dir=memory://b/s") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "memory://b/s/.bertworks-run: cannot be written (read-only)" in line


def test_a_copy_is_fetched_once_and_again_when_it_changes(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    cat = type(memory).cat_file

    def counting(self: Any, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        reads.append(start)
        return cat(self, path, start, end, **options)

    monkeypatch.setattr(type(memory), "cat_file", counting)
    monkeypatch.setattr(stores, "CHUNK", 10)
    memory.pipe_file("/b/x", b"0123456789abc")
    store = stores.store_of("memory://b/x")
    for content, fetched in ((b"0123456789abc", [0, 10]), (b"0123456789abc", []), (b"another", [0])):
        if content == b"another":
            memory.pipe_file("/b/x", content)
        reads.clear()
        file = store.find("memory://b/x")
        assert file is not None
        assert cache.copied(file).read_bytes() == content
        assert reads == fetched
        cache.release()


def test_a_copy_is_continued_where_it_was_cut(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cat, cut = type(memory).cat_file, [True]
    reads: list[int] = []

    def cutting(self: Any, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        reads.append(start)
        if cut[0] and start == 20:
            raise OSError("cut off")
        content: bytes = cat(self, path, start, end, **options)
        return content[:-1] if len(reads) == 2 else content  # half a part, once

    monkeypatch.setattr(type(memory), "cat_file", cutting)
    monkeypatch.setattr(stores, "CHUNK", 10)
    memory.pipe_file("/b/x", bytes(range(35)))
    file = stores.store_of("memory://b/x").find("memory://b/x")
    assert file is not None
    with pytest.raises(InputError, match="memory://b/x: cannot be read, tried 6 times"):
        cache.copied(file)
    cut[0] = False
    reads.clear()
    assert cache.copied(file).read_bytes() == bytes(range(35))
    assert reads == [20, 30, 30]  # what was there is not fetched again; half a part came, and is
    cache.release()


def test_a_file_that_changes_or_vanishes_is_an_error(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/b/x", b"12345")
    store = stores.store_of("memory://b/x")
    file = store.find("memory://b/x")
    assert file is not None
    memory.pipe_file("/b/x", b"67890")
    with pytest.raises(InputError, match="memory://b/x: has changed while it was read"):
        cache.copied(file)
    memory.rm_file("/b/x")
    with pytest.raises(InputError, match="memory://b/x: is no longer there"):
        cache.copied(file)


def test_the_cache_stays_within_its_bound(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.BOUND, str(100_000 / 1e9))
    store = stores.store_of("memory://b")
    paths = []
    for name in "abcd":
        memory.pipe_file(f"/b/{name}", os.urandom(40_000))
        file = store.find(f"memory://b/{name}")
        assert file is not None
        paths.append(cache.copied(file))
        cache.release()
    assert [path.exists() for path in paths] == [False, False, True, True]
    for name in "ab":
        file = store.find(f"memory://b/{name}")
        assert file is not None
        cache.copied(file)  # both stay in use
    memory.pipe_file("/b/e", os.urandom(40_000))
    file = store.find("memory://b/e")
    assert file is not None
    with pytest.raises(InputError, match=r"memory://b/e: .* GB of copies would be needed at once"):
        cache.copied(file)
    cache.release()


def test_shards_are_stubs_until_they_are_read(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SHARDS_OF_A_GROUP", 2)
    folder = _many_shards(tmp_path / "shards", tmp_path / "text.txt")
    _upload(memory, folder, "/b/shards")
    words = ["--input_file=memory://b/shards", "--output_dir=x", "--do_train"]
    with at_hand(parse(run_pretraining.Flags, words, "bert")) as flags:
        corpus = open_corpus(flags.input_file)
        there = [cache.version(shard.path)[1] for shard in corpus.shards]
        assert len(there) > 4
        assert not any(there)
        plain = open_corpus(str(folder))
        assert corpus.identity == plain.identity
        assert corpus.counts() == plain.counts()  # counts are in the headers
        for ours, theirs in zip(corpus.shards, plain.shards, strict=True):
            assert (ours.read().tokens == theirs.read().tokens).all()
        assert all(cache.version(shard.path)[1] for shard in corpus.shards)


def _many_shards(folder: Path, file: Path) -> Path:
    """Some shards of about 20 kB."""
    from bertworks.data.prepare import write_corpus
    from bertworks.text.tokenizer import Tokenizer

    file.write_text((FIXTURES / "corpus.txt").read_text() * 40)
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt", True)
    write_corpus([file], folder, tokenizer, shard_bytes=40_000, num_workers=1)
    return folder


def test_training_on_stubs_in_a_small_cache_trains_on_the_same(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _many_shards(tmp_path / "shards", tmp_path / "text.txt")
    monkeypatch.setattr(stream, "SHARDS_OF_A_GROUP", 2)
    _upload(memory, folder, "/b/shards")
    monkeypatch.setenv(cache.BOUND, str(120_000 / 1e9))  # far less than all
    train = (*_TRAIN, "--num_train_steps=30")
    assert run(*train, f"--input_file={folder}", f"--output_dir={tmp_path / 'plain'}") == 0
    assert run(*train, "--input_file=memory://b/shards", f"--output_dir={tmp_path / 'elsewhere'}") == 0
    assert metrics(tmp_path / "elsewhere") == metrics(tmp_path / "plain")
    kept = [path for path in (addresses.inputs() / "memory/b/shards").glob("shard-*") if cache.version(path)[1]]
    assert len(kept) < len(list(folder.glob("shard-*")))


def test_a_prefix_of_a_checkpoint_brings_all_of_it(memory: Any) -> None:
    _upload(memory, FIXTURES / "google_tiny", "/b/tiny")
    (prefix,) = {path.name.partition(".index")[0] for path in (FIXTURES / "google_tiny").glob("bert_model*.index")}
    memory.pipe_file("/b/tiny/vocab.txt", (FIXTURES / "vocab.txt").read_bytes())
    words = ("--bert_config_file=memory://b/tiny/bert_config.json", "--vocab_file=memory://b/tiny/vocab.txt")
    assert run("fill_mask", f"--init_checkpoint=memory://b/tiny/{prefix}", *words, "--text=a [MASK]") == 0
    assert (addresses.inputs() / "memory/b/tiny" / f"{prefix}.index").exists()
    assert not (addresses.inputs() / "memory/b/tiny" / "forward.npz").exists()


def test_http_inputs(tmp_path: Path) -> None:
    vocab = tmp_path / "v.txt"
    with served() as site:
        site.files["/corpus.txt"] = (FIXTURES / "corpus.txt").read_bytes()
        site.cuts = [1000]
        words = ("learn_vocab", f"--input_file={site.address}/corpus.txt", "--vocab_size=300")
        assert run(*words, f"--output_file=file://{vocab}") == 0
        plain = tmp_path / "plain.txt"
        assert run("learn_vocab", f"--input_file={FIXTURES / 'corpus.txt'}", words[2], f"--output_file={plain}") == 0
        assert vocab.read_bytes() == plain.read_bytes()
        requests = len(site.requests)
        assert run(*words, f"--output_file={vocab}") == 0
        assert len(site.requests) == requests  # the copy is still of this version
        site.etag = '"2"'
        site.files["/corpus.txt"] = b"one two one two"
        assert run(*words, f"--output_file={vocab}") == 0
        assert vocab.read_bytes() != plain.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--input_file=memory://b/none",), "--input_file=memory://b/none: no such file or folder"),
        (("--input_file=memory://b/*.txt",), "--input_file: no file matches memory://b/*.txt"),
        (("--input_file=ftp://b/x",), "ftp://b/x: not a kind of address that we read; gs://"),
        (("--input_file=gs://",), "gs://: not an address"),
        (("--input_file=file://host/x",), "file://host/x: names a file of another machine"),
        (("--input_file=http://127.0.0.1:9/x",), "http://127.0.0.1:9/x: cannot be read, tried 6 times"),
        (("--output_file=http://127.0.0.1:9/x",), "http is for reading"),
        (("--output_file=memory://x",), "memory://x: not an address of a file"),
        (("--config=memory://b/c.toml",), "--config=memory://b/c.toml: no such file or folder"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    memory: Any, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = {"--input_file": str(FIXTURES / "corpus.txt"), "--output_file": "/dev/null/x", "--vocab_size": "300"}
    given = {**usual, **dict(word.split("=", 1) for word in words)}
    assert run("learn_vocab", *(f"{name}={value}" for name, value in given.items())) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert said in last


def test_flags_of_a_file_elsewhere(memory: Any, tmp_path: Path) -> None:
    memory.pipe_file("/b/c.toml", f'input_file = "{FIXTURES / "corpus.txt"}"\nvocab_size = 300\n'.encode())
    for config in (["--config=memory://b/c.toml"], ["--config", "memory://b/c.toml"]):
        output = tmp_path / f"v{len(config)}.txt"
        assert run("learn_vocab", *config, f"--output_file={output}") == 0
        assert output.exists()


def test_every_path_that_a_command_writes_says_so() -> None:
    """`at_hand` sends what these flags name, and fetches what all other flags name."""
    import importlib

    for command in cli.COMMANDS:
        for described in describe(importlib.import_module(f"bertworks.commands.{command}").Flags).values():
            if described.path and (described.group == "Output" or described.name == "output_dir"):
                assert described.path in ("written", "written folder"), (command, described.name)


def test_without_addresses_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from bertworks import cli; cli.main(['learn_vocab', '--input_file=/none', '--output_file=/x']);"
        "assert 'bertworks.remote.at_hand' not in sys.modules and 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_offline_only_copies_are_used(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/b/corpus.txt", (FIXTURES / "corpus.txt").read_bytes())
    words = ("learn_vocab", "--input_file=memory://b/corpus.txt", "--vocab_size=300")
    assert run(*words, f"--output_file={tmp_path / 'v'}") == 0
    monkeypatch.setenv("BERTWORKS_OFFLINE", "1")
    memory.rm_file("/b/corpus.txt")
    assert run(*words, f"--output_file={tmp_path / 'v'}") == 0
    assert run(words[0], "--input_file=memory://b/other.txt", words[2], f"--output_file={tmp_path / 'v'}") == 2


def test_processes_of_one_machine_use_one_copy(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    words = [f"--input_file={FIXTURES / 'corpus.txt'}", "--vocab_file=v", "--output_dir=memory://b/s"]
    flags = parse(create_pretraining_data.Flags, words, "bert")
    with pytest.raises(InputError, match="memory://b/s: several machines"), at_hand(flags):
        pass


def test_the_record_of_what_was_sent_is_json(memory: Any) -> None:
    output = outputs.Output("memory://b/run", is_folder=True)
    output.begin()
    (output.local / "a").write_text("1")
    output.end()
    record = json.loads(output._record.read_text())
    assert record["a"]["here"][0] == 1


def test_a_fine_tuning_from_python_writes_to_an_address(memory: Any, tmp_path: Path) -> None:
    memory.pipe_file("/b/train.csv", b"text,label\n" + b"the old market,good\na house,bad\n" * 6)
    trained = bertworks.finetune(
        "memory://b/train.csv",
        output_dir="memory://b/tuned",
        init_checkpoint=FIXTURES / "google_tiny" / "trained.ckpt",
        vocab_file=FIXTURES / "vocab.txt",
        bert_config_file=FIXTURES / "google_tiny" / "bert_config.json",
        num_train_epochs=1,
        train_batch_size=4,
        device="cpu",
    )
    assert trained.classify("a house").label in ("good", "bad")
    assert {"model.safetensors", "flags.toml", "README.md"} <= set(_below(memory, "/b/tuned"))
    with pytest.raises(InputError, match="output_dir=memory://b/other: rows in memory need a folder here"):
        bertworks.finetune([("a", "b")], output_dir="memory://b/other")


def test_a_file_beside_a_run_leaves_the_run_alone(
    memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _two_steps_elsewhere(tmp_path)
    local = addresses.outputs() / "memory" / "b"
    first, second = outputs.Output("memory://b", is_folder=False), outputs.Output("memory://b", is_folder=False)
    for output, name in ((first, "a.npy"), (second, "b.npy")):
        output.names.add(name)
        output.begin()
        (local / name).write_text(name)
        (local / f"{name}.json").write_text("{}")
    assert (local / "run" / "checkpoints" / "step-2").is_dir()
    memory.pipe_file("/b/run/flags.toml", b"of another machine")
    for output in (first, second):
        output.end()
    assert [memory.cat_file(f"/b/{name}") for name in ("a.npy", "b.npy", "b.npy.json")] == [b"a.npy", b"b.npy", b"{}"]
    assert memory.cat_file("/b/run/flags.toml") == b"of another machine"
    capsys.readouterr()


@pytest.mark.parametrize("emptied", ["run", "run/checkpoints"])
def test_who_empties_the_local_folder_loses_nothing_elsewhere(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], emptied: str
) -> None:
    train = _two_steps_elsewhere(tmp_path)
    shutil.rmtree(addresses.outputs() / "memory" / "b" / emptied)
    fetch = outputs.Output._fetch

    def killed(self: outputs.Output, name: str, file: Any) -> None:
        if name.endswith("optimizer.safetensors"):
            raise KeyboardInterrupt
        fetch(self, name, file)

    with monkeypatch.context() as killing:
        killing.setattr(outputs.Output, "_fetch", killed)
        assert run(*train, "--num_train_steps=4") == 130
    capsys.readouterr()
    assert run(*train, "--num_train_steps=4") == 0
    assert "Continuing from memory://b/run/checkpoints/step-2" in capsys.readouterr().err


def test_offline_patterns_prefixes_and_members_are_those_of_the_copies(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt", "m.ckpt.index", "m.ckpt.data-00000-of-00001", "m.zip"):
        memory.pipe_file(f"/b/{name}", b"1")
    given = [f"memory://b/{name}" for name in ("*.txt", "m.ckpt", "m.zip/inner")]
    brought = [local_inputs(one, "--x", is_model=False) for one in given]
    monkeypatch.setenv("BERTWORKS_OFFLINE", "1")
    assert [local_inputs(one, "--x", is_model=False) for one in given] == brought
    for missing in ("*.csv", "n.ckpt", "n.zip/inner"):
        with pytest.raises(InputError, match="not fetched, because BERTWORKS_OFFLINE=1 is set"):
            local_inputs(f"memory://b/{missing}", "--x", is_model=False)


def test_what_lies_deeper_than_a_file_is_not_listed(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket may have millions of files."""
    for name in ("m.ckpt.index", "m.ckpt.data-00000-of-00001", "vocab.txt", "deep/er/x"):
        memory.pipe_file(f"/b/{name}", b"1")
    listed: list[str] = []
    find = type(memory).find

    def noting(self: Any, path: str, *words: Any, **options: Any) -> Any:
        listed.append(path)
        return find(self, path, *words, **options)

    monkeypatch.setattr(type(memory), "find", noting)
    place = Path(local_inputs("memory://b/m.ckpt", "--init_checkpoint", is_model=True))
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "m.ckpt.data-00000-of-00001",
        "m.ckpt.index",
        "vocab.txt",
    ]
    with pytest.raises(InputError, match=r"memory://b/typo\.txt: no such file or folder"):
        local_inputs("memory://b/typo.txt", "--input_file", is_model=False)
    assert {"/b", "b", "/b/", ""}.isdisjoint(listed)


def test_what_is_finished_is_sent_after_a_sigterm(tmp_path: Path) -> None:
    program = """
import os, signal, sys, fsspec
from pathlib import Path
from bertworks.commands.learn_vocab import Flags
from bertworks.remote.at_hand import at_hand, local_inputs

before = signal.getsignal(signal.SIGTERM)
try:
    with at_hand(Flags(input_file="x", output_file="memory://b/vocab.txt")) as flags:
        Path(flags.output_file).write_text("whole")
        os.kill(os.getpid(), signal.SIGTERM)
except SystemExit as left:
    print(left.code, fsspec.filesystem("memory").cat_file("/b/vocab.txt"), signal.getsignal(signal.SIGTERM) is before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, addresses.HOME: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("143 b'whole' True\n", 0), done.stderr


def test_a_file_elsewhere_that_is_read_is_not_written_over(memory: Any, capsys: pytest.CaptureFixture[str]) -> None:
    content = (FIXTURES / "corpus.txt").read_bytes()
    memory.pipe_file("/b/corpus.txt", content)
    same = "memory://b/corpus.txt"
    assert run("learn_vocab", f"--input_file={same}", f"--output_file={same}", "--vocab_size=300") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        said == f"bert learn_vocab: --output_file={same}: is the input {same}, which would be lost; give another file"
    )
    assert memory.cat_file("/b/corpus.txt") == content


def test_other_forms_of_weights_are_left_out_in_each_folder(memory: Any) -> None:
    names = ("model.safetensors", "pytorch_model.bin", "config.json", "2_Dense/pytorch_model.bin", "onnx/model.onnx")
    for name in names:
        memory.pipe_file(f"/b/m/{name}", b"1")
    place = Path(local_inputs("memory://b/m", "--model", is_model=True))
    found = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert found == {"model.safetensors", "config.json", "2_Dense/pytorch_model.bin"}
