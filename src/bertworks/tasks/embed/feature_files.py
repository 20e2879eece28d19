"""Files of features: the original's JSON lines, and arrays. A file appears when it is complete.

- JSON lines, by default. A line of input is `{"linex_index": 0, "features": [{"token": "[CLS]", "layers": [{"index":
  -1, "values": [...]}, ...]}, ...]}`, as the original writes it; with pooling `{"linex_index": 0, "layers": [...]}`.
- `.npy`: the pooled features, float32 [N, K].
- `.npz` and `.safetensors`: `features`, float32 [N, K]; without pooling [T, K], and `starts`, int64 [N + 1]: line i has
  the rows starts[i]:starts[i + 1].
- `.parquet`: a row for each line (linex_index, text_a, text_b, embedding); without pooling, a row for each token
  (linex_index, token, embedding).

Shapes: N lines, T tokens, K = H times the number of layers, whose vectors are concatenated.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bertworks.data.parquet import import_pyarrow
from bertworks.data.safetensors_header import header_bytes
from bertworks.errors import InputError
from bertworks.files import written_whole
from bertworks.tasks.embed.features import Pooling, TextFeatures

# The room for the safetensors header, which takes some 200 bytes, at the beginning of the file.
_HEADER_BYTES = 1024

# The number of values after which a row group of a Parquet file is written.
ROW_GROUP_VALUES = 1 << 22


def check_output(path: Path, pooling: Pooling) -> None:
    """Check before the work begins that a file can be written.

    Raises:
        InputError: it is a folder, a single array for features of tokens, or needs a library that is not installed.
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
) -> Iterator[Callable[[TextFeatures], None]]:
    """Open a file of features; the suffix of its name gives the format.

    Args:
        path: the file; it appears when the block ends without an error.
        layers, pooling: as given to `features.extract`.
        hidden_size: H.
        tokens: the vocabulary, in the order of its ids.

    Yields:
        a function that writes the features of the next line.
    """
    check_output(path, pooling)
    with written_whole(path) as stream:
        width, by_token = len(layers) * hidden_size, pooling == "none"
        if path.suffix in (".npy", ".npz", ".safetensors"):
            with _arrays(stream, path, width, by_token) as add:
                yield add
        elif path.suffix == ".parquet":
            with _parquet(stream, path, width, tokens if by_token else None) as add:
                yield add
        else:
            yield _json_lines(stream, layers, hidden_size, tokens if by_token else None)


def vector_file(path: Path, blocks: Iterable[tuple[Sequence[str], NDArray[np.float32]]]) -> int:
    """Write the vectors of texts, [n, K] for each block of n, to a file of arrays; return how many there are."""
    rest, written = iter(blocks), 0
    first = next(rest)
    with feature_file(path, layers=[-1], hidden_size=first[1].shape[1], pooling="mean", tokens=[]) as add:
        for texts, vectors in chain([first], rest):
            for text, vector in zip(texts, vectors, strict=True):
                add(TextFeatures(text, [], False, vector))
            written += len(texts)
    return written


def _json_lines(
    stream: BinaryIO, layers: Sequence[int], hidden_size: int, tokens: Sequence[str] | None
) -> Callable[[TextFeatures], None]:
    """Return a function that writes the original's JSON lines; pooled features have no tokens."""
    beginnings = [f'{{"index": {layer}, "values": ['.encode() for layer in layers]
    numbers = count()

    def add(features: TextFeatures) -> None:
        rows = iter(rounded_texts(features.values.reshape(-1, hidden_size)))
        parts = []
        for token in features.ids if tokens else [0]:
            values = b"]}, ".join([beginning + next(rows) for beginning in beginnings])
            name = b'{"token": %b, ' % json.dumps(tokens[token]).encode() if tokens else b""
            parts.append(b'%b"layers": [%b]}]}' % (name, values))
        body = b'"features": [%b]}' % b", ".join(parts) if tokens else parts[0]
        stream.write(b'{"linex_index": %d, %b\n' % (next(numbers), body))

    return add


def rounded_texts(values: NDArray[np.float32]) -> list[bytes]:
    """Return for each row of [n, H] the text of `json.dumps([round(float(x), 6) for x in row])` without the brackets.

    Python needs more time for that than BERT-Base for the numbers. Here a number is converted to millionths, exactly
    (24 bits of a float32 times 14 bits of 15,625 fit a float64), and its text is two entries of tables.
    """
    if not (np.abs(values) < _LARGEST).all():  # too large for the tables, or NaN
        return [json.dumps([round(float(x), 6) for x in row])[1:-1].encode() for row in values]
    heads, tails, tiny = _tables()
    millionths = np.rint(values * np.float64(1e6)).astype(np.int32)
    size = np.abs(millionths)
    whole = size // 1_000_000
    text = np.empty((*values.shape, 2), np.uint64)
    text[..., 0] = heads[whole + _LARGEST * (millionths < 0)]
    text[..., 1] = tails[size - 1_000_000 * whole]
    # Python writes numbers below a ten-thousandth with an exponent, and minus zero with its sign.
    where = np.nonzero(size < _TINY)
    number = millionths[where] + _TINY - 1
    text[where] = tiny[np.where((millionths[where] == 0) & np.signbit(values[where]), 2 * _TINY - 1, number)]
    return [row.tobytes().translate(None, b"\0")[:-2] for row in text]


_LARGEST = 1000
_TINY = 100


@cache
def _tables() -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return tables of the texts of numbers, in words of 8 bytes; zero bytes fill a word and are not part of the text.

    Returns:
        [2000] whole parts with sign and point, positive ones first; [1000000] decimals without zeros at the end, and
        ", "; [200, 2] the numbers from -0.000099 to 0.000099 and -0.0, and ", ".
    """
    heads = np.array([f"{sign}{whole}.".encode() for sign in ("", "-") for whole in range(_LARGEST)], "S8")
    rest = np.arange(1_000_000)
    tails = np.zeros((len(rest), 8), np.uint8)
    ended = np.ones(len(rest), bool)
    for column in range(5, -1, -1):
        rest, digit = np.divmod(rest, 10)
        ended &= (digit == 0) & (column > 0)
        tails[:, column] = np.where(ended, 0, digit + ord("0"))
    tails[:, 6:] = np.frombuffer(b", ", np.uint8)
    numbers = [*(n / 1e6 for n in range(1 - _TINY, _TINY)), -0.0]
    tiny = np.array([f"{number!r}, ".encode() for number in numbers], "S16")
    return heads.view(np.uint64), tails.view(np.uint64).ravel(), tiny.view(np.uint64).reshape(-1, 2)


@contextmanager
def _arrays(stream: BinaryIO, path: Path, width: int, by_token: bool) -> Iterator[Callable[[TextFeatures], None]]:
    """Write an array of all rows and, by token, an array of where lines begin. Sizes are known only at the end."""
    lines = rows = 0
    as_zip = path.suffix == ".npz"

    def write_header() -> None:
        """Write the header for the current sizes; it takes the same room for any size."""
        if path.suffix == ".npy":
            _write_npy_header(stream, "<f4", (rows, width))
        if path.suffix == ".safetensors":
            end = 4 * rows * width
            header: dict[str, Any] = {"features": {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, end]}}
            if by_token:
                offsets = [end, end + 8 * (lines + 1)]
                header["starts"] = {"dtype": "I64", "shape": [lines + 1], "data_offsets": offsets}
            stream.write(header_bytes(header, _HEADER_BYTES))

    def add(features: TextFeatures) -> None:
        nonlocal lines, rows
        values.write(np.ascontiguousarray(features.values, "<f4").data)
        lines += 1
        rows += len(features.ids) if by_token else 1
        if by_token:
            starts.write(rows.to_bytes(8, "little"))

    # Arrays that cannot be written to the file yet are in nameless files on the same disk.
    with (
        tempfile.TemporaryFile(dir=path.parent) as starts,
        tempfile.TemporaryFile(dir=path.parent) if as_zip else nullcontext(stream) as values,
    ):
        starts.write(bytes(8))
        write_header()
        yield add
        starts.seek(0)
        if as_zip:
            values.seek(0)
            with zipfile.ZipFile(stream, "w") as archive:
                with archive.open("features.npy", "w", force_zip64=True) as member:
                    _write_npy_header(member, "<f4", (rows, width))
                    shutil.copyfileobj(values, member)
                if by_token:
                    with archive.open("starts.npy", "w", force_zip64=True) as member:
                        _write_npy_header(member, "<i8", (lines + 1,))
                        shutil.copyfileobj(starts, member)
            return
        if by_token:
            shutil.copyfileobj(starts, stream)
        stream.seek(0)
        write_header()


def _write_npy_header(stream: Any, descr: str, shape: tuple[int, ...]) -> None:
    """Write a header of the .npy format; numpy leaves room for the first size to grow."""
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})


@contextmanager
def _parquet(
    stream: BinaryIO, path: Path, width: int, tokens: Sequence[str] | None
) -> Iterator[Callable[[TextFeatures], None]]:
    """Write a Parquet table, a row group at a time; pooled features have no tokens."""
    pa = import_pyarrow(f"--output_file={path}", "; .npz does not")
    names = ["token"] if tokens else ["text_a", "text_b"]
    texts = [(name, pa.string()) for name in names]
    schema = pa.schema([("linex_index", pa.int64()), *texts, ("embedding", pa.list_(pa.float32(), width))])
    # The row group to come.
    indices: list[int] = []
    columns: list[list[str | None]] = [[] for _ in names]
    values: list[NDArray[np.float32]] = []
    lines = 0

    def add(features: TextFeatures) -> None:
        nonlocal lines
        if tokens:
            columns[0] += [tokens[i] for i in features.ids]
        else:
            pair = (features.text, None) if isinstance(features.text, str) else features.text
            for column, text in zip(columns, pair, strict=True):
                column.append(text)
        indices.extend([lines] * (len(features.ids) if tokens else 1))
        values.append(features.values.reshape(-1, width).copy())
        lines += 1
        if len(indices) * width >= ROW_GROUP_VALUES:
            write_group()

    def write_group() -> None:
        arrays = [
            pa.array(indices, pa.int64()),
            *(pa.array(column, pa.string()) for column in columns),
            pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(values).ravel()), width),
        ]
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        indices.clear()
        values.clear()
        for column in columns:
            column.clear()

    with pa.parquet.ParquetWriter(stream, schema) as writer:
        yield add
        if indices:
            write_group()
