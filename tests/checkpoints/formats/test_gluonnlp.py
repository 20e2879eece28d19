"""GluonNLP's checkpoints and vocabularies: a real one bit for bit, and every form in which MXNet stores arrays."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bertworks.checkpoints.load import open_checkpoint
from bertworks.checkpoints.weights import Checkpoint
from bertworks.errors import InputError
from tests.checkpoints.builders import GOOGLE_TINY

TINY = GOOGLE_TINY.parent / "gluonnlp_tiny.params"
FLAGS = {"f4": 0, "f8": 1, "f2": 2, "u1": 3, "i4": 4, "i1": 5, "i8": 6, "b1": 7}
V2, V3 = 0xF993FAC9, 0xF993FACA


def array(values: np.ndarray, *, version: int = V2, storage: int = 0, flag: int | None = None) -> bytes:
    """One array as MXNet stores it, on a GPU."""
    flag = FLAGS[values.dtype.str[1:]] if flag is None else flag
    shape = struct.pack(f"<i{values.ndim}q", values.ndim, *values.shape)
    return struct.pack("<Ii", version, storage) + shape + struct.pack("<iii", 2, 0, flag) + values.tobytes()


def listed(arrays: Mapping[str, bytes | np.ndarray], magic: int = 0x112, reserved: int = 0) -> bytes:
    """A file of arrays."""
    stored = [body if isinstance(body, bytes) else array(body) for body in arrays.values()]
    names = [struct.pack("<Q", len(name.encode())) + name.encode() for name in arrays]
    count = struct.pack("<Q", len(arrays))
    return struct.pack("<QQ", magic, reserved) + count + b"".join(stored) + count + b"".join(names)


def opened(folder: Path, arrays: Mapping[str, bytes | np.ndarray], name: str = "x.params") -> Checkpoint:
    (folder / name).write_bytes(listed(arrays))
    return open_checkpoint(folder / name)


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_the_weights_of_the_original_bit_for_bit() -> None:
    checkpoint, original = open_checkpoint(TINY), open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")
    assert checkpoint.weights.keys() - original.weights.keys() == {"cls.predictions.decoder.weight"}
    for name, weight in original.weights.items():
        assert checkpoint.weights[name].shape == weight.shape
        np.testing.assert_array_equal(checkpoint.weights[name].read().view(np.uint32), weight.read().view(np.uint32))
    np.testing.assert_array_equal(
        checkpoint.weights["cls.predictions.decoder.weight"].read(),
        original.weights["bert.embeddings.word_embeddings.weight"].read(),
    )
    assert (checkpoint.format, checkpoint.hidden_act, checkpoint.config) == ("GluonNLP", "gelu", None)


def test_opening_reads_no_array(tmp_path: Path) -> None:
    name = b"word_embed.0.weight"
    with (tmp_path / "x.params").open("wb") as stream:
        stream.write(struct.pack("<QQQIiiqqiii", 0x112, 0, 1, V2, 0, 2, 1 << 20, 256, 1, 0, 0))
        stream.seek(1 << 30, 1)  # a hole in the file
        stream.write(struct.pack("<QQ", 1, len(name)) + name)
    tracemalloc.start()
    weight = open_checkpoint(tmp_path / "x.params").weights["bert.embeddings.word_embeddings.weight"]
    assert weight.shape == (1 << 20, 256)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("version", [V2, V3])
def test_versions_and_types(tmp_path: Path, version: int, dtype: type) -> None:
    stored = array(numbers(2, 3).astype(dtype), version=version)
    weights = opened(tmp_path, {"word_embed.0.weight": stored}).weights
    np.testing.assert_array_equal(weights["bert.embeddings.word_embeddings.weight"].read(), numbers(2, 3))


def test_brain_floats_and_numpy_scalars(tmp_path: Path) -> None:
    halves = (numbers(2, 3).view(np.uint32) >> 16).astype(np.uint16)
    stored = {"pooler.weight": array(halves, flag=12), "x": array(np.array(2.5, np.float32), version=V3)}
    weights = opened(tmp_path, stored).weights
    np.testing.assert_array_equal(weights["bert.pooler.dense.weight"].read(), numbers(2, 3))
    assert weights["x"].shape == ()
    assert weights["x"].read() == 2.5


def test_integers_are_no_weights(tmp_path: Path) -> None:
    checkpoint = opened(
        tmp_path,
        {
            "steps": np.ones((2,), np.int64),
            "flags": np.ones((2,), np.bool_),
            "small": np.ones((2,), np.int8),
            "pooler.bias": np.ones((2,), np.int32),
            "pooler.weight": numbers(2, 2),
        },
    )
    assert checkpoint.notes[0] == "set aside: steps, flags, small"
    with pytest.raises(InputError, match=r"pooler\.bias is of int32, not of a floating-point type"):
        checkpoint.weights["bert.pooler.dense.bias"].read()
    np.testing.assert_array_equal(checkpoint.weights["bert.pooler.dense.weight"].read(), numbers(2, 2))


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        ("arg:pooler.weight", "bert.pooler.dense.weight"),
        ("classifier.weight", "cls.seq_relationship.weight"),
        ("bert.classifier.weight", "cls.seq_relationship.weight"),
        ("bert.encoder.transformer_cells.1.ffn.ffn_1.weight", "bert.encoder.layer.1.intermediate.dense.weight"),
        ("classifier.0.weight", "classifier.weight"),
        ("classifier.1.weight", "classifier.weight"),
        ("span_classifier.weight", "qa_outputs.weight"),
        ("bert_model.word_embed.0.weight", "bert.embeddings.word_embeddings.weight"),
        ("tag_classifier.weight", "classifier.weight"),
        ("bert.other", "bert.other"),
    ],
)
def test_names_of_fine_tuned_models(tmp_path: Path, stored: str, ours: str) -> None:
    assert [*opened(tmp_path, {stored: numbers(2, 3)}).weights] == [ours]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "cut off"),
        (listed({"a": numbers(2)}, magic=0x113), "the first bytes"),
        (listed({"a": numbers(2)}, reserved=1), "the first bytes"),
        (listed({}), "0 arrays"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 63), "9,223,372,036,854,775,808 arrays"),
        (listed({"a": numbers(2)})[:-1], "cut off"),
        (listed({"a": numbers(2)}) + b"\0", "1 bytes after the last name"),
        (listed({"a": array(numbers(2), version=0xF993FAC8)}), "the format before MXNet 1.0"),
        (listed({"a": array(numbers(2), version=2)}), "no array at byte 24"),
        (listed({"a": array(numbers(2), storage=1)}), "sparse arrays"),
        (listed({"a": array(numbers(2), storage=-1)}), "the kind of the array"),
        (listed({"a": array(np.float32(2).reshape(()))}), "the kind of the array"),
        (listed({"a": array(numbers(*(1,) * 9))}), "the kind of the array"),
        (listed({"a": array(numbers(0, 3), version=V3)}), "the shape or type"),
        (listed({"a": array(numbers(2), flag=99)}), "the shape or type"),
        (listed({"a": struct.pack("<Iii2q", V2, 0, 2, 1 << 62, 1 << 62) + struct.pack("<iii", 1, 0, 0)}), "cut off"),
        (listed({"a": struct.pack("<Iii2q", V2, 0, 2, -1, -2) + struct.pack("<iii", 1, 0, 0)}), "the shape or type"),
        (listed({"a" * 600: numbers(2)}), "a name of 600 bytes"),
        (listed({"aa": numbers(2)})[:-2] + b"\xff\xff", "a name that is not UTF-8"),
        (listed({"a": numbers(2), "b": numbers(2)})[:-1] + b"a", "2 arrays have 1 different names"),
        (listed({"arg:a": numbers(2), "aux:a": numbers(2)}), "arg:a and aux:a are the same weight"),
        (listed({"classifier.0.bias": numbers(2), "classifier.1.bias": numbers(2)}), "are the same weight"),
        (struct.pack("<QQQ", 0x112, 0, 1) + array(numbers(2)) + struct.pack("<Q", 0), "0 names for 1 arrays"),
    ],
)
def test_what_is_not_a_checkpoint(tmp_path: Path, data: bytes, error: str) -> None:
    (tmp_path / "x.params").write_bytes(data)
    with pytest.raises(InputError, match=error) as raised:
        open_checkpoint(tmp_path / "x.params")
    assert str(raised.value).startswith(f"{tmp_path / 'x.params'}: ")
    assert "\n" not in str(raised.value)


def vocab(folder: Path, name: str, tokens: object) -> None:
    (folder / name).write_text(json.dumps({"idx_to_token": tokens, "token_to_idx": {}, "unknown_token": "[UNK]"}))


def test_its_vocabulary_is_found(tmp_path: Path) -> None:
    name = "bert_12_768_12_wiki_cn_cased-885ebb9a.params"

    def tokens() -> list[str] | None:
        words = opened(tmp_path, {"pooler.bias": numbers(2)}, name).vocabulary
        return words and words.read()

    assert tokens() is None
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    assert tokens() == ["[PAD]", "[UNK]"]
    assert "use the .vocab file of the model" in open_checkpoint(tmp_path / name).notes[0]
    vocab(tmp_path, "any.vocab", ["[UNK]", "[PAD]", "猫"])
    assert tokens() == ["[UNK]", "[PAD]", "猫"]
    assert open_checkpoint(tmp_path / name).notes == ()
    # Several, as in the folder where GluonNLP keeps what it has downloaded.
    vocab(tmp_path, "wiki_cn_cased-ddebd8f3.vocab", ["[UNK]", "[PAD]", "狗"])
    assert tokens() == ["[UNK]", "[PAD]", "狗"]
    vocab(tmp_path, "wiki_cn_cased-00000000.vocab", ["[UNK]"])
    assert tokens() == ["[PAD]", "[UNK]"]


@pytest.mark.parametrize("tokens", [None, [], {"a": 1}, ["a", 1]])
def test_vocabularies_that_are_none(tmp_path: Path, tokens: object) -> None:
    vocab(tmp_path, "x.vocab", tokens)
    words = opened(tmp_path, {"pooler.bias": numbers(2)}).vocabulary
    assert words is not None
    with pytest.raises(InputError, match=r"x\.vocab: not a vocabulary of GluonNLP"):
        words.read()


@pytest.mark.parametrize(
    ("name", "do_lower_case"),
    [
        ("bert_12_768_12_book_corpus_wiki_en_uncased-75cc780f.params", True),
        ("bert_24_1024_16_book_corpus_wiki_en_cased-4e685a96.params", False),
        ("bert_12_768_12_wiki_multilingual-237f3985.params", True),
        ("bert_12_768_12_wiki_multilingual_cased-b0f57a20.params", False),
        ("bert_12_768_12_wiki_cn-885ebb9a.params", False),
        ("75cc780f.params", None),
        ("showcased.params", None),
    ],
)
def test_the_name_tells_the_casing(tmp_path: Path, name: str, do_lower_case: bool | None) -> None:
    assert opened(tmp_path, {"pooler.bias": numbers(2)}, name).do_lower_case is do_lower_case


def test_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(TINY, "bert_12_768_12_wiki_cn-885ebb9a.params")
    expected = open_checkpoint(TINY).weights
    weights = open_checkpoint(tmp_path / "model.zip").weights
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight.read(), expected[name].read())
