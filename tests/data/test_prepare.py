"""Text to shards: the same bytes for any number of workers, resumable at any moment, and every text fault named."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data import prepare
from bertworks.data.corpus import Corpus, open_corpus
from bertworks.data.prepare import Part, is_finished, write_corpus
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer

FIXTURES = Path(__file__).parents[1] / "fixtures"
VOCAB = FIXTURES / "vocab.txt"
TEXT = (FIXTURES / "corpus.txt").read_text(encoding="utf-8")


@cache
def tokenizer(do_lower_case: bool = True) -> Tokenizer:
    return Tokenizer.from_vocab(VOCAB, do_lower_case)


def documents_of(corpus: Corpus) -> list[list[list[int]]]:
    """Ids by document and sentence."""
    found = []
    for shard in corpus.shards:
        data = shard.read()
        sentences = [
            data.tokens[first:last].tolist()
            for first, last in zip(data.sentence_starts[:-1], data.sentence_starts[1:], strict=True)
        ]
        found += [
            sentences[first:last]
            for first, last in zip(data.document_starts[:-1], data.document_starts[1:], strict=True)
        ]
    return found


def expected_documents(text: str) -> list[list[list[int]]]:
    """The original's reading: strip each line, an empty one ends a document, what has no tokens is dropped."""
    documents: list[list[list[int]]] = [[]]
    for line in text.split("\n"):
        if not line.strip():
            documents.append([])
        elif ids := tokenizer().encode(line.strip()):
            documents[-1].append(ids)
    return [document for document in documents if document]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def long_text(copies: int) -> str:
    """The golden corpus several times, numbered so that no two documents are equal."""
    return "\n\n".join(TEXT.strip().replace(" the ", f" the {copy} ") for copy in range(copies)) + "\n"


def test_documents_and_sentences_are_the_originals(tmp_path: Path) -> None:
    corpus = write_corpus([FIXTURES / "corpus.txt"], tmp_path / "shards", tokenizer())
    assert documents_of(corpus) == expected_documents(TEXT)
    assert corpus == open_corpus(str(tmp_path / "shards"))
    assert corpus.documents == 12
    assert corpus.vocab_file == tmp_path / "shards" / "vocab.txt"
    assert corpus.vocabulary.do_lower_case


lines = st.sampled_from(
    ["", " ", "\t", "one", "the market was sold", "\x00", "\u200b", "大约", "a b c " * 30, "\u3000"]
)


@settings(deadline=None, max_examples=40)
@given(text=st.lists(lines, max_size=40).map("\n".join), ending=st.sampled_from(["", "\n", "\n\n"]))
def test_any_mixture_of_blank_and_odd_lines(tmp_path_factory: pytest.TempPathFactory, text: str, ending: str) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    path = write(folder / "text.txt", text + ending)
    expected = expected_documents(text + ending)
    if expected:
        corpus = write_corpus([path], folder / "shards", tokenizer(), num_workers=1, shard_bytes=200)
        assert documents_of(corpus) == expected
    else:
        with pytest.raises(InputError, match="--input_file: no words in"):
            write_corpus([path], folder / "shards", tokenizer(), num_workers=1)


def test_the_bytes_do_not_depend_on_workers_or_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "text.txt", long_text(30))
    monkeypatch.setattr(prepare, "BLOCK_BYTES", 5_000)
    corpora = {
        workers: write_corpus(
            [path], tmp_path / str(workers), tokenizer(), num_workers=workers, shard_bytes=50_000, truncate_segments=0.1
        )
        for workers in (1, 2, 3)
    }
    assert len(corpora[1].shards) == 4
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")


def test_compressed_text_and_json_lines_give_the_same_documents(tmp_path: Path) -> None:
    documents = TEXT.strip().split("\n\n")
    inputs = {
        "gz": write(tmp_path / "text.txt.gz", gzip.compress(TEXT.encode())),
        "jsonl": write(tmp_path / "text.jsonl", "\n".join(json.dumps({"body": text}) for text in documents)),
    }
    for name, path in inputs.items():
        corpus = write_corpus([path], tmp_path / name, tokenizer(), text_field="body")
        assert documents_of(corpus) == expected_documents(TEXT)


def test_truncated_segments(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", long_text(40))
    whole = [s for d in documents_of(write_corpus([path], tmp_path / "whole", tokenizer())) for s in d]
    corpus = write_corpus([path], tmp_path / "cut", tokenizer(), truncate_segments=0.25)
    cut = [s for d in documents_of(corpus) for s in d]
    assert len(whole) == len(cut) > 3000
    assert all(b and a[: len(b)] == b for a, b in zip(whole, cut, strict=True))
    shortened = [(len(a), len(b)) for a, b in zip(whole, cut, strict=True) if len(b) < len(a)]
    # 3 sigma of a binomial; every sentence here has at least two tokens.
    assert abs(len(shortened) - 0.25 * len(whole)) < 3 * np.sqrt(0.25 * 0.75 * len(whole))
    # A length drawn evenly from 1 ... n-1 is n/2 in the mean.
    share = np.mean([(b - 1) / (a - 2) for a, b in shortened if a > 2])
    assert abs(share - 0.5) < 3 * 0.35 / np.sqrt(len(shortened))
    other = write_corpus([path], tmp_path / "other", tokenizer(), truncate_segments=0.25, random_seed=1)
    assert other.identity != corpus.identity


def test_documents_above_the_limit_are_cut_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "text.txt", "the market was sold\n" * 250_000)
    corpus = write_corpus([path], tmp_path / "shards", tokenizer(), num_workers=1)
    assert (corpus.documents, corpus.sentences) == (2, 250_000)
    assert "is cut here" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- resuming


def start(path: Path, folder: Path, workers: int) -> subprocess.Popen[bytes]:
    """A process of its own that makes many small shards."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from bertworks.data.prepare import write_corpus\n"
        "from bertworks.text.tokenizer import Tokenizer\n"
        "if __name__ == '__main__':\n"
        "    text, folder, vocab, workers = sys.argv[1:]\n"
        "    write_corpus([Path(text)], Path(folder), Tokenizer.from_vocab(vocab, True), num_workers=int(workers),\n"
        "                 shard_bytes=20_000, truncate_segments=0.02)\n"
    )
    main = write(folder.with_suffix(".py"), script)
    return subprocess.Popen(
        [sys.executable, str(main), str(path), str(folder), str(VOCAB), str(workers)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_continues_where_it_was(tmp_path: Path, workers: int) -> None:
    path = write(tmp_path / "text.txt", long_text(400))
    reference = start(path, tmp_path / "reference", 1)
    assert reference.wait() == 0
    folder = tmp_path / "killed"
    chance = random.Random(workers)
    for _ in range(2):
        before = len(list(folder.glob("shard-*")))
        process = start(path, folder, workers)
        while process.poll() is None and len(list(folder.glob("shard-*"))) == before:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        workers_of_it = children_of(process.pid) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
        for child in workers_of_it:
            for _ in range(500):
                if not Path(f"/proc/{child}").exists() or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text():
                    break
                time.sleep(0.01)
            else:
                pytest.fail("a worker outlived the run that was killed")
    finished = {file.name: file.stat().st_mtime_ns for file in folder.glob("shard-*")}
    assert 0 < len(finished) < len(list((tmp_path / "reference").glob("shard-*")))
    assert start(path, folder, workers).wait() == 0
    assert contents(folder) == contents(tmp_path / "reference")
    assert all((folder / name).stat().st_mtime_ns == changed for name, changed in finished.items())


def test_a_finished_folder_is_left_as_it_is(tmp_path: Path) -> None:
    first = write_corpus([FIXTURES / "corpus.txt"], tmp_path / "shards", tokenizer())
    changed = first.shards[0].path.stat().st_mtime_ns
    assert write_corpus([FIXTURES / "corpus.txt"], tmp_path / "shards", tokenizer()) == first
    assert first.shards[0].path.stat().st_mtime_ns == changed


def test_a_damaged_shard_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_corpus([FIXTURES / "corpus.txt"], tmp_path / "shards", tokenizer()).shards[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(InputError, match="cut off"):
        open_corpus(str(tmp_path / "shards"))
    write_corpus([FIXTURES / "corpus.txt"], tmp_path / "shards", tokenizer())
    assert path.read_bytes() == whole
    assert "made again" in capsys.readouterr().err


def test_shards_of_something_else_in_the_folder_name_the_flag(tmp_path: Path) -> None:
    folder, text = tmp_path / "shards", write(tmp_path / "text.txt", long_text(3))
    write_corpus([text], folder, tokenizer(), truncate_segments=0.5, shard_bytes=8_000)
    other_vocab = Tokenizer(tokenizer().tokens[:-1], vocab_file="other.txt")
    for flag, made in {
        "--vocab_file": lambda: write_corpus([text], folder, other_vocab, truncate_segments=0.5),
        "--do_lower_case": lambda: write_corpus([text], folder, tokenizer(False), truncate_segments=0.5),
        "--truncate_segments": lambda: write_corpus([text], folder, tokenizer()),
        "--random_seed": lambda: write_corpus([text], folder, tokenizer(), truncate_segments=0.5, random_seed=2),
        "--input_file": lambda: write_corpus([FIXTURES / "corpus.txt"], folder, tokenizer(), truncate_segments=0.5),
    }.items():
        with pytest.raises(InputError, match=f"--output_dir=.* was made with another {flag}; delete the folder"):
            made()


# --------------------------------------------------------------------------------------------------------- bad input


def test_input_without_words_is_refused(tmp_path: Path) -> None:
    for text in ("", "\n\n \n", "\x00\n"):
        with pytest.raises(InputError, match="--input_file: no words in"):
            write_corpus([write(tmp_path / "text.txt", text)], tmp_path / "shards", tokenizer())
    assert not (tmp_path / "shards" / "index.json").exists()


def test_invalid_utf8_names_the_line_and_leaves_no_index(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", b"one\n\ntwo\nthree \xff\n")
    with pytest.raises(InputError, match=r"text\.txt, line 4: not UTF-8"):
        write_corpus([path], tmp_path / "shards", tokenizer())
    assert not (tmp_path / "shards").exists()
    path.write_bytes(b"one two three\n\n")
    write_corpus([path], tmp_path / "shards", tokenizer())
    (tmp_path / "shards" / "index.json").unlink()  # as after a kill
    with pytest.raises(InputError, match="run create_pretraining_data"):
        open_corpus(str(tmp_path / "shards"))


def test_a_vocabulary_without_its_special_words_is_refused(tmp_path: Path) -> None:
    words = [word for word in tokenizer().tokens if word != "[MASK]"]
    with pytest.raises(InputError, match=r"odd\.txt.*\[MASK\]"):
        write_corpus([FIXTURES / "corpus.txt"], tmp_path / "shards", Tokenizer(words, vocab_file="odd.txt"))
    assert not (tmp_path / "shards").exists()


def test_one_line_of_ten_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", "the market was sold " * 500_000 + "\nthe mill\n")
    corpus = write_corpus([path], tmp_path / "shards", tokenizer(), num_workers=1)
    assert (corpus.tokens, corpus.sentences) == (500_000 * len(tokenizer().encode("the market was sold")) + 2, 2)


def test_a_full_disk_leaves_whole_shards_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the third shard; once there is room, the same command finishes."""
    path, folder = write(tmp_path / "text.txt", long_text(12)), tmp_path / "shards"
    fsync, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        # Every file takes two: its bytes, and its folder's names. The first file is vocab.txt.
        if calls == 7:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_corpus([path], folder, tokenizer(), num_workers=1, shard_bytes=20_000)
    assert sorted(contents(folder)) == ["shard-00000.safetensors", "shard-00001.safetensors", "vocab.txt"]
    monkeypatch.setattr(os, "fsync", fsync)
    corpus = write_corpus([path], folder, tokenizer(), num_workers=1, shard_bytes=20_000)
    assert documents_of(corpus) == expected_documents(long_text(12))


def test_an_error_in_a_worker_is_told_as_one_here(tmp_path: Path) -> None:
    words = [word for word in tokenizer().tokens if word != "[UNK]"]
    path = write(tmp_path / "text.txt", "ζζζ\n")
    with pytest.raises(InputError, match=r"\[UNK\]"):
        write_corpus([path], tmp_path / "shards", Tokenizer(words, vocab_file="odd.txt"), num_workers=2)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_parts_written_apart_are_the_folder_of_one_command(tmp_path: Path, count: int) -> None:
    """In any order; one is killed and runs again; the last one finishes the folder. There may be more than shards."""
    path, whole, together = write(tmp_path / "text.txt", long_text(30)), tmp_path / "whole", tmp_path / "together"
    how = {"num_workers": 1, "shard_bytes": 20_000, "truncate_segments": 0.2}
    shards = len(write_corpus([path], whole, tokenizer(), **how).shards)
    assert 3 < shards < 20
    for index in reversed(range(count)):
        assert not is_finished(together)
        part = Part(index, count)
        own = write_corpus([path], together, tokenizer(), part=part, **how).shards
        if own and index == 1:  # killed before its last shard was whole, and while another part is being written
            own[-1].path.unlink()
            part.marker(together).unlink()
            mine, others = (together / f".shard-{number:05}.safetensors.7.partial" for number in (1, 0))
            mine.write_bytes(b"half")
            others.write_bytes(b"half")
            write_corpus([path], together, tokenizer(), part=part, **how)
            assert not mine.exists()
            assert others.exists()
            others.unlink()
    assert is_finished(together)
    markers = {Part(index, count).marker(together).name for index in range(count)}
    assert {name: text for name, text in contents(together).items() if name not in markers} == contents(whole)
