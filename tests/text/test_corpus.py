"""Reading text: the documents that a line-by-line reader finds, for any block size; errors that name the line."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import sys
import tarfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.text import corpus
from bertworks.text.corpus import TextBlock, blocks

# Lines with every kind of blank, line ends of other systems, and characters that only look like line ends.
lines = st.text("ab é字\t\r\x00\x0b\x1c\x85\u2028\u3000\ufeff", max_size=6) | st.just("")
texts = st.lists(lines, max_size=20).map("\n".join)


def plain_documents(text: str) -> list[list[str]]:
    """The original's rule: strip each line; an empty one ends the document."""
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if stripped := line.strip():
            found[-1].append(stripped)
        else:
            found.append([])
    return [document for document in found if document]


def documents_of(parts: Sequence[TextBlock]) -> list[list[str]]:
    return [document for part in parts for document in plain_documents(part.text.decode())]


def documents(paths: Sequence[Path], max_document_bytes: int = corpus.MAX_DOCUMENT_BYTES) -> list[list[str]]:
    """The documents of files as lists of stripped lines."""
    return documents_of(list(blocks(paths, 1 << 20, max_document_bytes=max_document_bytes)))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode())
    return path


def check_form(parts: Sequence[TextBlock], block_bytes: int) -> None:
    for part in parts:
        assert part.text
        assert part.text.endswith(b"\n")
        assert not part.text.startswith(b"\n")
        assert not part.text.endswith(b"\n\n")
        assert b"\n\n\n" not in part.text
        assert all(line.strip() for document in part.text.decode()[:-1].split("\n\n") for line in document.split("\n"))
        # Only the last document brings a block to its size.
        assert len(part.text[: part.text.rfind(b"\n\n") + 1]) < max(block_bytes, 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(0, 60), st.integers(1, 40))
def test_blocks_hold_the_documents_of_the_files(contents: list[str], block_bytes: int, read_bytes: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "READ_BYTES", max(read_bytes, 3))
        paths = [write(Path(folder), f"{n}.txt" + ".gz" * (n % 2), text) for n, text in enumerate(contents)]
        parts = list(blocks(paths, block_bytes))
        assert documents(paths) == documents_of(parts)
        patch.undo()
        assert [part.text for part in parts] == [part.text for part in blocks(paths, block_bytes)]
    expected = [document for text in contents for document in plain_documents(text.removeprefix("\ufeff"))]
    assert documents_of(parts) == expected
    check_form(parts, block_bytes)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=6), st.integers(0, 60))
def test_json_lines_hold_a_document_each(contents: list[str], block_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        text = "".join(json.dumps({"id": 1, "body": text}) + "\n" for text in contents)
        plain = list(blocks([write(Path(folder), "a.jsonl", text)], block_bytes, text_field="body"))
        packed = list(blocks([write(Path(folder), "b.jsonl.gz", text)], block_bytes, text_field="body"))
    found = [[line for document in plain_documents(text) for line in document] for text in contents]
    assert documents_of(plain) == [document for document in found if document]
    assert [part.text for part in plain] == [part.text for part in packed]
    check_form(plain, block_bytes)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=40), st.integers(1, 30), st.integers(0, 40), st.integers(3, 40))
def test_long_documents_are_cut_between_lines(
    lengths: list[int], max_document_bytes: int, block_bytes: int, read_bytes: int
) -> None:
    rows = ["x" * length for length in lengths]
    whole = plain_documents("\n".join(rows))
    expected: list[list[str]] = []
    for document in whole:
        size = max_document_bytes
        for line in document:
            if size >= max_document_bytes:
                expected.append([])
                size = 0
            expected[-1].append(line)
            size += len(line) + 1
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "READ_BYTES", read_bytes)
        path = write(Path(folder), "a.txt", "\n".join(rows))
        parts = list(blocks([path], block_bytes, max_document_bytes=max_document_bytes))
    assert documents_of(parts) == expected
    assert sum(len(part.messages) for part in parts) == len(expected) - len(whole)


def test_every_white_character_and_no_other_makes_a_blank_line(tmp_path: Path) -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000 and code != 10]
    path = write(tmp_path, "a.txt", "".join(f"{ord(c):06x}\n{c}\n" for c in characters))
    ends = [
        int(document[-1], 16) for document in documents([path], max_document_bytes=1 << 30) if len(document[-1]) == 6
    ]
    assert ends == [ord(c) for c in characters if c.isspace()]


def test_the_place_of_a_block_is_where_its_first_line_stands(tmp_path: Path) -> None:
    first = write(tmp_path, "one.txt", "\n\r\na\nb\n\n \t\n\nc\n")
    second = write(tmp_path, "two.txt", "\ufeffd\n\n\n\ne")
    third = write(tmp_path, "three.jsonl", '\n{"text": "f\\n\\n\\ng"}\n{"text": "h"}')
    places = [(part.text, part.source) for part in blocks([first, second, third], 1)]
    assert places == [
        (b"a\nb\n", f"{first}, line 3"),
        (b"c\n", f"{first}, line 8"),
        (b"d\n", f"{second}, line 1"),
        (b"e\n", f"{second}, line 5"),
        (b"f\ng\n", f"{third}, line 2"),
        (b"h\n", f"{third}, line 3"),
    ]
    (whole,) = blocks([first, second, third], 1000)
    assert whole.source == f"{first}, line 3"
    assert whole.file_bytes == sum(path.stat().st_size for path in (first, second, third))


def test_the_message_of_a_cut_names_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "\n\naaa\nbbb\nccc\n\nd\n")
    (block,) = blocks([path], 100, max_document_bytes=7)
    assert block.text == b"aaa\nbbb\n\nccc\n\nd\n"
    assert block.messages == (f"{path}, line 5: a document of over 7 bytes is cut here",)


@pytest.mark.parametrize("ending", ["", ".txt", ".wiki"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_what_a_file_holds_does_not_need_its_name(tmp_path: Path, ending: str, compress) -> None:
    records = '\n{"n": 1, "text": "a\\n\\nb"}\n{"n": 2, "text": "c"}\n'
    (tmp_path / f"one{ending}").write_bytes(compress(records.encode()))
    (tmp_path / f"two{ending}").write_bytes(compress(b"{a}\n\nb\n"))
    one, two = (tmp_path / f"{name}{ending}" for name in ("one", "two"))
    (found,) = blocks([one, two], 1000)
    assert documents_of([found]) == [["a", "b"], ["c"], ["{a}"], ["b"]]
    assert found.guesses == (f"{one}: read as JSON lines, a document each, because its first line is one",)


@pytest.mark.parametrize(
    ("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_every_compression_by_its_name(tmp_path: Path, ending: str, compress) -> None:
    (tmp_path / f"a.jsonl{ending}").write_bytes(compress(b'{"text": "a\\nb"}\n'))
    (tmp_path / f"b.txt{ending}").write_bytes(compress(b"c\n"))
    found = list(blocks([tmp_path / f"a.jsonl{ending}", tmp_path / f"b.txt{ending}"], 1000))
    assert documents_of(found) == [["a", "b"], ["c"]]
    assert not found[0].guesses


def tarred() -> bytes:
    """An archive with a text."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("text.txt")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"text"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", '{"body": "a"}\n', "read as plain text, but its first line is a JSON object without .*--text_field"),
        ("AA/wiki_00", '\n<doc id="1" title="a">\na\n</doc>\n', "read as plain text, but .* looks like XML or HTML"),
        ("a.html", "<!DOCTYPE html>\n<html>", "read as plain text, but .* looks like XML or HTML"),
        ("a.csv.gz", "id,text\n1,a\n", "read as plain text, but its name is that of a table"),
    ],
)
def test_what_looks_like_something_else_is_read_and_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / "AA").mkdir()
    path = write(tmp_path, name, content)
    (found,) = blocks([path], 1000)
    assert documents_of([found]) == plain_documents(content)
    (guess,) = found.guesses
    assert re.match(f"{path}: {message}", guess)


def test_memory_stays_bounded_without_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as stream:
        for _ in range(30):
            stream.write(b"one sentence of this very long document\n" * 50_000)
    size = path.stat().st_size
    tracemalloc.start()
    read = sum(len(block.text) for block in blocks([path], 4_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 50_000_000
    assert read >= size
    assert peak < 30_000_000


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    line = "word " * 2_000_000
    path = write(tmp_path, "a.txt", f"before\n{line}\nafter\n")
    assert documents([path]) == [["before", line.strip()], ["after"]]
    assert documents([path], max_document_bytes=10**8) == [["before", line.strip(), "after"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"fine\n\nb\xe9d\n", r"a.txt, line 3: not UTF-8 \(byte 0xe9\).*--input_file"),
        ("a.txt", b"cut off \xe5\xad", r"a.txt, line 1: not UTF-8 \(byte 0xe5\).*--input_file"),
        (
            "a.txt",
            "wide and far\n".encode("utf-16-le"),
            r"a.txt: looks like UTF-16LE without a byte order mark; .*--input_file",
        ),
        ("a.txt", "wide".encode("utf-16") + b"\x00\xdc", r"a.txt: is not the UTF-16 that its byte order mark says"),
        ("a.txt", "wide".encode("utf-16") + b"a", r"a.txt: is UTF-16 with half a character at its end"),
        ("a.json", b'[{"text": "a"}]', r"a.json, line 1: a JSON list; give one object a line \(--input_file\)"),
        (
            "a.txt.gz",
            gzip.compress(bytes(range(128)) * 99, mtime=0)[:-20],
            r"a.txt.gz: a damaged or cut-off gzip.*--input_file",
        ),
        (
            "a.txt.gz",
            gzip.compress("wide".encode("utf-16") + b"a", mtime=0),
            r"a.txt.gz: is not the UTF-16 that its byte order mark says",
        ),
        (
            "a.txt.gz",
            gzip.compress("wide and far\n".encode("utf-16-le"), mtime=0),
            r"a.txt.gz: what is in it looks like UTF-16LE without a byte order mark",
        ),
        (
            "a.tar.gz",
            gzip.compress(tarred(), mtime=0),
            r"a.tar.gz: what is in it is a tar archive; unpack it \(--input_file\)",
        ),
        ("a.tar", tarred(), r"a.tar: is a tar archive; unpack it \(--input_file\)"),
        ("a.txt.gz", b"not compressed at all", r"a.txt.gz: a damaged or cut-off gzip.*--input_file"),
        (
            "a.txt.gz",
            gzip.compress(b"abc" * 99, mtime=0)[:30] + b"\xff" * 30,
            r"a.txt.gz: a damaged or cut-off gzip.*--input_f",
        ),
        ("a.txt.bz2", b"not compressed at all", r"a.txt.bz2: a damaged or cut-off bzip2.*--input_file"),
        ("a.txt.xz", b"not compressed at all", r"a.txt.xz: a damaged or cut-off xz.*--input_file"),
        ("a.txt", bz2.compress(bytes(range(128)) * 99)[:-20], r"a.txt: a damaged or cut-off bzip2.*--input_file"),
        ("a.txt", lzma.compress(bytes(range(128)) * 99)[:-20], r"a.txt: a damaged or cut-off xz.*--input_file"),
        ("a.txt", b"PK\x03\x04text", r"a.txt: is a zip archive; unpack it \(--input_file\)"),
        ("a.txt", b"\x28\xb5\x2f\xfdtext", r"a.txt: is compressed with zstd; .*--input_file"),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\n", r"a.txt: is a pointer of Git LFS .*--input_file"),
        ("wiki_00", b'{"body": "a"}\n', r"wiki_00, line 1: no text in a field 'text' \(--text_field\)"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": \n', r"a.jsonl, line 3: not JSON .*--input_file"),
        ("a.jsonl", b"[" * 100_000, r"a.jsonl, line 1: not JSON .*--input_file"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', r"a.jsonl, line 2: no text in a field 'text' \(--text_field\)"),
        ("a.jsonl", b'{"text": 5}\n', r"a.jsonl, line 1: no text in a field 'text' \(--text_field\)"),
        ("a.jsonl", b'"text"\n', r"a.jsonl, line 1: no text in a field 'text' \(--text_field\)"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a.jsonl, line 1: half a surrogate pair in .*--input_file"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a.jsonl, line 1: not UTF-8 \(byte 0xff\).*--input_file"),
    ],
)
def test_bad_input_names_file_line_and_flag(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(blocks([tmp_path / name], 1000))


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.txt: cannot be read .*--input_file"):
        list(blocks([tmp_path / "absent.txt"], 1000))
    with pytest.raises(InputError, match=r"cannot be read .*--input_file"):
        list(blocks([tmp_path], 1000))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_LINE_BYTES", 3_000_000)
    path = write(tmp_path, "a.txt", "first\n" + "x" * 5_000_000)
    with pytest.raises(InputError, match=r"a.txt, line 2: longer than 3,000,000 bytes"):
        list(blocks([path], 1000))


@pytest.mark.parametrize("content", ["", "\n", "\n\n \r\n\t\n", "\ufeff"])
def test_nothing_in_a_file_gives_no_block(tmp_path: Path, content: str) -> None:
    assert list(blocks([write(tmp_path, "a.txt", content)], 0)) == []
    assert documents([write(tmp_path, "a.txt.gz", content)]) == []
    assert list(blocks([], 10)) == []


PLAIN = {
    "a.txt": bytes,
    "a.txt.gz": gzip.compress,
    "a.txt.bz2": bz2.compress,
    "a.xz": lzma.compress,
    "b": lzma.compress,
}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("read_bytes", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("name", PLAIN)
def test_utf_16_with_a_mark_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, read_bytes: int, name: str
) -> None:
    monkeypatch.setattr(corpus, "READ_BYTES", read_bytes)
    (tmp_path / name).write_bytes(PLAIN[name]("\ufeffThe fähre.\r\n𝔸 boat.\r\n\r\n渡船\r\n".encode(encoding)))
    found = list(corpus.blocks([tmp_path / name], 1000))
    assert [block.text.decode() for block in found] == ["The fähre.\n𝔸 boat.\n\n渡船\n"]
