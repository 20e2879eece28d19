"""Files of torch.save that are small and would cost much: one line, and little memory."""

from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.checkpoints.load import open_checkpoint
from bertworks.errors import InputError

TENSOR = {"bert.embeddings.word_embeddings.weight": torch.ones(4)}


def legacy(value: bytes) -> bytes:
    """A file as torch wrote it before 1.6, of a pickle."""
    sizes = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    before = [0x1950A86A20F9469CFC6C, 1001, sizes]
    return b"".join(pickle.dumps(each, 2) for each in before) + value + pickle.dumps([], 2)


def zipped(value: bytes) -> bytes:
    """A file as torch writes it today, of a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (("x/data.pkl", value), ("x/version", b"3\n"), ("x/byteorder", b"little")):
            archive.writestr(name, data)
    return file.getvalue()


def called(module: str, name: str, argument: bytes) -> bytes:
    """A pickle of {"a": NAME(ARGUMENT)}."""
    return b"\x80\x02}X\x01\0\0\0ac" + f"{module}\n{name}\n".encode() + argument + b"\x85Rs."


def encoded(encoding: bytes) -> bytes:
    """A pickle of {"a": encode("b", ENCODING)}."""
    return b"\x80\x02}X\x01\0\0\0ac_codecs\nencode\nX\x01\0\0\0bX" + encoding + b"\x86Rs."


def handed_on() -> bytes:
    """A pickle in which a function that torch allows gets `encode`, and would call it."""
    arguments = b"c_codecs\nencode\nctorch\nTensor\nX\x03\0\0\0\xc3\x9fbX\x04\0\0\0idna\x86}"
    return b"\x80\x02}X\x01\0\0\0actorch._tensor\n_rebuild_from_type_v2\n(" + arguments + b"tRs."


def encoded_often() -> bytes:
    """A pickle of a list of a million bytes, a hundred times, of one text."""
    text = b"X" + (1 << 20).to_bytes(4, "little") + b"b" * (1 << 20)
    once = b"h\0h\x01h\x02\x86Ra"
    return (
        b"\x80\x02}X\x01\0\0\0ac_codecs\nencode\nq\0"
        + text
        + b"q\x01X\x06\0\0\0latin1q\x020"
        + b"00]"
        + once * 100
        + b"s."
    )


def of_pairs(depth: int) -> bytes:
    """A pickle with a tuple as a key, of the same tuple twice, and so on."""
    pairs = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(depth))
    return b"\x80\x02})q\0" + pairs + b"K\x01s."


def shared(width: int) -> bytes:
    """A pickle of dictionaries, five deep, in which every value of one is the same other one."""
    inner: dict[str, Any] = {}
    for _ in range(5):
        inner = {str(i): inner for i in range(width)}
    return pickle.dumps({"state_dict": inner}, 2)


def around() -> bytes:
    """A pickle of a state that is in itself."""
    state: dict[str, Any] = {}
    state["state_dict"] = state
    return pickle.dumps(state, 2)


BIG = b"\x8a\x05" + (2 << 30).to_bytes(5, "little")


@pytest.mark.parametrize("form", [legacy, zipped])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (of_pairs(60), "a tuple of more than 10,000 parts"),
        (called("__builtin__", "bytearray", BIG), r"calls __builtin__\.bytearray"),
        (called("_codecs", "encode", b"X\x01\0\0\0b"), "encodes a text otherwise"),
        (encoded(b"\x05\0\0\0idna2"), "encodes a text otherwise"),
        (handed_on(), r"hands _codecs\.encode on"),
        (encoded_often(), "makes far more bytes"),
        (called("torch", "FloatTensor", BIG), "tensors of 8,589,934,592 bytes"),
        (b"\x80\x02}" + b"N0" * (1 << 19) + b".", "a pickle far longer"),
    ],
    ids=["tuple", "bytearray", "encode", "idna", "handed on", "often", "tensor", "long"],
)
def test_what_costs_more_than_the_file_is_refused(tmp_path: Path, form: Any, value: bytes, message: str) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(form(value))
    with pytest.raises(InputError, match=rf"pytorch_model\.bin: .*{message}"):
        open_checkpoint(path)


@pytest.mark.parametrize("value", [shared(1000), around()], ids=["shared", "around"])
def test_a_state_that_is_in_itself_or_in_many_places_ends(tmp_path: Path, value: bytes) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(legacy(value))
    assert not open_checkpoint(tmp_path / "pytorch_model.bin").weights


@pytest.mark.parametrize(
    ("compression", "again", "message"),
    [(zipfile.ZIP_DEFLATED, 1, "is compressed"), (zipfile.ZIP_STORED, 40, "its parts have .* bytes together")],
)
def test_parts_that_become_more_than_the_file_are_refused(
    tmp_path: Path, compression: int, again: int, message: str
) -> None:
    torch.save({"a": torch.zeros(10_000)}, tmp_path / "good.bin")
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(tmp_path / "good.bin") as good, zipfile.ZipFile(path, "w", compression) as bad:
        for info in good.infolist():
            bad.writestr(info.filename, good.read(info))
        part = bad.getinfo("good/data/0")
        for i in range(again - 1):
            other = zipfile.ZipInfo(f"good/data/{i}again")
            for field in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(other, field, getattr(part, field))
            bad.filelist.append(other)
    with pytest.raises(InputError, match=rf"pytorch_model\.bin: .*{message}"):
        open_checkpoint(path)


def test_a_state_of_training_is_read(tmp_path: Path) -> None:
    state = {"step": 3, "model": TENSOR, "log": [(i, 0.5) for i in range(20_000)]}
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert open_checkpoint(tmp_path / "pytorch_model.bin").weights.keys() == TENSOR.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_bytes_and_numbers_of_numpy_in_a_state_of_training_are_set_aside(tmp_path: Path, zipped: bool) -> None:
    state = {
        "state_dict": TENSOR,
        "best": np.float64(0.25),
        "epoch": np.int64(3),
        "random": np.arange(5, dtype=np.uint32),
        "name": b"caf\xe9",
        "nothing": b"",
        "settings": argparse.Namespace(output=Path("out"), rate=np.float32(1e-3)),
    }
    torch.save(state, tmp_path / "last.ckpt", _use_new_zipfile_serialization=zipped)
    opened = open_checkpoint(tmp_path / "last.ckpt")
    assert opened.weights.keys() == TENSOR.keys()
    assert {f"set aside: {name}" for name in state.keys() - {"state_dict"}} <= set(opened.notes)


def test_arrays_of_numpy_in_the_place_of_weights_are_told(tmp_path: Path) -> None:
    torch.save({name: tensor.numpy() for name, tensor in TENSOR.items()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"holds NumPy's arrays and no tensors; .*torch\.from_numpy"):
        open_checkpoint(tmp_path / "pytorch_model.bin")


def test_thousands_of_tensors_of_the_same_numbers_are_refused(tmp_path: Path) -> None:
    numbers = torch.zeros(100_000)
    many = {f"bert.encoder.layer.{i}.output.dense.bias": numbers[i:] for i in range(100)}
    torch.save(many, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"has tensors of 39,980,200 bytes together, which share the numbers"):
        open_checkpoint(tmp_path / "pytorch_model.bin")


def test_a_decoder_that_shares_the_word_embeddings_is_read(tmp_path: Path) -> None:
    words = torch.ones(3000, 100)
    names = ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight")
    torch.save(dict.fromkeys(names, words), tmp_path / "pytorch_model.bin")
    assert open_checkpoint(tmp_path / "pytorch_model.bin").weights.keys() == set(names)
