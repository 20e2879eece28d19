"""The header of a safetensors file, for files that are read or written piece by piece.

The format (https://github.com/huggingface/safetensors, "Format"): the header's length as 8 bytes, a JSON header padded
with spaces, then the tensors end to end without a gap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def read_header(stream: _Readable, file_bytes: int) -> tuple[dict[str, Any], int]:
    """Read the header at the beginning of a file of `file_bytes` bytes.

    Returns:
        name -> {"dtype": ..., "shape": ..., "data_offsets": ...}, not checked, perhaps with "__metadata__"; and the
        byte of the file where the tensors begin.

    Raises:
        ValueError, RecursionError: cut off, not a header, or a name is in it twice.
    """
    length = int.from_bytes(stream.read(8) or b"", "little")
    # The library accepts 100 MB; a header of BERT-Large has 40 kB.
    if not 2 <= length <= min(100_000_000, file_bytes - 8):
        raise ValueError(f"a header of {length:,} bytes; perhaps the file is cut off")
    # Twice the same name is an error: JSON would silently take the last.
    header = json.loads(stream.read(length) or b"", object_pairs_hook=_without_repeats)
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return header, 8 + length


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def header_bytes(header: Mapping[str, Any], room: int = 0) -> bytes:
    """Return the bytes before the tensors, padded to a multiple of 8 bytes and to at least `room` bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(max(room, len(text) + -len(text) % 8))
    return len(text).to_bytes(8, "little") + text
