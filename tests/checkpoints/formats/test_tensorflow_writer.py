"""TensorFlow checkpoints, written: Google's own bytes again, and TensorFlow opens them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bertworks.checkpoints.formats.tensorflow import TensorFlowCheckpoint
from bertworks.checkpoints.formats.tensorflow_writer import in_order, write_tensorflow
from bertworks.checkpoints.load import open_checkpoint
from bertworks.checkpoints.storage import FolderStorage
from bertworks.checkpoints.weights import Weight
from bertworks.errors import InputError
from tests.checkpoints.builders import GOOGLE_TINY

DATA = ".data-00000-of-00001"


def weights_of(name: str) -> Mapping[str, Weight]:
    return open_checkpoint(GOOGLE_TINY / name).weights


@pytest.mark.parametrize("name", ["bert_model.ckpt", "classifier.ckpt", "squad.ckpt"])
def test_every_entry_is_googles(tmp_path: Path, name: str) -> None:
    write_tensorflow(tmp_path / name, weights_of(name))
    theirs, ours = (TensorFlowCheckpoint(FolderStorage(folder), name).entries for folder in (GOOGLE_TINY, tmp_path))
    assert list(ours) == [key for key in theirs if key != "global_step" and not key.endswith(("/adam_m", "/adam_v"))]
    for key, entry in ours.items():
        expected = theirs[key]
        assert (entry.dtype, entry.shape, entry.shard) == (expected.dtype, expected.shape, expected.shard)
        assert (entry.size, entry.crc32c, entry.sliced) == (expected.size, expected.crc32c, expected.sliced)


def test_the_data_is_googles_without_the_global_step(tmp_path: Path) -> None:
    write_tensorflow(tmp_path / "x.ckpt", weights_of("classifier.ckpt"))
    step = TensorFlowCheckpoint(FolderStorage(GOOGLE_TINY), "classifier.ckpt").entries["global_step"]
    theirs = (GOOGLE_TINY / f"classifier.ckpt{DATA}").read_bytes()
    assert (tmp_path / f"x.ckpt{DATA}").read_bytes() == theirs[: step.offset] + theirs[step.offset + step.size :]


def test_it_reads_back_from_its_folder(tmp_path: Path) -> None:
    weights = weights_of("squad.ckpt")
    # Any order will do, and what was there before is replaced.
    write_tensorflow(tmp_path / "new" / "model.ckpt-7", dict(reversed(weights.items())))
    write_tensorflow(tmp_path / "new" / "model.ckpt-7", dict(sorted(weights.items())))
    again = open_checkpoint(tmp_path / "new").weights
    assert list(again) == sorted(weights)
    for name, weight in again.items():
        np.testing.assert_array_equal(weight.read(), weights[name].read())
    assert (tmp_path / "new" / "checkpoint").read_text() == (
        'model_checkpoint_path: "model.ckpt-7"\nall_model_checkpoint_paths: "model.ckpt-7"\n'
    )
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_in_order_is_tensorflows(tmp_path: Path) -> None:
    weights = weights_of("classifier.ckpt")
    assert list(in_order(dict(sorted(weights.items())))) == list(weights)


def test_a_name_that_tensorflows_bert_does_not_have(tmp_path: Path) -> None:
    weights = {"crf.transitions": next(iter(weights_of("classifier.ckpt").values()))}
    with pytest.raises(InputError, match=r"crf\.transitions: TensorFlow's BERT has no such weight"):
        write_tensorflow(tmp_path / "x.ckpt", weights)
    assert not list(tmp_path.iterdir())


def test_a_damaged_weight_leaves_nothing_behind(tmp_path: Path) -> None:
    def damaged(_: NDArray[np.float32]) -> None:
        raise InputError("the file: is damaged")

    weights = dict(weights_of("classifier.ckpt"))
    weights["classifier.bias"] = Weight("output_bias", (3,), damaged)
    with pytest.raises(InputError, match="is damaged"):
        write_tensorflow(tmp_path / "x.ckpt", weights)
    assert not list(tmp_path.iterdir())


def test_tensorflow_opens_what_we_write(tmp_path: Path) -> None:
    """Where a Python with TensorFlow is at hand, it reads every tensor, starts a graph, and writes our bytes."""
    python = shutil.which("python-with-tensorflow")
    if python is None:
        pytest.skip("no python-with-tensorflow on the path")
    weights = weights_of("bert_model.ckpt")
    prefix, again = tmp_path / "x.ckpt", tmp_path / "y.ckpt"
    write_tensorflow(prefix, weights)
    script = """
import sys, numpy, tensorflow as tf
prefix, again, arrays = sys.argv[1:]
tf.compat.v1.disable_eager_execution()
assert tf.train.latest_checkpoint(prefix.rpartition("/")[0]) == prefix
reader = tf.train.load_checkpoint(prefix)
shapes = dict(tf.train.list_variables(prefix))
numpy.savez(arrays, **{name.replace("/", "|"): reader.get_tensor(name) for name in shapes})
variables = [tf.compat.v1.get_variable(name, shape) for name, shape in shapes.items()]
tf.compat.v1.train.init_from_checkpoint(prefix, {name: name for name in shapes})
with tf.compat.v1.Session() as session:
    session.run(tf.compat.v1.global_variables_initializer())
    saver = tf.compat.v1.train.Saver(variables)
    saver.save(session, again, write_meta_graph=False, write_state=False)
    saver.restore(session, prefix)
"""
    words = [python, "-c", script, prefix, again, tmp_path / "arrays.npz"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    stored = {weight.stored_as: weight.read() for weight in weights.values()}
    with np.load(tmp_path / "arrays.npz") as arrays:
        assert {name.replace("|", "/") for name in arrays} == stored.keys()
        for name in arrays:
            ours = stored[name.replace("|", "/")]
            np.testing.assert_array_equal(arrays[name], ours.T if name.endswith("kernel") else ours)
    for ending in (".index", DATA):
        assert Path(f"{again}{ending}").read_bytes() == Path(f"{prefix}{ending}").read_bytes()
