"""Files that no command reads: what they are and what to do, told by their first bytes and name."""

from __future__ import annotations

from pathlib import Path, PurePath

from bertworks.errors import InputError

# The number of first bytes that tell.
HEAD_BYTES = 4096

# A pointer of Git LFS, which stands in the place of a large file.
_POINTER_START = b"version https://git-lfs"

_SHEET = "is a spreadsheet; save the sheet as .csv"
_DOCUMENT = "is a document of an office program; save it as plain text in UTF-8"
_ARROW = "is an Arrow file; write it as Parquet, with to_parquet() of datasets, pandas or polars"
_PARQUET = "is a Parquet table; call it .parquet if its rows are to be read; a corpus is .txt or .jsonl"
_SPACY = "is spaCy's DocBin; write the list of to_json() of its get_docs(nlp.vocab) with json.dump to a .json file"

_BEGINNINGS = {
    b"PK\x03\x04": "is a zip archive; unpack it",
    b"7z\xbc\xaf": "is a 7z archive; unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; decompress it, or compress it with gzip, bzip2 or xz",
    b"PAR1": _PARQUET,
    b"%PDF": "is a PDF; extract its text",
    _POINTER_START: "is a pointer of Git LFS and not the file itself; run git lfs pull",
    b"ARROW1": _ARROW,
    b"\xff\xff\xff\xff": _ARROW,
    b"FEA1": _ARROW,
    b"SQLite format 3\0": "is a SQLite database; write the rows to a .csv or .jsonl file",
    b"\x80\x04\x95": "is a pickle of Python; nothing in it is run: write it as .csv, .jsonl or .parquet",
    b"\x80\x05\x95": "is a pickle of Python; nothing in it is run: write it as .csv, .jsonl or .parquet",
}

# How files begin that a corpus may be, and other inputs may not.
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}

# Office files are zip archives, or begin with these bytes if they are old.
_OFFICE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_OFFICE_ENDINGS = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), _SHEET),
    **dict.fromkeys((".docx", ".doc", ".odt", ".pptx"), _DOCUMENT),
}

# UTF-16 without a byte order mark is told from so many bytes on.
_FEWEST_BYTES = 16

_UTF16 = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}


def foreign(head: bytes, name: PurePath | str) -> str:
    """Return what a file is that is no text, by its first bytes, and what to do; empty if it may be text."""
    ending = PurePath(name).suffix.lower()
    if head.startswith(_OFFICE) and ending in _OFFICE_ENDINGS:
        reason = _OFFICE_ENDINGS[ending]
        file = PurePath(name)
        command = f"pandas.read_excel('{file.name}').to_csv('{file.stem}.csv', index=False)"
        return f'{reason}, or: python -c "import pandas; {command}"' if reason == _SHEET else reason
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it"
    if head.startswith(b"x") and ending == ".spacy":
        return _SPACY
    return next((reason for begin, reason in _BEGINNINGS.items() if head.startswith(begin)), "")


def compression(head: bytes) -> str | None:
    """Return how a file is compressed that begins with `head`: gzip, bzip2 or xz; None if it is not."""
    return next((name for begin, name in _COMPRESSED.items() if head.startswith(begin)), None)


def compressed(head: bytes) -> str:
    """Return that a file is compressed, and what to do; empty if it is not."""
    by = compression(head)
    return f"is compressed with {by}; decompress it" if by else ""


def refuse_pointer(head: bytes, path: Path | str) -> None:
    """Refuse a file that begins with `head`, if it only says where a large file is to be had (Git LFS).

    Raises:
        InputError: it is such a pointer.
    """
    if head.startswith(_POINTER_START):
        raise InputError(f"{path}: is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository")


def utf16(head: bytes, *, marked: bool = True) -> str:
    """Return that a text is UTF-16, and what to do; empty if it is not.

    Args:
        head: its first bytes.
        marked: False if only texts without a byte order mark are meant, which the reader does not know.
    """
    encoding = _UTF16.get(head[:2])
    if encoding is not None and head[2:4] != b"\0\0":
        return f"is {encoding}; convert it: iconv -f UTF-16 -t UTF-8" if marked else ""
    if len(head) < _FEWEST_BYTES:
        return ""
    # Of every second byte nearly all are 0 where most letters are Latin.
    for first, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        half, other = head[first::2], head[1 - first :: 2]
        if half.count(0) > 0.8 * len(half) > 0 and other.count(0) < 0.2 * len(other):
            return f"looks like {encoding} without a byte order mark; convert it: iconv -f {encoding} -t UTF-8"
    return ""


def foreign_folder(path: Path) -> str:
    """Return what a folder is that another program wrote, and what to do; empty if nothing tells."""
    load = f"load_from_disk({str(path)!r})"
    if (path / "dataset_dict.json").is_file():
        return f"is a folder of datasets; write a file of each part: {load}['train'].to_parquet('train.parquet')"
    if (path / "dataset_info.json").is_file() and any(path.glob("*.arrow")):
        return f"is a folder of datasets; write a file: {load}.to_parquet('{path.name}.parquet')"
    return ""


def refuse_pipe(path: Path) -> None:
    """Refuse what can be read only once, such as a pipe.

    Raises:
        InputError: it is such.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: is a pipe or a device, and files are read more than once; write it to a file first")


def refuse_foreign(path: Path, *, reads_utf16: bool = False) -> None:
    """Refuse a file or folder that another program wrote in no form of text.

    Raises:
        InputError: it is such, and says what to do.
    """
    reason = ""
    if path.is_dir():
        reason = foreign_folder(path)
    elif path.is_file():
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        reason = foreign(head, path) or compressed(head) or ("" if reads_utf16 else utf16(head))
    if reason:
        raise InputError(f"{path}: {reason}")
