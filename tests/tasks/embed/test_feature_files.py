"""Files of features: what was added is what they hold, or they are not there at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file

from bertworks.errors import InputError
from bertworks.tasks.embed.feature_files import check_output, feature_file, rounded_texts
from bertworks.tasks.embed.features import TextFeatures

TOKENS = ["[PAD]", "[CLS]", "[SEP]", "the", '"', "北", "##é"]
LAYERS = (-1, 0)
HIDDEN = 4


def plain(row: np.ndarray) -> str:
    """As the original writes numbers."""
    return json.dumps([round(float(x), 6) for x in row])[1:-1]


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 3), st.integers(1, 20)), elements=st.floats(-1100, 1100, width=32)
    )
)
def test_numbers_are_written_as_python_rounds_and_writes_them(values: np.ndarray) -> None:
    assert [text.decode() for text in rounded_texts(values)] == [plain(row) for row in values]


def test_numbers_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    kinds = [rng.normal(0, 10.0**power, 2000) for power in range(-8, 3)]
    special = [
        0.0,
        -0.0,
        1e-6,
        -1e-6,
        4.9e-7,
        -5.1e-7,
        9.94e-5,
        9.96e-5,
        1e-4,
        -1e-4,
        1.0,
        -1.5,
        999.9999,
        1e-45,
        1 / 128,
    ]
    values = np.concatenate([*kinds, special, np.arange(-300, 300) / 1e6]).astype(np.float32)
    values = values[np.abs(values) < 1000]
    assert rounded_texts(values[None]) == [plain(values).encode()]


@pytest.mark.parametrize("odd", [1000.0, -1e30, np.inf, np.nan])
def test_numbers_too_large_for_the_tables(odd: float) -> None:
    values = np.array([[0.5, odd], [-0.25, 1e-5]], np.float32)
    assert [text.decode() for text in rounded_texts(values)] == [plain(row) for row in values]


def features_of(lengths: Sequence[int], pooling: str) -> list[TextFeatures]:
    rng = np.random.default_rng(1)
    width = HIDDEN * len(LAYERS)
    return [
        TextFeatures(
            ("the", "é") if n == 3 else "北 the",
            rng.integers(0, len(TOKENS), n).tolist(),
            False,
            rng.normal(size=(n, width) if pooling == "none" else width).astype(np.float32),
        )
        for n in lengths
    ]


def write(path: Path, added: Sequence[TextFeatures], pooling: str) -> None:
    with feature_file(path, layers=LAYERS, hidden_size=HIDDEN, pooling=pooling, tokens=TOKENS) as add:
        for one in added:
            add(one)


def test_json_lines_are_the_originals(tmp_path: Path) -> None:
    added = features_of([3, 2, 5], "none")
    write(tmp_path / "out.jsonl", added, "none")
    expected = [
        {
            "linex_index": number,
            "features": [
                {
                    "token": TOKENS[i],
                    "layers": [
                        {"index": layer, "values": [round(float(x), 6) for x in row[4 * j : 4 * j + 4]]}
                        for j, layer in enumerate(LAYERS)
                    ],
                }
                for i, row in zip(one.ids, one.values, strict=True)
            ],
        }
        for number, one in enumerate(added)
    ]
    assert (tmp_path / "out.jsonl").read_text() == "".join(json.dumps(line) + "\n" for line in expected)


def test_json_lines_of_pooled_features(tmp_path: Path) -> None:
    added = features_of([3, 2], "mean")
    write(tmp_path / "out", added, "mean")  # any other ending is JSON lines
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [list(line) for line in lines] == [["linex_index", "layers"]] * 2
    assert [layer["index"] for layer in lines[1]["layers"]] == [-1, 0]
    np.testing.assert_allclose(
        [[x for layer in line["layers"] for x in layer["values"]] for line in lines],
        [one.values for one in added],
        atol=1e-6,
    )


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npy":
        return {"features": np.load(path)}
    if path.suffix == ".safetensors":
        return load_file(path)
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
@pytest.mark.parametrize("count", [0, 1, 37])
def test_arrays_of_pooled_features(tmp_path: Path, suffix: str, count: int) -> None:
    added = features_of(range(2, 2 + count), "mean")
    path = tmp_path / f"out{suffix}"
    write(path, added, "mean")
    found = arrays_of(path)
    assert list(found) == ["features"]
    assert (found["features"].shape, found["features"].dtype) == ((count, 8), np.float32)
    for row, one in zip(found["features"], added, strict=True):
        np.testing.assert_array_equal(row, one.values)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_arrays_of_token_rows_say_where_lines_begin(tmp_path: Path, suffix: str) -> None:
    added = features_of([3, 2, 11], "none")
    write(tmp_path / f"out{suffix}", added, "none")
    found = arrays_of(tmp_path / f"out{suffix}")
    assert (found["starts"].tolist(), found["starts"].dtype) == ([0, 3, 5, 16], np.int64)
    np.testing.assert_array_equal(found["features"], np.concatenate([one.values for one in added]))


@pytest.mark.parametrize("pooling", ["none", "max"])
def test_parquet(tmp_path: Path, pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("bertworks.tasks.embed.feature_files.ROW_GROUP_VALUES", 40)
    added = features_of([3, 2, 11], pooling)
    write(tmp_path / "out.parquet", added, pooling)
    table = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    values = np.concatenate([one.values.reshape(-1, 8) for one in added])
    np.testing.assert_array_equal(np.array(table.pop("embedding"), np.float32), values)
    if pooling == "none":
        tokens = [TOKENS[i] for one in added for i in one.ids]
        assert table == {"linex_index": [0] * 3 + [1] * 2 + [2] * 11, "token": tokens}
    else:
        texts = {"text_a": ["the", "北 the", "北 the"], "text_b": ["é", None, None]}
        assert table == {"linex_index": [0, 1, 2], **texts}


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"pip install \"bertworks\[parquet\]\""):
        check_output(tmp_path / "out.parquet", "mean")


@pytest.mark.parametrize("suffix", [".jsonl", ".npz", ".safetensors", ".parquet"])
def test_a_failure_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out{suffix}"
    path.write_text("what was there")

    def fail() -> None:
        with feature_file(path, layers=LAYERS, hidden_size=HIDDEN, pooling="none", tokens=TOKENS) as add:
            add(features_of([3], "none")[0])
            raise InputError("bad line")

    with pytest.raises(InputError, match="bad line"):
        fail()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "what was there"


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, "none")
    with pytest.raises(InputError, match="--pooling=cls"):
        check_output(tmp_path / "out.npy", "none")
    check_output(tmp_path / "out.npy", "cls")
