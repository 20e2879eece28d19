"""Files of `torch.save`: what is checked before torch reads one, and where in it the weights lie.

It must cost no more than it is large. torch refuses pickles with code. It does not refuse those that go on for ever or
grow: a tuple of the same tuple twice, and so on sixty times, has 2**60 parts where it becomes a key, and
`bytearray(10**10)` and some other calls are allowed.

Bytes of Python are written as `_codecs.encode(TEXT, "latin1")`, and numbers of NumPy hold such bytes. Training states
have both beside the weights: bytes may be as many as a pickle is long, and of NumPy's things nothing is made.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from torch import Tensor

from bertworks.checkpoints.storage import DamagedError

# What training states call the weights, in the order of preference.
_STATES = ("state_dict", "model", "model_state_dict", "module")

# The state of a training of BERT-Large has 100,000 opcodes, 100 parts in a tuple, and 1 MB of pickles.
_MOST_OPCODES = 1 << 20
_MOST_PARTS = 10_000
_LARGEST_PICKLE = 64 << 20

# What torch allows a pickle to call, which makes large things of small ones, and no weights need.
_GROWING = {
    "bytearray", "_rebuild_device_tensor_from_cpu_tensor", "_rebuild_device_tensor_from_numpy",
}  # fmt: skip

# Before the storages, a file that is no zip has a mark, a version, the system's sizes, the object, and names.
_PICKLES = 5

_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}

_ENCODE = "_codecs encode"


class _SetAside:
    """Stands for a thing that lies beside the weights, of which nothing is made."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# What torch calls for these names, so that none of them is looked up.
ASIDE: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *(
        (_SetAside, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
    *((_SetAside, f"numpy.{name}") for name in ("dtype", "ndarray")),
    *((_SetAside, f"pathlib.{name}") for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    (_SetAside, "argparse.Namespace"),
    # Python's empty bytes; the function makes as many zeros as it is told.
    (_SetAside, "builtins.bytes"),
]


def is_set_aside(value: object) -> bool:
    """Tell whether a value of a file stands for a thing of which nothing was made."""
    return isinstance(value, _SetAside)


class _Value(NamedTuple):
    """What is known of a value on the stack of a pickle.

    Attributes:
        parts: how many parts a hash of it visits.
        text: the text itself, if it is one.
        encoded: how many bytes `encode` makes of it, if it is a tuple of a text and "latin1".
        is_encode: whether it is the function `encode`.
    """

    parts: int = 1
    text: str | None = None
    encoded: int | None = None
    is_encode: bool = False


_MARK = None
_Stack = list[_Value | None]


def check_zip(file: Path | io.BytesIO) -> None:
    """Check the parts of a zip, with their checksums, which torch does not look at.

    Raises:
        DamagedError: a part is compressed, parts overlap, or a pickle would cost too much.
        zipfile.BadZipFile, OSError: it is damaged.
    """
    size = file.stat().st_size if isinstance(file, Path) else len(file.getbuffer())
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        for part in parts:
            if part.compress_type != zipfile.ZIP_STORED:
                raise DamagedError(f"{part.filename} is compressed, which torch.save never does; zipped by hand?")
        if (claimed := sum(part.file_size for part in parts)) > size:
            raise DamagedError(f"its parts have {claimed:,} bytes together, the file {size:,}")
        for part in parts:
            with archive.open(part) as stream:
                if part.filename.endswith(".pkl"):
                    _check_pickles(stream, 1)
                while stream.read(1 << 20):
                    pass


def check_file(file: Path | io.BytesIO) -> None:
    """Check a file that is no zip.

    Raises:
        DamagedError: it begins with no pickles, or they would cost too much.
        OSError: it cannot be read.
    """
    if isinstance(file, Path):
        with file.open("rb") as stream:
            _check_pickles(stream, _PICKLES)
    else:
        _check_pickles(file, _PICKLES)
        file.seek(0)


def _check_pickles(stream: IO[bytes], count: int) -> None:
    opcodes = made = 0
    for _ in range(count):
        stack: _Stack = []
        memo: dict[Any, _Value | None] = {}
        try:
            for opcode, argument, position in pickletools.genops(stream):
                opcodes += 1
                if opcodes > _MOST_OPCODES or (position or 0) > _LARGEST_PICKLE:
                    raise DamagedError("a pickle far longer than one that lists weights")
                if opcode.name in ("GLOBAL", "INST") and str(argument).rpartition(" ")[2] in _GROWING:
                    raise DamagedError(f"a pickle that calls {str(argument).replace(' ', '.')}, which no weights need")
                made += _follow(opcode, argument, stack, memo)
                if made > _LARGEST_PICKLE:
                    raise DamagedError("a pickle that makes far more bytes than lie beside weights")
        except (ValueError, IndexError, AttributeError) as error:
            raise DamagedError(str(error)) from None


def _follow(opcode: Any, argument: Any, stack: _Stack, memo: dict[Any, _Value | None]) -> int:
    """Do to the stack what an opcode does, with what is known of a value in its place; return the bytes it makes."""
    name = opcode.name
    if "PUT" in name or name == "MEMOIZE":
        memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        return 0
    if "GET" in name:
        stack.append(memo.get(argument, _Value()))
        return 0
    if name == "REDUCE" and (stack[-2] or _Value()).is_encode:
        if (made := (stack[-1] or _Value()).encoded) is None:
            raise DamagedError("a pickle that encodes a text otherwise than Python's bytes are written")
        stack[-2:] = [_Value()]
        return made
    taken = list(_taken(opcode, stack))
    if name != "POP" and any(value.is_encode for value in taken):
        raise DamagedError(f"a pickle that hands {_ENCODE.replace(' ', '.')} on, which no weights need")
    parts = 1 + sum(value.parts for value in taken)
    if name in _TUPLES and parts > _MOST_PARTS:
        raise DamagedError(f"a pickle with a tuple of more than {_MOST_PARTS:,} parts, which no weights need")
    pushed = _Value(parts if name in (*_TUPLES, "DUP") else 1)
    if isinstance(argument, str):
        pushed = pushed._replace(
            text=argument if "UNICODE" in name else None, is_encode=name == "GLOBAL" and argument == _ENCODE
        )
    elif name == "TUPLE2" and (text := taken[1].text) is not None and taken[0].text == "latin1":
        pushed = pushed._replace(encoded=len(text))
    stack += [_MARK if after is pickletools.markobject else pushed for after in opcode.stack_after]
    return 0


def _taken(opcode: Any, stack: _Stack) -> Iterator[_Value]:
    """Take from the stack what an opcode takes, the last value first."""
    before = list(opcode.stack_before)
    if pickletools.markobject in before:
        while (value := stack.pop()) is not _MARK:
            yield value
        before = before[: before.index(pickletools.markobject)]
    for _ in before:
        yield stack.pop() or _Value()


def without_training(values: Any, notes: list[str]) -> Any:
    """Return the weights in the state of a training; what lies beside them goes to `notes`."""
    seen: set[int] = set()
    while id(values) not in seen and (inner := _inner(values)) is not None:
        seen.add(id(values))
        notes.extend(f"set aside: {key}" for key in values if key != inner)
        values = values[inner]
    return values


def _inner(values: Any) -> str | None:
    """Return the key of the weights in a training state; None where `values` are the weights themselves."""
    if not isinstance(values, dict) or any(isinstance(value, Tensor) for value in values.values()):
        return None
    inside = [key for key, value in values.items() if isinstance(key, str) and isinstance(value, dict)]
    with_weights = [key for key in inside if _holds_bert(values[key])]
    known = [key for key in _STATES if key in inside]
    return next(iter([key for key in known if key in with_weights] or with_weights or known), None)


def _holds_bert(values: Mapping[Any, Any]) -> bool:
    """Tell whether embeddings of words lie somewhere in a training state, at most three levels below."""
    level, seen = [values], {id(values)}
    for _ in range(4):
        inside: list[Mapping[Any, Any]] = []
        for key, value in ((key, value) for each in level for key, value in each.items()):
            if str(key).endswith("word_embeddings.weight"):
                return True
            if isinstance(value, dict) and id(value) not in seen:
                seen.add(id(value))
                inside.append(value)
        level = inside
    return False
