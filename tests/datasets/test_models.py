"""The names of the zoo and the hub, and what becomes of them."""

import hashlib
import io
import re
import sys
import types
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks
from bertworks.addresses import HOME
from bertworks.checkpoints.load import open_checkpoint
from bertworks.config import BertConfig
from bertworks.datasets import download, registry
from bertworks.datasets import models as zoo
from bertworks.datasets.registry import find_model
from bertworks.datasets.schema import KnownModel, RemoteFile
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from tests.checkpoints.builders import GOOGLE_TINY
from tests.export.builders import add_sentences, save
from tests.http_server import Site, served

FIXTURES = GOOGLE_TINY.parent
GOOGLE_FILES = ("bert_config.json", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def sha1(data: bytes) -> str:
    return f"sha1:{hashlib.sha1(data).hexdigest()}"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server, a zoo of three tiny models on it, an empty cache, and an empty folder to work in."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", download.OFFLINE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    google = {name: (GOOGLE_TINY / name).read_bytes() for name in GOOGLE_FILES}
    google["vocab.txt"] = (FIXTURES / "vocab.txt").read_bytes()
    params, vocab = (FIXTURES / "gluonnlp_tiny.params").read_bytes(), b'{"idx_to_token": ["[PAD]", "[UNK]"]}'
    with served() as site:
        site.files["/2018/uncased_L-3_H-32_A-4.zip"] = zipped({f"tiny/{name}": data for name, data in google.items()})
        site.files["/all.zip"] = zipped({f"{name}/{file}": data for name in "ab" for file, data in google.items()})
        site.files["/models/m-12.zip"] = zipped({"m-12.params": params, "other": b""})
        site.files["/vocab/v-34.zip"] = zipped({"v-34.vocab": vocab})
        site.files["/m/net.ckpt"] = (FIXTURES / "mindspore_tiny.ckpt").read_bytes()
        models = (
            a_model("tiny", "google", RemoteFile(f"{site.address}/2018/uncased_L-3_H-32_A-4.zip"), aliases=("small",)),
            a_model("all", "google", RemoteFile(f"{site.address}/all.zip")),
            a_model(
                "bert_3_32_4_made_up",
                "gluonnlp",
                unpacked(f"{site.address}/models/m-12.zip", "m-12.params", params),
                unpacked(f"{site.address}/vocab/v-34.zip", "v-34.vocab", vocab),
            ),
            a_model("Bert-tiny-xx", "mindspore", RemoteFile(f"{site.address}/m/net.ckpt")),
        )
        monkeypatch.setattr(registry, "models", lambda: models)
        yield site


def unpacked(address: str, member: str, content: bytes) -> RemoteFile:
    return RemoteFile(address, unpack=(member,), member_checksums={member: sha1(content)})


def a_model(name: str, family: Any, *files: RemoteFile, aliases: tuple[str, ...] = ()) -> KnownModel:
    return KnownModel(
        name=name,
        aliases=aliases,
        family=family,
        layers=3,
        hidden=32,
        vocab_size=900,
        do_lower_case=True,
        files=files,
    )


def change_file(monkeypatch: pytest.MonkeyPatch, number: int, **changes: Any) -> None:
    """Change the first file of a model of the zoo."""
    models = list(registry.models())
    first, *rest = models[number].files
    models[number] = replace(models[number], files=(replace(first, **changes), *rest))
    monkeypatch.setattr(registry, "models", lambda: tuple(models))


def test_the_table_has_the_published_numbers() -> None:
    parameters = {model.name: model.parameters for model in registry.models()}
    # Counted from the original's graphs: encoder and pooler.
    assert parameters["uncased_L-12_H-768_A-12"] == 109_482_240
    assert parameters["cased_L-12_H-768_A-12"] == 108_310_272
    assert parameters["uncased_L-24_H-1024_A-16"] == 335_141_888
    assert parameters["wwm_cased_L-24_H-1024_A-16"] == 333_579_264
    assert parameters["chinese_L-12_H-768_A-12"] == 102_267_648
    assert parameters["multi_cased_L-12_H-768_A-12"] == 177_853_440
    assert parameters["uncased_L-2_H-128_A-2"] == 4_385_920
    assert parameters["uncased_L-8_H-512_A-8"] == 41_373_184
    assert parameters["uncased_L-10_H-256_A-4"] == 15_909_120
    assert parameters["all_bert_models"] is None


def test_a_row_counts_the_parameters_of_our_model() -> None:
    model = find_model("bert-tiny")
    assert model is not None
    assert model.vocab_size is not None
    ours = PretrainingModel(BertConfig.from_size("tiny", model.vocab_size))
    assert sum(parameter.numel() for parameter in ours.bert.parameters()) == model.parameters


def test_the_table_is_whole() -> None:
    names = [name for model in registry.models() for name in (model.name, *model.aliases)]
    assert len(set(names)) == len(names)
    assert len([model for model in registry.models() if model.date == "2020-02-20"]) == 25
    for model in registry.models():
        # What a name says is what the model says.
        said = re.search(r"(?<![a-z])(un)?cased(?![a-z])", model.name)
        assert said is None or bool(said[1]) == model.do_lower_case
        numbers = re.search(r"L-(\d+)_H-(\d+)_A-(\d+)|bert_(\d+)_(\d+)_(\d+)", model.name)
        if numbers:
            assert tuple(int(n) for n in numbers.groups() if n) == (model.layers, model.hidden, model.heads)
        for remote in model.files:
            assert remote.address.startswith("https://")
            for checksum in filter(None, (remote.checksum, *remote.member_checksums.values())):
                assert re.fullmatch(r"sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}", checksum)
    paths = [zoo.cached_path(model) for model in registry.models()]
    assert len(set(paths)) == len(paths)


def test_short_names_mean_the_same_as_those_of_the_archives() -> None:
    for short, name in (
        ("bert-base-uncased", "uncased_L-12_H-768_A-12"),
        ("bert-medium", "uncased_L-8_H-512_A-8"),
        ("bert-large-cased-whole-word-masking", "wwm_cased_L-24_H-1024_A-16"),
        ("bert_12_768_12_wiki_cn_cased", "bert_12_768_12_wiki_cn"),
    ):
        assert find_model(short) is find_model(name) is not None
    assert find_model("bert-base") is None


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, "/somewhere")
    assert zoo.cache() == Path("/somewhere/models")
    monkeypatch.delenv(HOME)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert zoo.cache() == Path("/xdg/bertworks/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert zoo.cache() == Path("/home/somebody/.cache/bertworks/models")


def test_a_name_is_downloaded_once_and_opens(site: Site, tmp_path: Path) -> None:
    path = zoo.locate("small", "--model")
    assert path == tmp_path / "home" / "models" / "google" / "2018" / "uncased_L-3_H-32_A-4.zip"
    checkpoint = open_checkpoint("tiny", "--model")
    assert len(checkpoint.weights) > 40
    assert checkpoint.do_lower_case is True
    assert len(site.requests) == 1


def test_one_model_of_several_in_an_archive(site: Site) -> None:
    assert zoo.locate("all/b", "--model") == zoo.cached_path(registry.models()[1]) / "b"
    assert open_checkpoint("all/b", "--model").weights


def test_gluonnlp_becomes_a_folder_of_weights_and_vocabulary(site: Site) -> None:
    path = zoo.locate("bert_3_32_4_made_up", "--model")
    assert sorted(path.name for path in path.iterdir()) == ["m-12.params", "v-34.vocab"]
    assert (path / "m-12.params").read_bytes() == (FIXTURES / "gluonnlp_tiny.params").read_bytes()
    # What is lost is fetched again, and no more than that.
    (path / "v-34.vocab").unlink()
    assert zoo.locate("bert_3_32_4_made_up", "--model") == path
    assert [path for path, _ in site.requests] == ["/models/m-12.zip", "/vocab/v-34.zip", "/vocab/v-34.zip"]


def test_mindspore_becomes_a_folder_with_one_file(site: Site) -> None:
    assert open_checkpoint("Bert-tiny-xx", "--model").format == "MindSpore"
    assert zoo.locate("Bert-tiny-xx", "--model") == zoo.cache() / "mindspore" / "Bert-tiny-xx"
    assert len(site.requests) == 1


@pytest.mark.parametrize("name", ["tiny", "bert_3_32_4_made_up", "Bert-tiny-xx"])
def test_what_is_cached_needs_no_network(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(download.OFFLINE, "1")
    with pytest.raises(InputError) as raised:
        zoo.locate(name, "--model")
    assert site.requests == []
    assert "downloading" not in capsys.readouterr().err
    # What the message says to do by hand is enough.
    (files,) = (model.files for model in registry.models() if model.name == name)
    assert put_by_hand(site, str(raised.value)) == len(files)
    assert zoo.locate(name, "--model").exists()


def put_by_hand(site: Site, message: str) -> int:
    """Do what an error says, and give the number of files."""
    first, *others = message.split("; and ")
    matched = re.fullmatch(rf"{site.address}(\S+): .*; download it by hand and put it at (\S+)", first)
    assert matched
    wanted = [matched.groups()]
    for other in others:
        matched = re.fullmatch(rf"{site.address}(\S+) at (\S+)", other)
        assert matched
        wanted.append(matched.groups())
    for address, to in wanted:
        Path(to).parent.mkdir(parents=True, exist_ok=True)
        Path(to).write_bytes(site.files[address])
    return len(wanted)


def test_only_what_is_missing_is_to_be_downloaded_by_hand(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "bert_3_32_4_made_up"
    path = zoo.locate(name, "--model")
    archives = [site.files.pop(path) for path in ("/models/m-12.zip", "/vocab/v-34.zip")]

    def refused() -> str:
        with pytest.raises(InputError, match="answers 404") as raised:
            zoo.locate(name, "--model")
        return str(raised.value)

    (path / "v-34.vocab").unlink()
    assert "m-12.zip" not in refused()
    (path / "m-12.params").unlink()
    assert refused().endswith(f"{path / 'm-12.zip'}; and {site.address}/vocab/v-34.zip at {path / 'v-34.zip'}")
    # An archive that a person has put there already is not asked for again.
    (path / "v-34.zip").write_bytes(archives[1])
    assert "v-34.zip" not in refused()
    (path / "m-12.zip").write_bytes(archives[0])
    assert zoo.locate(name, "--model") == path


@pytest.mark.parametrize(
    ("number", "path", "data", "message"),
    [
        (0, "/2018/uncased_L-3_H-32_A-4.zip", b"<html>please log in</html>", "not a zip, or damaged"),
        (0, "/2018/uncased_L-3_H-32_A-4.zip", zipped({"big": bytes(70 << 20)}), "unpacked it would have more than"),
        (2, "/models/m-12.zip", zipped({"m-12.params": b"another file"}), "m-12.params has the sha1 "),
        (2, "/models/m-12.zip", zipped({"m-34.params": b""}), "it holds no m-12.params"),
    ],
)
def test_another_file_than_expected_is_refused(
    site: Site, tmp_path: Path, number: int, path: str, data: bytes, message: str
) -> None:
    site.files[path] = data
    model = registry.models()[number]
    with pytest.raises(InputError) as raised:
        zoo.fetch(model)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not zoo.is_cached(model)
    assert [found for found in (tmp_path / "home").rglob("*") if found.is_file()] == []


def test_a_damaged_archive_is_refused(site: Site) -> None:
    path = "/2018/uncased_L-3_H-32_A-4.zip"
    damaged = bytearray(site.files[path])
    damaged[len(damaged) // 2] ^= 1
    site.files[path] = bytes(damaged)
    with pytest.raises(InputError, match="wrong bytes came"):
        zoo.locate("tiny", "--model")


def test_known_checksums_are_compared(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (GOOGLE_TINY / GOOGLE_FILES[2]).read_bytes()
    change_file(monkeypatch, 0, member_checksums={GOOGLE_FILES[2]: sha1(weights[::-1])})
    with pytest.raises(InputError, match=f"data-00000-of-00001 has the {sha1(weights).replace(':', ' ')}, not "):
        zoo.locate("tiny", "--model")
    change_file(monkeypatch, 0, member_checksums={GOOGLE_FILES[2]: sha1(weights)})
    assert zoo.locate("tiny", "--model").is_file()
    change_file(monkeypatch, 3, checksum=sha1(b""))
    with pytest.raises(InputError, match="not da39a3ee5e6b4b0d3255bfef95601890afd80709"):
        zoo.locate("Bert-tiny-xx", "--model")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"no zip", r"not the archive that was expected \(.*\)"),
        (zipped({"other": b""}), "holds no m-12.params"),
        (zipped({"m-12.params": b"wrong"}), r"m-12\.params has the sha1 .*, not "),
    ],
)
def test_a_wrong_archive_put_there_by_hand_is_told(site: Site, data: bytes, problem: str) -> None:
    archive = zoo.cache() / "gluonnlp" / "bert_3_32_4_made_up" / "m-12.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(data)
    with pytest.raises(InputError, match=rf"m-12\.zip: {problem}.*; remove it"):
        zoo.locate("bert_3_32_4_made_up", "--model")
    assert [path.name for path in archive.parent.iterdir()] == ["m-12.zip"]


def test_what_exists_comes_before_a_name(site: Site) -> None:
    here = Path("tiny")
    here.mkdir()
    assert zoo.locate("tiny", "--model") == here
    assert zoo.locate("tiny/bert_model.ckpt", "--model") == here / "bert_model.ckpt"
    Path("small.index").touch()
    assert zoo.locate("small", "--model") == Path("small")
    Path("m.zip").touch()
    assert zoo.locate("m.zip/inner", "--model") == Path("m.zip/inner")
    for path in ("/nowhere/at/all", "../nothing", "a/b/c", "~/x"):
        assert zoo.locate(path, "--model") == Path(path)
    assert site.requests == []


def test_a_name_that_is_unknown(site: Site) -> None:
    with pytest.raises(InputError, match=r"^--model=tinny: no such file or folder, and no .*; did you mean tiny\?$"):
        zoo.locate("tinny", "--model")
    with pytest.raises(InputError, match=r"^--x=qqqqqq: .*; `bert models` lists the names$"):
        zoo.locate("qqqqqq", "--x")


@pytest.mark.parametrize(
    ("handle", "name"),
    [
        ("https://tfhub.dev/google/bert_uncased_L-12_H-768_A-12/1", "uncased_L-12_H-768_A-12"),
        ("tfhub.dev/google/bert_multi_cased_L-12_H-768_A-12/1", "multi_cased_L-12_H-768_A-12"),
        ("https://tfhub.dev/tensorflow/bert_en_cased_L-24_H-1024_A-16/4", "cased_L-24_H-1024_A-16"),
        ("https://tfhub.dev/tensorflow/bert_en_wwm_uncased_L-24_H-1024_A-16/4", "wwm_uncased_L-24_H-1024_A-16"),
        ("https://tfhub.dev/tensorflow/bert_zh_L-12_H-768_A-12/4", "chinese_L-12_H-768_A-12"),
        ("https://tfhub.dev/tensorflow/small_bert/bert_en_uncased_L-2_H-128_A-2/2", "uncased_L-2_H-128_A-2"),
        ("https://tfhub.dev/google/small_bert/bert_uncased_L-12_H-768_A-12/1", "uncased_L-12_H-768_A-12-2020"),
        (
            "https://www.kaggle.com/models/tensorflow/bert/tensorFlow2/bert-en-uncased-l-10-h-128-a-2",
            "uncased_L-10_H-128_A-2",
        ),
    ],
)
def test_a_handle_of_tensorflow_hub_names_a_model(
    handle: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setattr(zoo, "fetch", zoo.cached_path)
    known = registry.find_model(name)
    assert known is not None
    assert zoo.locate(handle, "--model") == zoo.cached_path(known)


class Hub(types.ModuleType):
    """What we use of huggingface_hub, without a network."""

    def __init__(self, files: Mapping[str, bytes], fails: bool = False) -> None:
        super().__init__("huggingface_hub")
        self.files, self.fails, self.asked = files, fails, list[str]()

    def model_info(self, name: str, timeout: float) -> types.SimpleNamespace:
        self.asked.append(name)
        return types.SimpleNamespace(siblings=[types.SimpleNamespace(rfilename=file) for file in self.files])

    def snapshot_download(self, name: str, local_dir: Path, allow_patterns: list[str]) -> None:
        (local_dir / ".cache").mkdir(parents=True)
        if self.fails:
            raise ConnectionError("the cable\nis cut")
        for file in allow_patterns:
            (local_dir / file).parent.mkdir(exist_ok=True)
            (local_dir / file).write_bytes(self.files[file])


def test_a_name_of_the_hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "config.json": b"{}",
        "model.safetensors": b"",
        "pytorch_model.bin": b"",
        "vocab.txt": b"",
        "onnx/model.onnx": b"",
        "model.fp16.safetensors": b"",
    }
    hub = Hub(files)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    path = zoo.locate("somebody/some-bert.v2", "--model")
    assert path == zoo.cache() / "hub" / "somebody" / "some-bert.v2"
    assert sorted(path.name for path in path.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    monkeypatch.setenv(download.OFFLINE, "1")
    assert zoo.locate("somebody/some-bert.v2", "--model") == path
    assert hub.asked == ["somebody/some-bert.v2"]
    with pytest.raises(InputError, match="not taken from the hub because BERTWORKS_OFFLINE=1 is set"):
        zoo.locate("somebody/another", "--model")


def test_a_model_of_sentences_of_the_hub_keeps_its_pooling_and_added_tokens(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = add_sentences(save(tmp_path / "there", "encoder"), ("cls_token",), dense=True)
    (there / "special_tokens_map.json").write_text("{}")
    (there / "added_tokens.json").write_text("{}")
    files = {path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub({**files, "onnx/config.json": b"", "data.json": b""}))
    path = zoo.locate("somebody/sentences", "--model")
    assert {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()} == {*files}
    wanted = bertworks.load(there, device="cpu").embed("the cat sat")
    np.testing.assert_array_equal(bertworks.load("somebody/sentences", device="cpu").embed("the cat sat"), wanted)


@pytest.mark.parametrize(
    "name",
    [
        *(f"typo/model{end}" for end in (".ckpt", ".zip", ".index", ".bin", ".safetensors", ".params", ".json")),
        *(f"typo/model{end}" for end in (".pt", ".pth", ".txt", ".ckpt.data-00000-of-00001")),
    ],
)
def test_a_mistyped_path_is_no_name_of_the_hub(site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    hub = Hub({"model.safetensors": b""})
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert zoo.locate(name, "--model") == Path(name)
    with pytest.raises(InputError, match=f"--model={name}: no checkpoint is there"):
        open_checkpoint(name, "--model")
    assert hub.asked == []


def test_the_flag_of_the_original_never_means_the_hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub({"model.safetensors": b""})
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    for _ in range(2):  # before it is in the cache, and after
        assert zoo.locate("somebody/bert", "--init_checkpoint") == Path("somebody/bert")
        assert zoo.locate("somebody/bert", "--model").is_relative_to(zoo.cache())
    assert hub.asked == ["somebody/bert"]
    assert zoo.locate("tiny", "--init_checkpoint") == zoo.cached_path(registry.models()[0])


@pytest.mark.parametrize(
    ("hub", "message"),
    [
        (None, r"pip install .bertworks\[hub\]"),
        (Hub({"tf_model.h5": b""}), "it has no model.safetensors and no pytorch_model.bin"),
        (Hub({"model.safetensors": b""}, fails=True), r"\(the cable is cut\); if it is a model there, put its files"),
    ],
)
def test_a_hub_that_does_not_help(site: Site, monkeypatch: pytest.MonkeyPatch, hub: Hub | None, message: str) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(InputError, match=rf"^--model=somebody/bert: no such file or folder.*{message}"):
        zoo.locate("somebody/bert", "--model")
    assert not (zoo.cache() / "hub" / "somebody" / "bert").exists()
