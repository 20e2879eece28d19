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

import pytest

from bertworks.checkpoints.load import open_checkpoint
from bertworks.config import BertConfig
from bertworks.datasets import download
from bertworks.datasets import models as zoo
from bertworks.datasets.model_table import ROWS, Row, Source
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from tests.checkpoints.builders import GOOGLE_TINY
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
    monkeypatch.setenv(zoo.HOME, str(tmp_path / "home"))
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
        rows = (
            a_row("tiny", "google", Source(f"{site.address}/2018/uncased_L-3_H-32_A-4.zip"), aliases=("small",)),
            a_row("all", "google", Source(f"{site.address}/all.zip")),
            a_row(
                "bert_3_32_4_made_up",
                "gluonnlp",
                Source(f"{site.address}/models/m-12.zip", None, {"m-12.params": sha1(params)}, unpacked=True),
                Source(f"{site.address}/vocab/v-34.zip", None, {"v-34.vocab": sha1(vocab)}, unpacked=True),
            ),
            a_row("Bert-tiny-xx", "mindspore", Source(f"{site.address}/m/net.ckpt")),
        )
        monkeypatch.setattr(zoo, "ROWS", rows)
        yield site


def a_row(name: str, family: Any, *sources: Source, aliases: tuple[str, ...] = ()) -> Row:
    return Row(
        name=name,
        aliases=aliases,
        family=family,
        layers=3,
        hidden=32,
        vocab_size=900,
        do_lower_case=True,
        sources=sources,
    )


def change_source(monkeypatch: pytest.MonkeyPatch, number: int, **changes: Any) -> None:
    """Make the first source of a row of the zoo another one."""
    rows = list(zoo.ROWS)
    first, *rest = rows[number].sources
    rows[number] = replace(rows[number], sources=(replace(first, **changes), *rest))
    monkeypatch.setattr(zoo, "ROWS", tuple(rows))


def test_the_table_has_the_published_numbers() -> None:
    parameters = {row.name: row.parameters for row in ROWS}
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
    row = zoo.find("bert-tiny")
    assert row is not None
    assert row.vocab_size is not None
    model = PretrainingModel(BertConfig.from_size("tiny", row.vocab_size))
    assert sum(parameter.numel() for parameter in model.bert.parameters()) == row.parameters


def test_the_table_is_whole() -> None:
    names = [name for row in ROWS for name in (row.name, *row.aliases)]
    assert len(set(names)) == len(names)
    assert len([row for row in ROWS if row.date == "2020-02-20"]) == 25
    for row in ROWS:
        # What a name says is what the row says.
        said = re.search(r"(?<![a-z])(un)?cased(?![a-z])", row.name)
        assert said is None or bool(said[1]) == row.do_lower_case
        numbers = re.search(r"L-(\d+)_H-(\d+)_A-(\d+)|bert_(\d+)_(\d+)_(\d+)", row.name)
        if numbers:
            assert tuple(int(n) for n in numbers.groups() if n) == (row.layers, row.hidden, row.heads)
        for source in row.sources:
            assert source.address.startswith("https://")
            for checksum in filter(None, (source.checksum, *source.members.values())):
                assert re.fullmatch(r"sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}", checksum)
    places = [zoo.place_of(row) for row in ROWS]
    assert len(set(places)) == len(places)


def test_short_names_mean_the_same_as_those_of_the_archives() -> None:
    for short, name in (
        ("bert-base-uncased", "uncased_L-12_H-768_A-12"),
        ("bert-medium", "uncased_L-8_H-512_A-8"),
        ("bert-large-cased-whole-word-masking", "wwm_cased_L-24_H-1024_A-16"),
        ("bert_12_768_12_wiki_cn_cased", "bert_12_768_12_wiki_cn"),
    ):
        assert zoo.find(short) is zoo.find(name) is not None
    assert zoo.find("bert-base") is None


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(zoo.HOME, "/somewhere")
    assert zoo.cache() == Path("/somewhere/models")
    monkeypatch.delenv(zoo.HOME)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert zoo.cache() == Path("/xdg/bertworks/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert zoo.cache() == Path("/home/somebody/.cache/bertworks/models")


def test_a_name_is_downloaded_once_and_opens(site: Site, tmp_path: Path) -> None:
    place = zoo.locate("small", "--model")
    assert place == tmp_path / "home" / "models" / "google" / "2018" / "uncased_L-3_H-32_A-4.zip"
    checkpoint = open_checkpoint("tiny", "--model")
    assert len(checkpoint.weights) > 40
    assert checkpoint.do_lower_case is True
    assert len(site.requests) == 1


def test_one_model_of_several_in_an_archive(site: Site) -> None:
    assert zoo.locate("all/b", "--model") == zoo.place_of(zoo.ROWS[1]) / "b"
    assert open_checkpoint("all/b", "--model").weights


def test_gluonnlp_becomes_a_folder_of_weights_and_vocabulary(site: Site) -> None:
    place = zoo.locate("bert_3_32_4_made_up", "--model")
    assert sorted(path.name for path in place.iterdir()) == ["m-12.params", "v-34.vocab"]
    assert (place / "m-12.params").read_bytes() == (FIXTURES / "gluonnlp_tiny.params").read_bytes()
    # What is lost is fetched again, and no more than that.
    (place / "v-34.vocab").unlink()
    assert zoo.locate("bert_3_32_4_made_up", "--model") == place
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
    assert put_by_hand(site, str(raised.value)) == len(next(row for row in zoo.ROWS if row.name == name).sources)
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
    place = zoo.locate(name, "--model")
    archives = [site.files.pop(path) for path in ("/models/m-12.zip", "/vocab/v-34.zip")]

    def refused() -> str:
        with pytest.raises(InputError, match="answers 404") as raised:
            zoo.locate(name, "--model")
        return str(raised.value)

    (place / "v-34.vocab").unlink()
    assert "m-12.zip" not in refused()
    (place / "m-12.params").unlink()
    assert refused().endswith(f"{place / 'm-12.zip'}; and {site.address}/vocab/v-34.zip at {place / 'v-34.zip'}")
    # An archive that a person has put there already is not asked for again.
    (place / "v-34.zip").write_bytes(archives[1])
    assert "v-34.zip" not in refused()
    (place / "m-12.zip").write_bytes(archives[0])
    assert zoo.locate(name, "--model") == place


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
    row = zoo.ROWS[number]
    with pytest.raises(InputError) as raised:
        zoo.fetch(row)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not zoo.is_cached(row)
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
    change_source(monkeypatch, 0, members={GOOGLE_FILES[2]: sha1(weights[::-1])})
    with pytest.raises(InputError, match=f"data-00000-of-00001 has the {sha1(weights).replace(':', ' ')}, not "):
        zoo.locate("tiny", "--model")
    change_source(monkeypatch, 0, members={GOOGLE_FILES[2]: sha1(weights)})
    assert zoo.locate("tiny", "--model").is_file()
    change_source(monkeypatch, 3, checksum=sha1(b""))
    with pytest.raises(InputError, match="not da39a3ee5e6b4b0d3255bfef95601890afd80709"):
        zoo.locate("Bert-tiny-xx", "--model")


@pytest.mark.parametrize("data", [b"no zip", zipped({"other": b""}), zipped({"m-12.params": b"wrong"})])
def test_a_wrong_archive_put_there_by_hand_is_told(site: Site, data: bytes) -> None:
    archive = zoo.cache() / "gluonnlp" / "bert_3_32_4_made_up" / "m-12.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(data)
    with pytest.raises(InputError, match=r"m-12\.zip: not the archive that belongs there \(.*\); remove it"):
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


class Hub(types.ModuleType):
    """What we use of huggingface_hub, without a network."""

    def __init__(self, files: Mapping[str, bytes], fails: bool = False) -> None:
        super().__init__("huggingface_hub")
        self.files, self.fails, self.asked = files, fails, list[str]()

    def list_repo_files(self, name: str) -> list[str]:
        self.asked.append(name)
        return list(self.files)

    def snapshot_download(self, name: str, local_dir: Path, allow_patterns: list[str]) -> None:
        (local_dir / ".cache").mkdir(parents=True)
        if self.fails:
            raise ConnectionError("the cable\nis cut")
        for file in allow_patterns:
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
    place = zoo.locate("somebody/some-bert.v2", "--model")
    assert place == zoo.cache() / "hub" / "somebody" / "some-bert.v2"
    assert sorted(path.name for path in place.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    monkeypatch.setenv(download.OFFLINE, "1")
    assert zoo.locate("somebody/some-bert.v2", "--model") == place
    assert hub.asked == ["somebody/some-bert.v2"]
    with pytest.raises(InputError, match="not taken from the hub because BERTWORKS_OFFLINE=1 is set"):
        zoo.locate("somebody/another", "--model")


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
    assert zoo.locate("tiny", "--init_checkpoint") == zoo.place_of(zoo.ROWS[0])


@pytest.mark.parametrize(
    ("hub", "message"),
    [
        (None, r"pip install bertworks\[hub\]"),
        (Hub({"tf_model.h5": b""}), "it has no model.safetensors and no pytorch_model.bin"),
        (Hub({"model.safetensors": b""}, fails=True), r"\(the cable is cut\); if it is a model there, put its files"),
    ],
)
def test_a_hub_that_does_not_help(site: Site, monkeypatch: pytest.MonkeyPatch, hub: Hub | None, message: str) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(InputError, match=rf"^--model=somebody/bert: no such file or folder.*{message}"):
        zoo.locate("somebody/bert", "--model")
    assert not (zoo.cache() / "hub" / "somebody" / "bert").exists()
