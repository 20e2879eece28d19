"""Damaged and lying files of every format: an error of one line, or the model as it was, and never much memory.

A format with checksums (TensorFlow, a zip) gives an error or equal tensors. One without them can do no more than it
knows: damage to how tensors are described is an error, damage to a tensor's numbers changes that tensor only, and a
letter of a tensor's name makes it another tensor, which the load report then calls missing and left over.
"""

from __future__ import annotations

import json
import struct
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import open_checkpoint
from bertworks.checkpoints.resolve import config_of
from bertworks.config import BertConfig
from bertworks.errors import InputError
from tests.checkpoints.builders import GOOGLE_TINY, message, varint

FIXTURES = GOOGLE_TINY.parent
Bits = dict[str, NDArray[np.uint32]]

# What reading may need besides the tensors.
MOST_MEMORY = 64 << 20


def bits(path: Path) -> Bits:
    """Every weight of a checkpoint, read to the end, as it is stored in memory."""
    checkpoint = open_checkpoint(path)
    weights = {name: np.atleast_1d(weight.read()).view(np.uint32) for name, weight in checkpoint.weights.items()}
    if checkpoint.storage:
        checkpoint.storage.finish()
    return weights


def bits_unless_error(path: Path) -> Bits | None:
    """The same; None where it is an error of one line that names the file."""
    try:
        return bits(path)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert str(path if path.is_dir() else path.parent) in message
    return None


def outcome(path: Path, good: Bits) -> str:
    """What becomes of a damaged checkpoint."""
    found = bits_unless_error(path)
    if found is None:
        return "an error"
    gone, come = good.keys() - found.keys(), found.keys() - good.keys()
    if len(gone) == len(come) == 1:
        found[gone.pop()] = found.pop(come.pop())
        assert same(found, good) == good.keys()
        return "another name"
    assert not come
    equal = same(found, good)
    if gone:
        assert equal == found.keys()
        return "fewer"
    assert len(equal) >= len(good) - 1
    return "equal" if len(equal) == len(good) else "other numbers"


def same(found: Bits, good: Bits) -> set[str]:
    """The tensors that are equal; all must be of the shape they had."""
    assert all(found[name].shape == good[name].shape for name in found)
    return {name for name in found if np.array_equal(found[name], good[name])}


def tensorflow(folder: Path) -> Path:
    for file in GOOGLE_TINY.glob("classifier.ckpt.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / "classifier.ckpt"


def in_a_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(GOOGLE_TINY.glob("classifier.ckpt.*")):
            archive.write(file, f"model/{file.name}")
    return folder / "model.zip"


def huggingface(folder: Path) -> Path:
    config = BertConfig.from_google_file(GOOGLE_TINY / "bert_config.json")
    save_model_folder(folder, config, golden())
    return folder


def in_a_pickle(folder: Path) -> Path:
    torch.save(golden(), folder / "pytorch_model.bin")
    return folder


def in_an_old_pickle(folder: Path) -> Path:
    torch.save(golden(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return folder


def gluonnlp(folder: Path) -> Path:
    (folder / "x.params").write_bytes((FIXTURES / "gluonnlp_tiny.params").read_bytes())
    return folder / "x.params"


def mindspore(folder: Path) -> Path:
    (folder / "x.ckpt").write_bytes((FIXTURES / "mindspore_tiny.ckpt").read_bytes())
    return folder / "x.ckpt"


def golden() -> dict[str, torch.Tensor]:
    weights = open_checkpoint(GOOGLE_TINY / "classifier.ckpt").weights
    return {name: torch.from_numpy(weight.read()) for name, weight in weights.items()}


def descriptions(data: bytes, good: Bits) -> list[int]:
    """The places of the bytes that belong to no tensor's numbers."""
    described = np.ones(len(data), bool)
    for array in good.values():
        numbers = array.tobytes()
        at = data.find(numbers)
        while at >= 0:
            described[at : at + len(numbers)] = False
            at = data.find(numbers, at + len(numbers))
    return [int(place) for place in np.flatnonzero(described)]


def damages(good: bytes, described: list[int], cuts: int, flips: int, random: Random) -> Iterator[bytes]:
    """The file cut off at `cuts` places, and one bit of it changed: of each byte `described`, and `flips` anywhere."""
    for length in [0, 1, len(good) - 1, *random.sample(range(len(good)), cuts // 2)]:
        yield good[:length]
    for length in random.sample(described, min(cuts // 2, len(described))):
        yield good[:length]
    for place in [*described, *random.sample(range(len(good)), flips)]:
        bad = bytearray(good)
        bad[place] ^= 1 << random.randrange(8)
        yield bytes(bad)


@pytest.mark.parametrize(
    ("make", "damaged", "variants", "allowed"),
    [
        (tensorflow, "classifier.ckpt.index", 300, {"an error"}),
        (tensorflow, "classifier.ckpt.data-00000-of-00001", 300, {"an error"}),
        (in_a_zip, "model.zip", 1500, {"an error", "equal"}),
        (huggingface, "model.safetensors", 1500, {"an error", "equal", "other numbers", "another name"}),
        (huggingface, "config.json", 400, {"an error", "equal"}),
        (gluonnlp, "x.params", 1500, {"an error", "equal", "other numbers", "another name"}),
        # Nothing in the file tells how many tensors there should be; the load report names those that are missing.
        (mindspore, "x.ckpt", 1500, {"an error", "equal", "other numbers", "another name", "fewer"}),
    ],
)
def test_every_damage(
    tmp_path: Path, make: Callable[[Path], Path], damaged: str, variants: int, allowed: set[str]
) -> None:
    path = make(tmp_path)
    good, data = bits(path), (tmp_path / damaged).read_bytes()
    random = Random(damaged)
    described = descriptions(data, good)
    described = random.sample(described, min(variants, len(described)))
    outcomes: Counter[str] = Counter()
    for bad in damages(data, described, variants // 8, variants // 8, random):
        (tmp_path / damaged).write_bytes(bad)
        outcomes[outcome(path, good)] += 1
    assert outcomes.keys() == allowed


@pytest.mark.parametrize("make", [in_a_pickle, in_an_old_pickle])
def test_a_damaged_pickle_is_an_error_or_tensors_no_larger_than_the_file(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    file = tmp_path / "pytorch_model.bin"
    good, data = bits(path), file.read_bytes()
    random = Random(1)
    described = random.sample(descriptions(data, good), 300)
    errors = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, on pickles of another protocol
        for bad in damages(data, described, 80, 40, random):
            file.write_bytes(bad)
            found = bits_unless_error(path)
            errors += found is None
            assert sum(array.nbytes for array in (found or {}).values()) <= len(data)
    assert errors > 100


NUMBERS = (0, 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def lies_in_gluonnlp() -> Iterator[bytes]:
    """Every number of the file's beginning, of its first array and of its first name, replaced."""
    data = (FIXTURES / "gluonnlp_tiny.params").read_bytes()
    names = data.rindex(struct.pack("<Q", 63))
    for at in (0, 8, 16, 36, 44, names, names + 8):
        for number in NUMBERS:
            yield data[:at] + struct.pack("<Q", number) + data[at + 8 :]
    for at in (24, 28, 32, 60):
        for number in NUMBERS[:4]:
            yield data[:at] + struct.pack("<I", number) + data[at + 4 :]
    for dims in ((1 << 31, 1 << 31), (-(1 << 31), -2), (1 << 62, 4, 1), (0, 1 << 62), (1,) * 70):
        shape = struct.pack(f"<i{len(dims)}q", len(dims), *dims)
        yield data[:32] + shape + data[52:]


def lies_in_mindspore() -> Iterator[bytes]:
    """Every number of a value replaced, and lists of numbers that are too long."""
    content = bytes(24)
    for lie in NUMBERS:
        size = varint(lie)
        for dims in ([(1, lie)], [(1, 2), (1, lie)], [(1, lie), (1, lie)], [(1, 6), (1, 0), (1, lie)]):
            yield message((1, message((1, b"bert.dense1.weight"), (2, message(*dims, (2, b"Float32"), (3, content))))))
        tensor = message((1, 6), (2, b"Float32")) + b"\x1a"
        yield message((1, message((1, b"a"), (2, tensor + size + content))))
        yield message((1, message((1, b"a")) + b"\x12" + size + tensor + varint(24) + content))
        yield message((1, b"\x0a" + size + b"a" * 30))
        yield b"\x0a" + size + message((1, b"a"), (2, tensor + varint(24) + content))
    for dims in ([(1, 1)] * 70, [(1, 1)] * 10_000):
        yield message((1, message((1, b"a"), (2, message(*dims, (1, 6), (2, b"Float32"), (3, content))))))


def lies_in_safetensors() -> Iterator[bytes]:
    """The header's length and every number of a tensor replaced, and headers that are none."""

    def file(header: bytes, length: int | None = None) -> bytes:
        return (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(24)

    for number in NUMBERS:
        yield file(b'{"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}', number)
        for shape in ([number], [number, number], [6, number], [-number], [number, 0, 1]):
            for offsets in ([0, 24], [0, number], [number, 24], [number, number], [24, number - 24]):
                yield file(json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode())
    for tensor in ({}, [], 1, None, "x", {"dtype": "F32"}, {"dtype": 1, "shape": [6], "data_offsets": [0, 24]}):
        yield file(json.dumps({"a": tensor}).encode())
    for header in (b"", b"[]", b"null", b"1", b"\xff\xff", b"[" * 100_000, b'{"a":' * 50_000, b'{"a":' + b"1" * 5000):
        yield file(header)


@pytest.mark.parametrize(
    ("file", "lies"),
    [
        ("x.params", lies_in_gluonnlp),
        ("x.ckpt", lies_in_mindspore),
        ("x.safetensors", lies_in_safetensors),
    ],
)
def test_lies_cost_no_memory(tmp_path: Path, file: str, lies: Callable[[], Iterator[bytes]]) -> None:
    path = tmp_path / file
    errors = told = 0
    for lie in lies():
        path.write_bytes(lie)
        tracemalloc.start()
        found = bits_unless_error(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY
        assert sum(array.nbytes for array in (found or {}).values()) <= len(lie)
        told += 1
        errors += found is None
    assert errors > told / 2


@pytest.mark.parametrize(
    ("make", "damaged"),
    [(huggingface, "model.safetensors"), (gluonnlp, "x.params"), (mindspore, "x.ckpt"), (in_a_zip, "model.zip")],
)
def test_damage_costs_no_memory(tmp_path: Path, make: Callable[[Path], Path], damaged: str) -> None:
    path = make(tmp_path)
    data = (tmp_path / damaged).read_bytes()
    described = descriptions(data, bits(path))
    random = Random(2)
    for bad in damages(data, random.sample(described, 60), 10, 0, random):
        (tmp_path / damaged).write_bytes(bad)
        tracemalloc.start()
        bits_unless_error(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        tracemalloc.stop()


def test_a_checkpoint_of_another_architecture_says_what_it_has(tmp_path: Path) -> None:
    name, values = "electra.embeddings.weight", np.ones((2, 3), np.float32)
    tensor = message((1, 2), (1, 3), (2, b"Float32"), (3, values.tobytes()))
    (tmp_path / "x.ckpt").write_bytes(message((1, message((1, name.encode()), (2, tensor)))))
    torch.save({name: torch.from_numpy(values)}, tmp_path / "x.bin")
    save_file({name: values}, tmp_path / "x.safetensors")
    for file in ("x.ckpt", "x.bin", "x.safetensors"):
        with pytest.raises(InputError, match=rf"{file}: .*electra\.embeddings\.weight"):
            config_of(open_checkpoint(tmp_path / file))
