"""Features on disk: the original's JSON lines, and arrays for programs. Written as they come, whole or not at all.

- JSON lines, by default: a line of input is `{"linex_index": 0, "features": [{"token": "[CLS]", "layers": [{"index":
  -1, "values": [...]}, ...]}, ...]}`, as the original writes it; with pooling `{"linex_index": 0, "layers": [...]}`.
- `.npy`: the pooled features, float32 [N, K].
- `.npz` and `.safetensors`: `features`, float32 [N, K]; or without pooling [T, K], and `starts`, int64 [N + 1]: line i
  has the rows starts[i]:starts[i+1].
- `.parquet`: a row for each line (linex_index, text_a, text_b, embedding), or without pooling for each token
  (linex_index, token, embedding).

Shapes: N lines, T tokens, K = H times the number of layers, whose vectors stand side by side.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bertworks.data.parquet import import_pyarrow
from bertworks.data.safetensors_header import header_bytes
from bertworks.errors import InputError
from bertworks.files import written_whole
from bertworks.tasks.embed.features import Features, Pooling

_ARRAYS = (".npy", ".npz", ".safetensors")

# A safetensors header of ours is some 200 bytes; this much is kept free for it at the beginning of the file.
_HEADER_BYTES = 1024

# Values of a row group of a Parquet file.
_ROW_GROUP_VALUES = 1 << 22


def check_output(path: Path, pooling: Pooling) -> None:
    """Refuse a file that cannot be written, before the work begins.

    Raises:
        InputError: a folder, an array that could not tell where lines begin, or a library that is not installed.
    """
    if path.is_dir():
        raise InputError(f"--output_file={path}: is a folder; give a file such as features.jsonl in it")
    if path.suffix == ".npy" and pooling == "none":
        raise InputError(
            f"--output_file={path}: one array cannot tell where the tokens of a line begin; "
            "give .npz or .safetensors, or --pooling=cls, mean or max"
        )
    if path.suffix == ".parquet":
        import_pyarrow(f"--output_file={path}", "; .npz does not")


@contextmanager
def feature_file(
    path: Path, *, layers: Sequence[int], hidden_size: int, pooling: Pooling, tokens: Sequence[str]
) -> Iterator[Callable[[Features], None]]:
    """Open a file of features; its name's end says which kind.

    Args:
        path: the file; it appears when the block ends without an error.
        layers: as they were asked for.
        hidden_size: H.
        pooling: as the features were made.
        tokens: the vocabulary in the order of its ids.

    Yields:
        a function that adds the next line's features.
    """
    check_output(path, pooling)
    with written_whole(path) as stream:
        writer: _JsonLines | _Arrays | _Parquet
        if path.suffix in _ARRAYS:
            writer = _Arrays(stream, path, len(layers) * hidden_size, pooling)
        elif path.suffix == ".parquet":
            writer = _Parquet(stream, path, len(layers) * hidden_size, pooling, tokens)
        else:
            writer = _JsonLines(stream, layers, hidden_size, pooling, tokens)
        with writer:
            yield writer.add


class _JsonLines:
    """The original's file."""

    def __init__(
        self, stream: BinaryIO, layers: Sequence[int], hidden_size: int, pooling: Pooling, tokens: Sequence[str]
    ) -> None:
        self._stream, self._hidden_size, self._pooling, self._tokens = stream, hidden_size, pooling, tokens
        self._layers = [f'{{"index": {layer}, "values": ['.encode() for layer in layers]
        self._lines = 0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def add(self, one: Features) -> None:
        rows = iter(rounded_texts(one.values.reshape(-1, self._hidden_size)))
        pooled = self._pooling != "none"
        parts = []
        for token in [None] if pooled else one.ids:
            layers = b"]}, ".join([begin + next(rows) for begin in self._layers])
            name = b"" if token is None else b'{"token": %b, ' % json.dumps(self._tokens[token]).encode()
            parts.append(b'%b"layers": [%b]}]}' % (name, layers))
        body = parts[0] if pooled else b'"features": [%b]}' % b", ".join(parts)
        self._stream.write(b'{"linex_index": %d, %b\n' % (self._lines, body))
        self._lines += 1


def rounded_texts(values: NDArray[np.float32]) -> list[bytes]:
    """The inside of a JSON list for each row of [n, H]: what `json.dumps([round(float(x), 6) for x in row])` has in it.

    Python takes longer for that than BERT-Base for computing the numbers. Here a number is its millionths, exactly (24
    bits of a float32 times 14 bits of 15,625 fit a float64), and its text two entries of tables.
    """
    if not (np.abs(values) < _LARGEST).all():  # too large for the tables, or not a number
        return [json.dumps([round(float(x), 6) for x in row])[1:-1].encode() for row in values]
    heads, tails, tiny = _tables()
    millionths = np.rint(values * np.float64(1e6)).astype(np.int32)
    size = np.abs(millionths)
    whole = size // 1_000_000
    text = np.empty((*values.shape, 2), np.uint64)
    text[..., 0] = heads[whole + _LARGEST * (millionths < 0)]
    text[..., 1] = tails[size - 1_000_000 * whole]
    # Below a ten-thousandth Python writes an exponent; minus zero keeps its sign.
    where = np.nonzero(size < _TINY)
    number = millionths[where] + _TINY - 1
    text[where] = tiny[np.where((millionths[where] == 0) & np.signbit(values[where]), 2 * _TINY - 1, number)]
    return [row.tobytes().translate(None, b"\0")[:-2] for row in text]


_LARGEST = 1000
_TINY = 100


@cache
def _tables() -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """The texts of numbers in words of 8 bytes, filled with zero bytes that are no part of them.

    Returns:
        [2000] the whole part with its sign and point, positive ones first; [1000000] the decimals, without zeros at the
        end, and ", "; [200, 2] numbers from -0.000099 to 0.000099 and -0.0, and ", ".
    """
    heads = np.array([f"{sign}{whole}.".encode() for sign in ("", "-") for whole in range(_LARGEST)], "S8")
    rest = np.arange(1_000_000)
    tails = np.zeros((len(rest), 8), np.uint8)
    ended = np.ones(len(rest), bool)
    for place in range(5, -1, -1):
        rest, digit = np.divmod(rest, 10)
        ended &= (digit == 0) & (place > 0)
        tails[:, place] = np.where(ended, 0, digit + ord("0"))
    tails[:, 6:] = np.frombuffer(b", ", np.uint8)
    numbers = [*(n / 1e6 for n in range(1 - _TINY, _TINY)), -0.0]
    tiny = np.array([f"{number!r}, ".encode() for number in numbers], "S16")
    return heads.view(np.uint64), tails.view(np.uint64).ravel(), tiny.view(np.uint64).reshape(-1, 2)


class _Arrays:
    """One array of all rows and, for token rows, one of where lines begin. Their sizes are known at the end only."""

    def __init__(self, stream: BinaryIO, path: Path, width: int, pooling: Pooling) -> None:
        self._stream, self._kind, self._width, self._by_token = stream, path.suffix, width, pooling == "none"
        self._lines = self._rows = 0
        # What comes later in the file than it is known lies in nameless files on the same disk.
        self._starts = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  (closed by __exit__)
        self._values = tempfile.TemporaryFile(dir=path.parent) if self._kind == ".npz" else stream  # noqa: SIM115
        self._starts.write(bytes(8))
        self._write_header()

    def __enter__(self) -> None: ...

    def __exit__(self, failed: object, *_: object) -> None:
        with self._starts:
            if failed is None:
                self._finish()
        if self._values is not self._stream:
            self._values.close()

    def add(self, one: Features) -> None:
        self._values.write(np.ascontiguousarray(one.values, "<f4").data)
        self._lines += 1
        self._rows += len(one.ids) if self._by_token else 1
        if self._by_token:
            self._starts.write(self._rows.to_bytes(8, "little"))

    def _finish(self) -> None:
        """Put the sizes, and what was kept aside, in their places."""
        self._starts.seek(0)
        if self._kind == ".npz":
            self._values.seek(0)
            with zipfile.ZipFile(self._stream, "w") as archive:
                with archive.open("features.npy", "w", force_zip64=True) as member:
                    _write_npy_header(member, "<f4", (self._rows, self._width))
                    shutil.copyfileobj(self._values, member)
                if self._by_token:
                    with archive.open("starts.npy", "w", force_zip64=True) as member:
                        _write_npy_header(member, "<i8", (self._lines + 1,))
                        shutil.copyfileobj(self._starts, member)
            return
        if self._by_token:
            shutil.copyfileobj(self._starts, self._stream)
        self._stream.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        """The header for what there is so far; it takes the same room for any size."""
        if self._kind == ".npy":
            _write_npy_header(self._stream, "<f4", (self._rows, self._width))
        if self._kind == ".safetensors":
            end = 4 * self._rows * self._width
            header: dict[str, Any] = {
                "features": {"dtype": "F32", "shape": [self._rows, self._width], "data_offsets": [0, end]}
            }
            if self._by_token:
                offsets = [end, end + 8 * (self._lines + 1)]
                header["starts"] = {"dtype": "I64", "shape": [self._lines + 1], "data_offsets": offsets}
            self._stream.write(header_bytes(header, _HEADER_BYTES))


def _write_npy_header(stream: Any, descr: str, shape: tuple[int, ...]) -> None:
    """A header of the .npy format; numpy leaves room in it for the first axis to grow."""
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})


class _Parquet:
    """A table, a row group at a time."""

    def __init__(self, stream: BinaryIO, path: Path, width: int, pooling: Pooling, tokens: Sequence[str]) -> None:
        pa = self._pa = import_pyarrow(f"--output_file={path}", "; .npz does not")
        self._width, self._by_token, self._tokens = width, pooling == "none", tokens
        names = ["token"] if self._by_token else ["text_a", "text_b"]
        self._schema = pa.schema(
            [
                ("linex_index", pa.int64()),
                *((name, pa.string()) for name in names),
                ("embedding", pa.list_(pa.float32(), width)),
            ]
        )
        self._writer = pa.parquet.ParquetWriter(stream, self._schema)
        self._columns: list[list[Any]] = [[] for _ in names]
        self._indices: list[int] = []
        self._values: list[NDArray[np.float32]] = []
        self._lines = 0

    def __enter__(self) -> None: ...

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self._write()
        self._writer.close()

    def add(self, one: Features) -> None:
        if self._by_token:
            self._columns[0] += [self._tokens[i] for i in one.ids]
        else:
            for column, text in zip(
                self._columns, (one.text, None) if isinstance(one.text, str) else one.text, strict=True
            ):
                column.append(text)
        self._indices += [self._lines] * (len(one.ids) if self._by_token else 1)
        self._values.append(one.values.reshape(-1, self._width).copy())
        self._lines += 1
        if len(self._indices) * self._width >= _ROW_GROUP_VALUES:
            self._write()

    def _write(self) -> None:
        """A row group of what has been added."""
        if not self._indices:
            return
        pa = self._pa
        flat = pa.array(np.concatenate(self._values).ravel())
        arrays = [
            pa.array(self._indices, pa.int64()),
            *(pa.array(column, pa.string()) for column in self._columns),
            pa.FixedSizeListArray.from_arrays(flat, self._width),
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._indices, self._values, self._columns = [], [], [[] for _ in self._columns]
