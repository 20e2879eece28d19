"""Models in folders and zips: every way to name them, nothing unpacked, and what is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
import pytest
from safetensors.numpy import save

from bertworks.checkpoints.finding import find_storage
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.checkpoints.storage import FolderStorage, ZipStorage
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from tests.checkpoints.builders import GOOGLE_TINY

FILES = {file.name: file.read_bytes() for file in GOOGLE_TINY.glob("bert_model.ckpt.*")} | {
    "bert_config.json": (GOOGLE_TINY / "bert_config.json").read_bytes(),
    "vocab.txt": (GOOGLE_TINY.parent / "vocab.txt").read_bytes(),
}


def zipped(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def inside(folder: str, files: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("top", ["", "uncased_L-3_H-32_A-4/"])
def test_a_released_zip_is_read_without_unpacking(tmp_path: Path, top: str, compression: int) -> None:
    path = zipped(tmp_path / "model.zip", {top + name: data for name, data in FILES.items()}, compression)
    expected = open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")
    for way in ("", f"{top}bert_model.ckpt", f"{top}bert_model.ckpt.index"):
        opened = open_checkpoint(path / way)
        assert opened.weights.keys() == expected.weights.keys()
        assert opened.config == expected.config
        assert opened.vocabulary is not None
        assert len(opened.vocabulary.read()) == 900
        assert opened.do_lower_case is (True if top else None)
        for name, weight in opened.weights.items():
            np.testing.assert_array_equal(weight.read(), expected.weights[name].read())
    assert sorted(tmp_path.iterdir()) == [path]


def test_loading_from_a_zip_goes_through_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "model.zip", FILES)
    checkpoint = open_checkpoint(path)
    place, config = checkpoint.storage, checkpoint.config
    assert isinstance(place, ZipStorage)
    assert config is not None
    read = []
    original = zipfile.ZipExtFile._read2  # type: ignore[attr-defined]

    def counted(self: zipfile.ZipExtFile, n: int) -> bytes:
        data: bytes = original(self, n)
        read.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "_read2", counted)
    load_into(PretrainingModel(config), checkpoint, config)
    assert sum(read) <= path.stat().st_size


def test_several_models_in_a_zip_are_named_one_by_one(tmp_path: Path) -> None:
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    for name, files in {
        "folders.zip": {**inside("uncased_a"), **inside("uncased_b"), "__MACOSX/x": b""},
        "zips.zip": {"uncased_a.zip": small.getvalue(), "uncased_b.zip": small.getvalue()},
    }.items():
        path = zipped(tmp_path / name, files)
        with pytest.raises(InputError, match=rf"holds 2 models \(uncased_a.*name one, such as .*{name}/uncased_a"):
            open_checkpoint(path)
        for way in ("uncased_b", "uncased_b/bert_model.ckpt"):
            assert len(open_checkpoint(path / way).weights) == 62
        with pytest.raises(InputError, match="holds no uncased_c"):
            open_checkpoint(path / "uncased_c" / "bert_model.ckpt")
    assert len(open_checkpoint(tmp_path / "zips.zip" / "uncased_a.zip").weights) == 62


@pytest.mark.parametrize("top", ["", "mails/"])
def test_the_models_inside_a_model_folder_are_not_meant(tmp_path: Path, top: str) -> None:
    config = {"config.json": FILES["bert_config.json"]}
    files = {**FILES, **config, **inside("best", {**FILES, **config}), **inside("checkpoints/step-8")}
    path = zipped(tmp_path / "model.zip", {top + name: data for name, data in files.items()})
    assert open_checkpoint(path).path == open_checkpoint(path / f"{top}bert_model.ckpt").path


@pytest.mark.parametrize("name", ["../vocab.txt", "/etc/vocab.txt", "a/../../b"])
def test_names_that_leave_the_zip_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a path that leaves the archive"):
        open_checkpoint(zipped(tmp_path / "model.zip", {**FILES, name: b"x"}))


def test_names_with_backslashes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a name with a backslash"):
        open_checkpoint(zipped(tmp_path / "model.zip", {**FILES, "a\\..\\..\\b": b"x"}))


@pytest.mark.parametrize("stray", ["README.md", "assets/picture.png", ".DS_Store", "__MACOSX/._vocab.txt"])
@pytest.mark.parametrize("top", ["", "model/"])
def test_files_of_no_model_do_not_confuse(tmp_path: Path, top: str, stray: str) -> None:
    files = {top + name: data for name, data in FILES.items()}
    assert len(open_checkpoint(zipped(tmp_path / "model.zip", {stray: b"x", **files})).weights) == 62


def test_one_zip_in_a_zip_is_opened(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", FILES).read_bytes()
    assert len(open_checkpoint(zipped(tmp_path / "outer.zip", {"a/inner.zip": inner})).weights) == 62
    with pytest.raises(InputError, match=r"holds no model, only a\.txt"):
        open_checkpoint(zipped(tmp_path / "other.zip", {"a.txt": b""}))


def test_damage_in_a_zip_in_a_zip_is_an_error(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", FILES).read_bytes()
    good = zipped(tmp_path / "outer.zip", {"inner.zip": inner}).read_bytes()
    random = Random(1)
    for _ in range(60):
        bad = bytearray(good)
        bad[random.randrange(60, len(good) - 200)] ^= 1 << random.randrange(8)
        (tmp_path / "outer.zip").write_bytes(bad)
        with pytest.raises(InputError, match=r"outer\.zip"):
            open_checkpoint(tmp_path / "outer.zip")


def test_going_forward_in_a_stored_zip_keeps_the_checksum(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", {"x": bytes(range(256)) * 100, "y.bin": b""}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(bytes(range(256))) + 10] ^= 1
    path.write_bytes(data)
    place, _ = find_storage(path)
    with place.at("x", 20_000) as stream:
        stream.read(10)
    with pytest.raises(InputError, match="damaged"):
        place.finish()


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", {**FILES, "vocab.txt": bytes(50_000_000)})
    opened = open_checkpoint(path)
    assert opened.vocabulary is not None
    with pytest.raises(InputError, match=r"vocab\.txt: says that .* bytes become 50,000,000"):
        opened.vocabulary.read()


@pytest.mark.parametrize(("every", "is_read"), [(1, True), (40, True), (0, False)])
def test_pruned_weights_are_read_from_a_zip_and_zeros_alone_are_not(tmp_path: Path, every: int, is_read: bool) -> None:
    """Of a pruned model few weights are left, here one in forty; a file of zeros becomes a thousand times larger."""
    numbers = np.zeros(1 << 20, np.float32)
    if every:
        numbers[::every] = np.random.default_rng(0).normal(size=len(numbers[::every]))
    tensors = {"bert.embeddings.word_embeddings.weight": numbers.reshape(1024, -1)}
    path = zipped(tmp_path / "model.zip", {"model.safetensors": save(tensors)})
    if is_read:
        (weight,) = open_checkpoint(path).weights.values()
        np.testing.assert_array_equal(weight.read().reshape(-1), numbers)
    else:
        with pytest.raises(InputError, match=r"model\.safetensors: says that .* bytes become 4,194,\d+; no model does"):
            open_checkpoint(path)


def test_a_file_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", FILES)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("vocab.txt", b"another")
    with pytest.raises(InputError, match="twice"):
        open_checkpoint(path)


def test_what_is_not_a_zip(tmp_path: Path) -> None:
    good = zipped(tmp_path / "model.zip", FILES).read_bytes()
    path = tmp_path / "bad.zip"
    for bad in (b"", b"no zip", good[:-100], good[100:]):
        path.write_bytes(bad)
        with pytest.raises(InputError, match=r"bad\.zip"):
            open_checkpoint(path)


def test_folders_and_prefixes(tmp_path: Path) -> None:
    place, name = find_storage(tmp_path)
    assert isinstance(place, FolderStorage)
    assert name is None
    place, name = find_storage(tmp_path / "bert_model.ckpt")
    assert (place.path, name) == (tmp_path, "bert_model.ckpt")


def test_zips_in_a_zip_are_far_larger_only_in_a_bomb(tmp_path: Path) -> None:
    inner = zipped(
        tmp_path / "inner.zip", {"pytorch_model.bin": Random(1).randbytes(1 << 16) + bytes(4 << 20)}, zipfile.ZIP_STORED
    ).read_bytes()
    path = zipped(tmp_path / "outer.zip", {"inner.zip": inner})
    with pytest.raises(
        InputError, match=r"outer\.zip/inner\.zip: a zip of 4,\d+,\d+ bytes in a zip that is far smaller"
    ):
        open_checkpoint(path)


def test_zips_in_zips_count_together(tmp_path: Path) -> None:
    content = b""
    for _ in range(200):
        content = zipped(tmp_path / "a.zip", {"a.zip": content.ljust(100)}, zipfile.ZIP_STORED).read_bytes()
    with pytest.raises(InputError, match="in a zip that is far smaller"):
        open_checkpoint(tmp_path / "a.zip")
