"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from bertworks import files
from bertworks.errors import InputError


def test_expand_takes_lists_and_globs_in_order_without_repeats(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.txt", "sub/c.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("x")
    assert files.expand("b.txt, *.txt", "--f") == [Path("b.txt"), Path("a.txt")]
    assert files.expand("**/*.txt", "--f") == [Path("a.txt"), Path("b.txt"), Path("sub/c.txt")]
    assert files.expand("[ab].txt", "--f") == [Path("a.txt"), Path("b.txt")]
    Path("b[1].txt").write_text("x")  # so a browser calls a second copy
    assert files.expand("b[1].txt", "--f") == [Path("b[1].txt")]
    for nothing in ("absent", "absent*", "a.txt,absent"):
        with pytest.raises(InputError, match="--f: no file matches absent"):
            files.expand(nothing, "--f")
    with pytest.raises(InputError, match="--f: names no file"):
        files.expand(" ,", "--f")


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.written_whole(path) as stream:
        stream.write(b"half")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with pytest.raises(RuntimeError), files.folder_written_whole(path) as folder:
        (folder / "a").write_text("a")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    for content in ("one", "two"):
        with files.folder_written_whole(path) as folder:
            (folder / "a").write_text(content)
            assert not path.exists() or (path / "a").read_text() == "one"
        assert (path / "a").read_text() == content
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_links_stay_and_what_they_lead_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for name in ("file", "folder", "new"):  # the last one leads to nothing yet
        (tmp_path / name).symlink_to(Path("real", name))
    (tmp_path / "real" / "folder").mkdir()
    for content in ("old", "new"):
        files.write_text(tmp_path / "file", content)
        files.write_text(tmp_path / "new", content)
        with files.folder_written_whole(tmp_path / "folder") as folder:
            (folder / "a").write_text(content)
    assert all((tmp_path / name).is_symlink() for name in ("file", "folder", "new"))
    assert (tmp_path / "real" / "file").read_text() == "new"
    assert (tmp_path / "real" / "new").read_text() == "new"
    assert (tmp_path / "real" / "folder" / "a").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 4
    assert len(list((tmp_path / "real").iterdir())) == 3


def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    ends = os.pipe()
    (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{ends[1]}")
    for name in ("pipe", "link", "circle", "folder", "stdout"):
        with pytest.raises(InputError) as refused, files.written_whole(tmp_path / name):
            pytest.fail("refused before the work")
        assert str(refused.value) == f"{tmp_path / name}: is not a plain file; give a file's name"
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "circle").is_symlink()
    assert len(list(tmp_path.iterdir())) == 5
    for end in ends:
        os.close(end)


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with (
        pytest.raises(InputError, match="file: is not a folder; move it away or give another name"),
        files.folder_written_whole(tmp_path / "file"),
    ):
        pytest.fail("refused before the work")
    assert (tmp_path / "file").read_text() == "old"


def test_the_same_file_is_written_twice_at_a_time(tmp_path: Path) -> None:
    """Two containers have equal process numbers."""
    with files.written_whole(tmp_path / "file") as one, files.written_whole(tmp_path / "file") as other:
        one.write(b"one")
        other.write(b"other")
    assert (tmp_path / "file").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("named", [".", "..", "../folder", "{tmp}", "link", "/"])
def test_the_folder_that_a_person_is_in_is_not_replaced(tmp_path: Path, named: str, monkeypatch) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "folder")
    Path("link").symlink_to(tmp_path)
    with (
        pytest.raises(InputError, match=r"is or holds the current folder, which cannot be replaced; give another"),
        files.folder_written_whole(Path(named.format(tmp=tmp_path))),
    ):
        pytest.fail("refused before the work")
    with files.folder_written_whole(Path("deep/../deep")) as folder, files.written_whole(folder / "a") as stream:
        stream.write(b"a")
    assert (tmp_path / "folder" / "deep" / "a").exists()
    with pytest.raises(InputError, match="is not a plain file"), files.written_whole("."):
        pytest.fail("refused before the work")


def test_a_folder_may_be_named_from_inside(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "other" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with files.folder_written_whole(Path("other/deep/..")) as folder:
        (folder / "a").write_text("a")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_failed_write_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as failure, files.written_whole(tmp_path / "file"):
        raise OSError(28, os.strerror(28))
    assert failure.value.filename == str(tmp_path / "file")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"a": ', b"\xff\xfe"])
def test_a_record_that_is_missing_or_damaged_is_empty(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    assert files.json_object(tmp_path / "a.json") == {}
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert files.json_object(tmp_path / "a.json") == {"a": 1}
