"""TensorFlow checkpoints: the original's weights bit for bit, and every damage an error."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bertworks.checkpoints.finding import find_storage
from bertworks.checkpoints.formats.leveldb import read_table
from bertworks.checkpoints.formats.tensorflow import TensorFlowCheckpoint, find_prefix
from bertworks.checkpoints.load import open_checkpoint
from bertworks.errors import InputError
from tests.checkpoints.builders import GOOGLE_TINY, block, bundle, entry, message, signed, table, trailed

SNAPPY_INDEX = GOOGLE_TINY.parent / "tf1_snappy_blocks.index"


def opened(path: Path) -> TensorFlowCheckpoint:
    place, name = find_storage(path)
    return TensorFlowCheckpoint(place, find_prefix(place, name))


@pytest.mark.parametrize(("prefix", "values"), [("bert_model.ckpt", "initial"), ("trained.ckpt", "trained")])
def test_every_weight_bit_for_bit(prefix: str, values: str) -> None:
    checkpoint = open_checkpoint(GOOGLE_TINY / prefix)
    by_stored_name = {weight.stored_as: weight for weight in checkpoint.weights.values()}
    with np.load(GOOGLE_TINY / f"{values}_weights.npz") as expected:
        assert {name.replace("|", "/") for name in expected} == set(by_stored_name)
        for name in expected:
            weight = by_stored_name[name.replace("|", "/")]
            array = weight.read()
            assert array.shape == weight.shape
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, expected[name].T if name.endswith("kernel") else expected[name])


def test_what_is_no_weight_is_set_aside_with_a_note() -> None:
    checkpoint = open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")
    assert checkpoint.notes == (
        "62 optimizer slots set aside: */adam_m",
        "62 optimizer slots set aside: */adam_v",
        "set aside: global_step",
    )
    assert checkpoint.hidden_act == "gelu_new"
    assert checkpoint.config is not None
    assert checkpoint.config.num_hidden_layers == 3


def test_slots_can_be_read() -> None:
    checkpoint = opened(GOOGLE_TINY / "trained.ckpt")
    assert checkpoint.entries["global_step"].shape == ()
    assert checkpoint.weight("bert/pooler/dense/kernel/adam_m").read().shape == (32, 32)


def test_snappy_blocks_of_a_real_tensorflow_1_checkpoint() -> None:
    checkpoint = opened(SNAPPY_INDEX)
    assert len(checkpoint.entries) == 1197
    assert checkpoint.entries["bert/embeddings/word_embeddings"].shape == (30522, 1024)
    assert checkpoint.entries["bert/encoder/layer_23/output/dense/kernel/LAMB_1"].shape == (4096, 1024)
    checkpoint = open_checkpoint(SNAPPY_INDEX)
    assert not [name for name in checkpoint.weights if not name.startswith(("bert.", "cls."))]
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.weights["bert.pooler.dense.weight"].read()


def test_every_way_to_name_a_checkpoint(tmp_path: Path) -> None:
    for file in GOOGLE_TINY.glob("classifier.ckpt.*"):
        shutil.copy(file, tmp_path)
    prefix = tmp_path / "classifier.ckpt"
    for path in (prefix, Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001"), tmp_path):
        assert opened(path).prefix == prefix
    (tmp_path / "model.ckpt-7.index").write_bytes(Path(f"{prefix}.index").read_bytes())
    with pytest.raises(InputError, match=r"2 TensorFlow checkpoints \(classifier.ckpt, model.ckpt-7\)"):
        find_prefix(*find_storage(tmp_path))
    for named in ("model.ckpt-7", "/tmp/of/another/machine/model.ckpt-7"):
        (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\nall_model_checkpoint_paths: "x"\n')
        assert find_prefix(*find_storage(tmp_path)) == "model.ckpt-7"
    for text, error in (('model_checkpoint_path: "gone"', "gone is not there"), ("", "names no checkpoint")):
        (tmp_path / "checkpoint").write_text(text)
        with pytest.raises(InputError, match=error):
            find_prefix(*find_storage(tmp_path))


@pytest.mark.parametrize("compression", [0, 1])
def test_several_data_files_and_types(tmp_path: Path, compression: int) -> None:
    single = np.arange(6, dtype=np.float32).reshape(2, 3)
    half, brain = single.astype(np.float16), (single.view(np.uint32) >> 16).astype(np.uint16)
    double = single.astype(np.float64)
    first, second = single.tobytes() + half.tobytes(), brain.tobytes() + double.tobytes()
    prefix = bundle(
        tmp_path / "model.ckpt",
        {
            "a": entry((2, 3), single.tobytes()),
            "b": entry((2, 3), half.tobytes(), dtype=19, offset=24),
            "c": entry((2, 3), brain.tobytes(), dtype=14, shard=1),
            "d": entry((2, 3), double.tobytes(), dtype=2, shard=1, offset=12),
        },
        shards=2,
        compression=compression,
    )
    Path(f"{prefix}.data-00000-of-00002").write_bytes(first)
    Path(f"{prefix}.data-00001-of-00002").write_bytes(second)
    weights = open_checkpoint(prefix).weights
    for name in "abcd":
        assert weights[name].read().dtype == np.float32
        np.testing.assert_array_equal(weights[name].read(), single)


def test_every_damaged_byte_of_an_index_is_an_error(tmp_path: Path) -> None:
    good = (GOOGLE_TINY / "classifier.ckpt.index").read_bytes()
    path = tmp_path / "x.ckpt.index"
    random = Random(1)
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << random.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(InputError, match=r"x\.ckpt\.index: "):
            read_table(path, path.read_bytes())
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(InputError):
            read_table(path, path.read_bytes())


def test_every_damaged_byte_of_the_data_is_an_error_that_names_the_tensor(tmp_path: Path) -> None:
    shutil.copy(GOOGLE_TINY / "classifier.ckpt.index", tmp_path)
    good = (GOOGLE_TINY / "classifier.ckpt.data-00000-of-00001").read_bytes()
    path = tmp_path / "classifier.ckpt.data-00000-of-00001"
    path.write_bytes(good)
    checkpoint = opened(tmp_path)
    random = Random(2)
    for _ in range(300):
        name, place = random.choice([item for item in checkpoint.entries.items() if item[0] != "global_step"])
        offset = place.offset + random.randrange(place.size)
        with path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(bytes([good[offset] ^ 1 << random.randrange(8)]))
        with pytest.raises(InputError, match=f"{path.name}: {name} is damaged"):
            opened(tmp_path).weight(name).read()
        with path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(good[offset : offset + 1])
    for length in (0, 1, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match="cut off"):
            opened(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="cut off inside bert/pooler/dense/kernel"):
        checkpoint.weight("bert/pooler/dense/kernel").read()


def test_an_index_that_lies_with_right_checksums_allocates_nothing_and_ends(tmp_path: Path) -> None:
    """Damaged blocks with mended checksums: an InputError, or tensors no larger than the file."""
    good = (GOOGLE_TINY / "classifier.ckpt.index").read_bytes()
    shutil.copy(GOOGLE_TINY / "classifier.ckpt.data-00000-of-00001", tmp_path)
    body = good[: good.index(b"\0\0\0\0\1\0\0\0\0") + 8]
    random = Random(3)
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(1000):
            bad = bytearray(body)
            for _ in range(random.randint(1, 3)):
                bad[random.randrange(len(bad))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            (tmp_path / "classifier.ckpt.index").write_bytes(table([signed(bytes(bad))]))
            try:
                checkpoint = opened(tmp_path)
                for name in random.sample(sorted(checkpoint.entries), 5):
                    checkpoint.weight(name).read()
            except InputError:
                refused += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused > 500
    assert peak < 8 << 20


HUGE = 1 << 40


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (entry((HUGE,), b"abcd"), "has 4 bytes, not 4,398,046,511,104"),
        (message((1, 1), (2, message((2, message((1, HUGE))))), (5, 4 * HUGE)), "cut off"),
        (message((1, 1), (2, message((2, message((1, 1))))), (4, 1 << 62), (5, 4)), "cut off"),
        (entry((0, HUGE, HUGE), b""), "a shape that no tensor has"),
        (message((2, message((2, message((1, (1 << 64) - 1)))))), "a shape of unknown size"),
        (entry((1,), b"abcd", shard=5), "data file 5 of 1"),
        (entry((1,), b"abcd")[:-2], "goes beyond the message's end"),
        (b"\xff" * 20, "not a message"),
    ],
)
def test_lies_about_sizes(tmp_path: Path, lie: bytes, error: str) -> None:
    prefix = bundle(tmp_path / "x.ckpt", {"bert/pooler/dense/bias": lie})
    Path(f"{prefix}.data-00000-of-00001").write_bytes(b"abcd")
    with pytest.raises(InputError, match=error) as caught:
        opened(prefix)
    assert "bert/pooler/dense/bias" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (entry((1,), b"abcd", dtype=7), "of DataType 7, not of a floating-point type"),
        (entry((1,), b"abcd") + message((7, b"")), "a partitioned variable"),
        (entry((1,), b"dcba"), "is damaged"),
    ],
)
def test_what_cannot_be_read_is_an_error_when_asked_for(tmp_path: Path, wrong: bytes, error: str) -> None:
    prefix = bundle(tmp_path / "x.ckpt", {"a": wrong})
    Path(f"{prefix}.data-00000-of-00001").write_bytes(b"abcd")
    checkpoint = opened(prefix)
    with pytest.raises(InputError, match=error):
        checkpoint.weight("a").read()


def test_tensors_that_lie_in_the_same_bytes_are_refused(tmp_path: Path) -> None:
    tensors = {f"bert/encoder/layer_{i}/output/dense/bias": entry((1,), b"abcd") for i in range(9)}
    prefix = bundle(tmp_path / "x.ckpt", tensors)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(b"abcd")
    with pytest.raises(InputError, match=r"00001: 4 bytes, of which the index makes 36; tensors overlap"):
        opened(prefix)


def test_integers_are_no_weights(tmp_path: Path) -> None:
    prefix = bundle(tmp_path / "x.ckpt", {"output_bias": entry((1,), b"abcd", dtype=3)})
    Path(f"{prefix}.data-00000-of-00001").write_bytes(b"abcd")
    with pytest.raises(InputError, match="output_bias is of int32"):
        open_checkpoint(prefix).weights["classifier.bias"].read()


def test_one_weight_under_two_names_is_an_error(tmp_path: Path) -> None:
    twice = {f"bert/embeddings/{name}/beta": entry((1,), b"abcd") for name in ("LayerNorm", "layer_normalization")}
    with pytest.raises(InputError, match="are the same weight"):
        open_checkpoint(bundle(tmp_path / "x.ckpt", twice))


@pytest.mark.parametrize(
    "blocks",
    [
        [signed(b"\xff\xff\xff\xff\x0f")],  # restart points that are not there
        [signed(b"")],
        [signed(b"\5\1\1ab\0\0\0\0\1\0\0\0")],  # shares 5 bytes with a key that is not there
        [block({b"b": b"", b"a": b""})],  # not sorted
        [block({b"a": b""}), block({b"a": b""})],
        [block({b"k" * 5000: b""})],
        [trailed(b"\0\0\0\0\1\0\0\0", 2)],  # no such compression
        [trailed(b"\x08\xfe\x01\x00", 1)],  # Snappy that copies from before its beginning
    ],
)
def test_tables_that_break_the_rules(tmp_path: Path, blocks: list[bytes]) -> None:
    path = tmp_path / "x.index"
    path.write_bytes(table(blocks))
    with pytest.raises(InputError, match="damaged"):
        read_table(path, path.read_bytes())


def test_a_small_file_cannot_claim_a_large_block(tmp_path: Path) -> None:
    bomb = b"\xff\xff\xff\xff\x0f" + b"\xfe\x01\x00" * 10  # Snappy: 4 GiB follow
    path = tmp_path / "x.index"
    path.write_bytes(table([trailed(bomb, 1)]))
    with pytest.raises(InputError, match="size of a block"):
        read_table(path, path.read_bytes())


def test_other_files_are_no_index(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    for text in (b"", b"not a table", b"x" * 1000):
        path.write_bytes(text)
        with pytest.raises(InputError, match="not the index of a TensorFlow checkpoint"):
            read_table(path, path.read_bytes())
