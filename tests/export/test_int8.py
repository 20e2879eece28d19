"""Int8 that is right on every processor: no sum of two products leaves 16 bits, so no instruction cuts one off."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from bertworks.export.graph import Port
from bertworks.export.int8 import MOST, quantized_columns, quantized_rows
from bertworks.export.layers import Layers
from bertworks.export.runtime import session
from bertworks.export.write import export
from tests.export.builders import KINDS, load


def by_pairs(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What VPMADDUBSW and VPADDD compute: sums of two products, cut off to 16 bits. [N, K] x [K, O] -> [N, O]."""
    products = activations.astype(np.int64)[:, :, None] * weights.astype(np.int64)[None]
    pairs = products.reshape(len(activations), -1, 2, weights.shape[1]).sum(2)
    return pairs.clip(-(1 << 15), (1 << 15) - 1).sum(1)


def test_weights_that_saturate_elsewhere_do_not_here() -> None:
    activations = np.full((3, 64), 255, np.uint8)
    activations[1] = 1
    for value in (0.5, -0.5):
        weight = np.full((4, 64), value, np.float32)
        seven, _ = quantized_columns(weight)
        exact = activations.astype(np.int64) @ seven.T.astype(np.int64)
        np.testing.assert_array_equal(by_pairs(activations, seven.T), exact)
        eight, _ = quantized_rows(weight)  # the whole range, as other programs use it
        assert (by_pairs(activations, eight.T) != activations.astype(np.int64) @ eight.T.astype(np.int64)).any()


def test_quantised_weights_are_near_and_within_bounds() -> None:
    weight = np.random.default_rng(1).normal(size=(7, 50)).astype(np.float32)
    weight[3] = 0
    numbers, scale = quantized_columns(weight)
    assert np.abs(numbers).max() == MOST
    assert np.abs(numbers * scale[:, None] - weight).max(1) == pytest.approx(scale / 2, rel=0.2, abs=1e-9)
    assert (np.abs(numbers * scale[:, None] - weight) <= scale[:, None] * 0.501).all()


def test_the_graph_computes_whole_numbers_exactly(tmp_path: Path) -> None:
    """One product of the graph in ONNX Runtime, with weights made to saturate, beside whole numbers of numpy."""
    import onnxruntime

    rng = np.random.default_rng(2)
    for case, weight in {
        "positive": np.full((24, 768), 0.5),
        "negative": np.full((24, 768), -3.0),
        "alternating": np.tile([1.0, 1.0, -1.0, -1.0], (24, 192)),
        "any": rng.normal(size=(24, 768)),
    }.items():
        weights = {"w.weight": weight.astype(np.float32), "w.bias": rng.normal(size=24).astype(np.float32)}
        layers = Layers(weights, "int8")
        layers.graph.op("Identity", layers.product("x", "w"), name="y")
        path = tmp_path / f"{case}.onnx"
        layers.graph.write(path, [Port("x", ("n", 768), "float32")], [Port("y", ("n", 24))], "")
        rows = np.abs(rng.normal(size=(40, 768))).astype(np.float32)
        rows[7:9] = 3.0  # every activation is the largest
        rows[9] = 0.0
        options = onnxruntime.SessionOptions()
        found = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(
            None, {"x": rows}
        )[0]
        scale = np.maximum(np.abs(rows).max(1, keepdims=True) * np.float32(1 / 127), np.float32(1e-30))
        activations = np.rint(rows / scale).astype(np.int64)
        numbers, column_scale = quantized_columns(weights["w.weight"])
        total = (activations @ numbers.T.astype(np.int64)).astype(np.float64)
        exact = total * scale * column_scale + weights["w.bias"]
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max(), err_msg=case)


# What an emulated processor runs: it needs numpy and ONNX Runtime only.
EMULATED = """
import sys, numpy, onnxruntime
folder, names = sys.argv[1], sys.argv[2:]
rows = numpy.load(f"{folder}/rows.npy")
for name in names:
    opened = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", providers=["CPUExecutionProvider"])
    numpy.save(f"{folder}/{name}.npy", opened.run(None, {"x": rows})[0])
"""
EMULATOR = shutil.which("qemu-x86_64")


@pytest.mark.skipif(EMULATOR is None, reason="no qemu-x86_64 (Debian: qemu-user), which emulates a processor")
def test_a_processor_without_vnni_computes_the_same(tmp_path: Path) -> None:
    """ONNX Runtime on an emulated Haswell, which has AVX2 only: ours is right, and the usual 8 bits are not."""
    weight = np.full((24, 768), 0.5, np.float32)
    weight[12:] = np.random.default_rng(4).normal(size=(12, 768))
    rows = np.abs(np.random.default_rng(5).normal(size=(40, 768))).astype(np.float32)
    rows[7:20] = 3.0
    np.save(tmp_path / "rows.npy", rows)
    expected = {}
    for name, most in (("seven", MOST), ("eight", 127)):
        layers = Layers({"w.weight": weight, "w.bias": np.zeros(24, np.float32)}, "int8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bertworks.export.int8.MOST", most)
            layers.graph.op("Identity", layers.product("x", "w"), name="y")
            numbers, scale = quantized_columns(weight)
        path = tmp_path / f"{name}.onnx"
        layers.graph.write(path, [Port("x", ("n", 768), "float32")], [Port("y", ("n", 24))], "")
        row_scale = np.abs(rows).max(1, keepdims=True) * np.float32(1 / 127)
        total = np.rint(rows / row_scale).astype(np.int64) @ numbers.T.astype(np.int64)
        expected[name] = total.astype(np.float64) * row_scale * scale
    (tmp_path / "run.py").write_text(EMULATED)
    packages = Path(onnx.__file__).parents[1]
    subprocess.run(
        [str(EMULATOR), "-cpu", "Haswell", os.path.realpath(sys.executable), tmp_path / "run.py", tmp_path, *expected],
        env={**os.environ, "PYTHONPATH": str(packages), "OPENBLAS_CORETYPE": "Haswell"},
        check=True,
        capture_output=True,
    )
    wrong = {
        name: float(np.abs(np.load(tmp_path / f"{name}.npy") - values).max() / np.abs(values).max())
        for name, values in expected.items()
    }
    assert wrong["seven"] < 1e-6
    assert wrong["eight"] > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_in_int8(tmp_path: Path, kind: str) -> None:
    written = export(load(tmp_path / "model", kind), tmp_path / "export", "onnx", "int8")
    for output, error in written.certificate.errors["onnx/model_quantized.onnx"].items():
        assert 0 < error.relative < 0.2, (output, error)
    for tensor in onnx.load(tmp_path / "export" / "onnx" / "model_quantized.onnx").graph.initializer:
        if tensor.name.endswith("_quantized"):
            assert np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max() <= MOST
    whole, quarter = written.files["onnx/model.onnx"], written.files["onnx/model_quantized.onnx"]
    assert quarter < whole * 0.65  # in a small model much is not quantised


def test_a_text_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    export(load(tmp_path / "model", "single"), tmp_path / "export", "onnx", "int8")
    opened = session(tmp_path / "export", "onnx", "int8")
    rng = np.random.default_rng(3)
    ids = rng.integers(5, 900, (6, 40))
    mask = (np.arange(40) < rng.integers(3, 40, 6)[:, None]).astype(int)
    together = opened.run({"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * ids})["logits"]
    for row in range(6):
        length = mask[row].sum()
        own = ids[row : row + 1, :length]
        alone = opened.run({"input_ids": own, "attention_mask": 0 * own + 1, "token_type_ids": 0 * own})["logits"]
        np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


def test_openvino_holds_int8_weights(tmp_path: Path) -> None:
    written = export(load(tmp_path / "model", "single"), tmp_path / "export", "openvino", "int8")
    (error,) = written.certificate.errors["openvino_model_qint8_quantized.xml"].values()
    assert 0 < error.relative < 0.2
    sizes = [(tmp_path / "export" / name).with_suffix(".bin").stat().st_size for name in written.files]
    assert sizes[1] < sizes[0] / 2
