"""The texts that a trained model is used on: one of the command line, lines, rows of tables, or standard input.

They come in blocks, so that any number of them takes the same memory. A block of standard input is what has arrived.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

from bertworks import files
from bertworks.checkpoints.early import check_model
from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import Reading
from bertworks.data.json_rows import Record
from bertworks.data.lines import open_lines
from bertworks.data.tables import FORMATS, open_table
from bertworks.errors import InputError
from bertworks.flag_groups import TextFlags
from bertworks.flags import CommandFlags
from bertworks.tasks.classification.columns import USUAL_NAMES, ColumnFlags, Columns, guess_columns, id_of
from bertworks.tasks.line_notes import about_lines
from bertworks.tasks.texts import Text
from bertworks.text.text_files import decoded_lines, decoded_text

# Of the files of rows, .txt has a text on each line.
TABLES = tuple(sorted({*FORMATS} - {".txt"}))

_STANDARD_INPUT = "-"
_BLOCK = 256

# What stands between the two texts of a pair in a line, as in the original's extract_features.
_BETWEEN = " ||| "


class GivenText(NamedTuple):
    """A text, or the two of a pair.

    Attributes:
        location: where it is, for messages.
        id: of its row, if the file has one.
        name: of its file, without the ending, if the file is the text.
    """

    location: str
    text: str
    pair: str | None = None
    id: str | None = None
    name: str | None = None

    @property
    def whole(self) -> Text:
        """The text, or the pair."""
        return self.text if self.pair is None else (self.text, self.pair)

    @property
    def values(self) -> dict[str, str]:
        """What a JSON line has of it."""
        return {name: value for name in ("id", "text", "pair") if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Where texts come from.

    Attributes:
        text, pair: one text, or pair, of the command line.
        paths: files, or standard input.
        columns: of tables, as flags name them; what they do not name is found.
        reading: how tables are read.
        pairs: whether texts may come in pairs: `A ||| B` in a line, or a second column.
        whole_files: whether a file is one text, whatever its lines.
    """

    text: str | None = None
    pair: str | None = None
    paths: Sequence[Path] = ()
    columns: ColumnFlags = field(default_factory=ColumnFlags)
    reading: Reading = field(default_factory=Reading)
    pairs: bool = False
    whole_files: bool = False

    def blocks(self, say: Callable[[str], None]) -> Iterator[list[GivenText]]:
        """Yield the texts, a block at a time, and say what was found in files.

        Raises:
            InputError: a file has no text, is not what its name says, or its columns cannot be told.
        """
        if self.text is not None:
            yield [GivenText("--text", self.text, self.pair)]
        empty = []
        for path in self.paths:
            found = False
            for block in self._blocks_of(path, say):
                found = found or bool(block)
                yield block
            empty += [] if found else [path]
        if empty and len(empty) == len(self.paths):
            raise InputError(f"--input_file={empty[0]}: has no text")
        for path in empty:
            say(f"{path}: has no text")

    def _blocks_of(self, path: Path, say: Callable[[str], None]) -> Iterator[list[GivenText]]:
        if self.whole_files:
            is_standard = path.name == _STANDARD_INPUT
            data = sys.stdin.buffer.read() if is_standard else path.read_bytes()
            text = decoded_text(data, path, self.reading.encoding)
            yield [GivenText(str(path), text, name=path.stem)] if text.strip() else []
        elif path.name == _STANDARD_INPUT:
            first = 1
            for lines in _arriving():
                yield list(self._of_lines(lines, "standard input", self.reading.encoding, first))
                first += len(lines)
        elif path.suffix.lower() in TABLES:
            yield from _in_blocks(rows_of_table(path, self.columns, self.reading, pairs=self.pairs, say=say))
        else:
            stream, encoding = open_lines(path, self.reading.encoding)
            with stream:
                blocks = _in_blocks(self._of_lines(stream, path, encoding))
                beginning = next(blocks, [])
                if note := about_lines(path, [text.text for text in beginning]):
                    say(note)
                yield beginning
                yield from blocks

    def _of_lines(
        self, lines: Iterable[bytes], name: object, encoding: str | None, first: int = 1
    ) -> Iterator[GivenText]:
        """Yield the texts of lines; blank ones are none."""
        for location, line in decoded_lines(lines, name, first, encoding or "utf-8", has_flag=True):
            text, divided, pair = line.rpartition(_BETWEEN) if self.pairs else (line, "", "")
            if line.strip():
                yield GivenText(location, text.strip(), pair.strip()) if divided else GivenText(location, line.strip())


def rows_of_table(
    path: Path, given: ColumnFlags, reading: Reading, *, pairs: bool, say: Callable[[str], None]
) -> Iterator[GivenText]:
    """Yield the text of every row of a table, "" where it has none; and say which columns these are."""
    table = open_table(path, reading, USUAL_NAMES | given.words)
    named = given.of(table, needs_label=False)
    columns = replace(guess_columns(table, named, needs_label=False), label=())
    columns = replace(columns, pair=columns.pair if pairs else None, id=id_of(table.columns, columns))
    for note in (*table.notes, f"{path}: columns: {columns}"):
        say(note)
    # The commands that use a model have no --on_bad_row: a row left out would shift all that stands beside the results.
    bad = BadRows(advice="mend the row, or remove it")
    return (_text_of(record, columns) for record in table.records(bad))


def _text_of(record: Record, columns: Columns) -> GivenText:
    def value(name: str) -> str:
        found = record.values.get(name)
        if found is not None and not isinstance(found, str):
            raise InputError(f"{record.location}: {name} is not a text but {found!r:.40}; give another --text_column")
        return found or ""

    text = " ".join(filter(None, map(value, columns.text)))
    identity = None if columns.id is None else record.values.get(columns.id)
    pair = None if columns.pair is None else value(columns.pair)
    return GivenText(record.location, text, pair, None if identity is None else str(identity))


def _in_blocks(texts: Iterable[GivenText]) -> Iterator[list[GivenText]]:
    rest = iter(texts)
    while block := list(islice(rest, _BLOCK)):
        yield block


def _arriving() -> Iterator[list[bytes]]:
    """Yield the lines of standard input as they come, those that are there together."""
    begun: list[bytes] = []  # parts of a line whose end has not come yet
    stream = cast(BufferedReader, sys.stdin.buffer)
    while data := stream.read1(1 << 16):
        ended, newline, rest = data.rpartition(b"\n")
        if newline:
            yield b"".join([*begun, ended]).split(b"\n")
            begun.clear()
        begun.append(rest)
    yield [b"".join(begun)]


def source_of(
    flags: TextFlags,
    *,
    pair: str | None = None,
    pair_column: str | None = None,
    pairs: bool = False,
    whole_files: bool = False,
    into_folder: bool = False,
) -> TextSource:
    """Return where the texts of a command come from, once it is known that they, the output and the model can be there.

    Args:
        into_folder: whether --output_file is a folder.

    Raises:
        InputError: not exactly one of --text and --input_file is given, a file or the model is missing, or nothing can
            be written.
    """
    refuse_empty(flags, "text", "input_file")
    if (flags.text is None) == (flags.input_file is None):
        raise InputError("--text or --input_file: give one of them")
    if flags.output_file is not None and not into_folder:
        check_output(Path(flags.output_file))
    source = replace(_source(flags, pair=pair, pair_column=pair_column, pairs=pairs), whole_files=whole_files)
    if flags.output_file is not None:
        files.check_is_no_input(Path(flags.output_file), source.paths)
    check_model(flags)
    return source


def refuse_empty(flags: CommandFlags, name: str, other: str) -> None:
    """Refuse the empty value of a flag, which counts as none, where the other flag is not given either.

    Raises:
        InputError: this is so.
    """
    if name in (flags.given or ()) and getattr(flags, name) is None and getattr(flags, other) is None:
        raise InputError(f"--{name}: is empty, or None, which means the same; give a text, or --{other}")


def _source(flags: TextFlags, *, pair: str | None, pair_column: str | None, pairs: bool) -> TextSource:
    columns = ColumnFlags(text_column=flags.text_column, pair_column=pair_column)
    for name, of in (("text_column", "tables"), ("encoding", "files"), ("separator", "tables")):
        if getattr(flags, name) and flags.input_file is None:
            raise InputError(f"--{name}: is for {of}; give --input_file")
    reading = Reading(encoding=flags.encoding, separator=flags.separator)
    reading.check()
    if flags.text is not None and flags.text != _STANDARD_INPUT:
        check_is_no_file(flags.text, "--text")
        return TextSource(text=flags.text, pair=pair)
    if pair is not None:
        raise InputError("--text_pair: needs --text")
    given = flags.input_file or _STANDARD_INPUT
    # Of a file of flags, a path has a folder before it.
    is_standard = Path(given).name == _STANDARD_INPUT
    paths = [Path(_STANDARD_INPUT)] if is_standard else files.expand(given, "--input_file")
    for path in paths if not is_standard else ():
        files.check_is_file(path, "--input_file")
    return TextSource(paths=paths, columns=columns, reading=reading, pairs=pairs)


# The longest name of a file.
_LONGEST_NAME = 255


def check_is_no_file(text: str, flag: str) -> None:
    """Refuse a file's name where a text is meant.

    Raises:
        InputError: there is a file of this name.
    """
    if len(text.encode()) <= _LONGEST_NAME and "\0" not in text and Path(text).is_file():
        raise InputError(f"{flag}={text}: is the name of a file; give --input_file={text} to read it")


def check_output(path: Path) -> None:
    """Find out now whether results can be written, not when they are there.

    Raises:
        InputError: they cannot.
    """
    if not path.parent.is_dir():
        raise InputError(f"--output_file={path}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise InputError(f"--output_file={path}: is not a plain file; give a file's name")
