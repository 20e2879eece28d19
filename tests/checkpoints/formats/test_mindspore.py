"""MindSpore's checkpoints: a real one bit for bit, and every form in which MindSpore stores tensors."""

from __future__ import annotations

import tracemalloc
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.checkpoints.load import open_checkpoint
from bertworks.checkpoints.weights import Checkpoint
from bertworks.errors import InputError
from tests.checkpoints.builders import GOOGLE_TINY, message, varint

TINY = GOOGLE_TINY.parent / "mindspore_tiny.ckpt"
WORDS = "bert.bert.bert_embedding_lookup.embedding_table"

CONFIG = """\
optimizer_cfg:
    optimizer: 'Lamb'
bert_network: 'large'  # one of the blocks below
batch_size: 32

base_net_cfg:
    vocab_size: 21128
    hidden_size: 768
large_net_cfg:
    seq_length: 512
    vocab_size: 30522
    hidden_size: 1024
    num_hidden_layers: 24

    num_attention_heads: 16
    intermediate_size: 4096
    hidden_act: "gelu"
    hidden_dropout_prob: 0.1
    initializer_range: 0.02   # as in the paper
    use_relative_positions: False
    dtype: mstype.float32
---
bert_network: "what to train"
"""


def value(name: str, array: np.ndarray, kind: str = "Float32", dims: tuple[int, ...] | None = None) -> bytes:
    """A tensor as MindSpore stores it, or a piece of one with `dims`."""
    shape = [(1, dim) for dim in (array.shape if dims is None else dims)]
    tensor = message(*shape, (2, kind.encode()), (3, array.tobytes()))
    return message((1, message((1, name.encode()), (2, tensor))))


def opened(folder: Path, *values: bytes) -> Checkpoint:
    (folder / "x.ckpt").write_bytes(b"".join(values))
    return open_checkpoint(folder / "x.ckpt")


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_the_weights_of_the_original_bit_for_bit() -> None:
    checkpoint, original = open_checkpoint(TINY), open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")
    assert checkpoint.weights.keys() == original.weights.keys()
    for name, weight in original.weights.items():
        assert checkpoint.weights[name].shape == weight.shape
        np.testing.assert_array_equal(checkpoint.weights[name].read().view(np.uint32), weight.read().view(np.uint32))
    assert checkpoint.notes == ("set aside: global_step",)
    assert (checkpoint.format, checkpoint.hidden_act, checkpoint.config) == ("MindSpore", "gelu_new", None)


def test_opening_reads_no_tensor(tmp_path: Path) -> None:
    rows, size = 1 << 20, 1 << 30
    before = message((1, rows), (1, 256), (2, b"Float32")) + b"\x1a" + varint(size)
    tensor = message((1, WORDS.encode())) + b"\x12" + varint(len(before) + size) + before
    with (tmp_path / "x.ckpt").open("wb") as stream:
        stream.write(b"\x0a" + varint(len(tensor) + size) + tensor)
        stream.truncate(stream.tell() + size)  # a hole in the file
    tracemalloc.start()
    weight = open_checkpoint(tmp_path / "x.ckpt").weights["bert.embeddings.word_embeddings.weight"]
    assert weight.shape == (rows, 256)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@given(rows=st.integers(1, 30), columns=st.integers(1, 5), cuts=st.lists(st.integers(0, 600), max_size=6))
def test_pieces_in_a_row_are_joined(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, cuts: list[int]
) -> None:
    array = numbers(rows, columns)
    data = array.tobytes()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [np.frombuffer(data[a:b], np.uint8) for a, b in pairwise(places)]
    checkpoint = opened(tmp_path_factory.mktemp("pieces"), *(value(WORDS, piece, dims=array.shape) for piece in pieces))
    np.testing.assert_array_equal(checkpoint.weights["bert.embeddings.word_embeddings.weight"].read(), array)


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("Float64", numbers(2, 3).astype(np.float64)),
        ("Float16", numbers(2, 3).astype(np.float16)),
        ("BFloat16", (numbers(2, 3).view(np.uint32) >> 16).astype(np.uint16)),
    ],
)
def test_other_floating_point_types(tmp_path: Path, kind: str, stored: np.ndarray) -> None:
    weights = opened(tmp_path, value(WORDS, stored, kind)).weights
    np.testing.assert_array_equal(weights["bert.embeddings.word_embeddings.weight"].read(), numbers(2, 3))


def test_a_weight_of_integers_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    weights = opened(tmp_path, value(WORDS, np.ones((2, 3), np.int32), "Int32")).weights
    with pytest.raises(InputError, match="embedding_table is of Int32, not of a floating-point type"):
        weights["bert.embeddings.word_embeddings.weight"].read()


def test_what_is_no_weight_is_set_aside_with_a_note(tmp_path: Path) -> None:
    checkpoint = opened(
        tmp_path,
        value("bert.cls1.output_bias", numbers(7)),
        value("bert.dense_1.bias", numbers(1)),
        value("lamb_m.bert.cls1.output_bias", numbers(7)),
        value("lamb_m.bert.dense_1.bias", numbers(1)),
        value("moments.bert.cls1.output_bias", numbers(7)),
        value("learning_rate", np.float32(1), dims=()),
        value("epoch", np.int32(1), "Int32", dims=(0,)),  # a scalar, as older versions write it
        value("note", np.frombuffer("hello".encode("utf-32-le"), np.uint8), "str", dims=(0,)),
        value("bert.lstm.weight_ih_l0", numbers(4, 2)),
    )
    assert checkpoint.notes == (
        "2 optimizer slots set aside: lamb_m.*",
        "1 optimizer slots set aside: moments.*",
        "set aside: learning_rate, epoch, note",
    )
    assert [*checkpoint.weights] == ["cls.predictions.bias", "classifier.bias", "bert.lstm.weight_ih_l0"]


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        ("bert.dense_1.weight", "classifier.weight"),
        ("bert.dense1.bias", "qa_outputs.bias"),
        (
            "bert.bert.bert_embedding_postprocessor.embedding_table",
            "bert.embeddings.token_type_embeddings.weight",
        ),
        (
            "bert.bert.bert_embedding_postprocessor.full_position_embeddings",
            "bert.embeddings.position_embeddings.weight",
        ),
    ],
)
def test_fine_tuned_heads_and_old_names(tmp_path: Path, stored: str, ours: str) -> None:
    assert [*opened(tmp_path, value(stored, numbers(2, 3))).weights] == [ours]


def test_relative_positions_are_refused(tmp_path: Path) -> None:
    layer = "bert.bert.bert_encoder.layers.0.attention.attention"
    name = f"{layer}._generate_relative_positions_embeddings.embeddings_table"
    with pytest.raises(InputError, match="a NEZHA with relative positions, which BERT does not have"):
        opened(tmp_path, value(name, numbers(33, 8)))


def test_a_checksum_is_verified(tmp_path: Path) -> None:
    data = TINY.read_bytes()
    tail = b"crc_num" + zlib.crc32(data).to_bytes(10, "big")
    assert len(opened(tmp_path, data, tail).weights) == 62
    for bad in (data[:50_000] + b"\0" + data[50_001:], data):
        with pytest.raises(InputError, match="its checksum differs"):
            opened(tmp_path, bad, tail if bad != data else tail[:-1] + b"\0")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "empty"),
        (b"\n", "damaged"),
        (bytes.fromhex("d85e3a7f") + b"x" * 40, "it is encrypted: load it in MindSpore with its dec_key"),
        (value("a", numbers(3)) + b"crc_nam" + b"\0" * 10, "its checksum differs"),
        (value("a", numbers(3)) + b"crc_num" + b"\0" * 9, r"damaged after a \(no value"),
        (value("a", numbers(3)) * 2, "a of shape \\[3\\] has 24 bytes, not 12"),
        (value("a", numbers(3)) + value("b", numbers(3)) + value("a", numbers(3)), "holds a twice"),
        (value("a", numbers(3)) + value("a", numbers(3), dims=(4,)), "holds a twice"),
        (value("a" * 600, numbers(3)), "a name of 600 bytes"),
        (value("a", numbers(3), dims=(1,) * 80 + (3,)), "the shape of a"),
        (value("a", numbers(3), dims=(0, 1 << 62)), "the shape of a"),
        (value("a", numbers(3), dims=(1 << 63, 1 << 63)), "a of shape .* has 12 bytes"),
        (value("a", numbers(3), "Complex64"), "the type 'Complex64' of a"),
        (message((1, message((1, b"a")))), "damaged"),
        (message((1, message((1, b"\xff"), (2, b"")))), "utf-8"),
        (message((1, message((1, b"m"), (3, b"a map")))), "no tensor"),
        (value("bert.cls1.output_bias", numbers(2))[:-1], "cut off"),
        (b"\x0a" + b"\xff" * 12, "damaged"),
        (b"\x0a\x02\x0a\x00" * 3, "damaged"),
    ],
)  # fmt: skip
def test_what_is_not_a_checkpoint(tmp_path: Path, data: bytes, error: str) -> None:
    with pytest.raises(InputError, match=error) as raised:
        opened(tmp_path, data)
    assert str(raised.value).startswith(f"{tmp_path / 'x.ckpt'}: ")
    assert "\n" not in str(raised.value)


def test_more_tensors_than_any_model_has(tmp_path: Path) -> None:
    piece = value("a", np.zeros(1, np.uint8), dims=(3,))
    with pytest.raises(InputError, match="more than 20,000 tensors"):
        opened(tmp_path, piece * 20_001)


def test_what_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(value(WORDS, numbers(2, 3)))
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (tmp_path / "pretrain_config.yaml").write_text(CONFIG)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary.read() == ["[PAD]", "[UNK]"]
    assert checkpoint.config is not None
    config = checkpoint.config
    assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (30522, 1024, 24)
    assert (config.num_attention_heads, config.intermediate_size, config.hidden_act) == (16, 4096, "gelu_new")
    assert (config.hidden_dropout_prob, config.initializer_range, config.extra) == (0.1, 0.02, {})
    # Google's file comes first.
    (tmp_path / "bert_config.json").write_bytes((GOOGLE_TINY / "bert_config.json").read_bytes())
    config = open_checkpoint(tmp_path).config
    assert config is not None
    assert config.vocab_size == 900


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("use_relative_positions: False", "use_relative_positions: True"), "use_relative_positions: a NEZHA"),
        (('hidden_act: "gelu"', 'hidden_act: "fast_gelu"'), "hidden_act 'fast_gelu' is not one of"),
        (("vocab_size: 30522", "vocab_size: many"), "vocab_size is 'many', not int"),
    ],
)
def test_configurations_of_other_networks(tmp_path: Path, change: tuple[str, str], error: str) -> None:
    (tmp_path / "x.ckpt").write_bytes(value(WORDS, numbers(2, 3)))
    (tmp_path / "pretrain_config.yaml").write_text(CONFIG.replace(*change))
    with pytest.raises(InputError, match=error):
        open_checkpoint(tmp_path)


def test_a_configuration_must_be_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(value(WORDS, numbers(2, 3)))
    for file in ("task_ner_config.yaml", "task_squad_config.yml", "other.yaml"):
        (tmp_path / file).write_text("bert_net_cfg:\n  vocab_size: 2\n" if file != "other.yaml" else "a: 1\n")
    assert open_checkpoint(tmp_path).config is None
    (tmp_path / "task_squad_config.yml").unlink()
    config = open_checkpoint(tmp_path).config
    assert config is not None
    assert config.vocab_size == 2


def test_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(TINY, "bert.ckpt")
    expected = open_checkpoint(TINY).weights
    weights = open_checkpoint(tmp_path / "model.zip").weights
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight.read(), expected[name].read())
