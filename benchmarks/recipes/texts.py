"""Cut a corpus into documents to train on, to choose by, and to report on; and make shards of each part."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PARTS = ("train", "choose", "report")

# Of a hundred documents, so many are to choose by and as many to report on.
HELD_OUT = 5


def part_of(document: str) -> str:
    """Return the part of a document, by a hash of its text, so that no other file or order changes it."""
    number = int(hashlib.sha256(document.encode()).hexdigest(), 16) % 100
    return "choose" if number < HELD_OUT else "report" if number < 2 * HELD_OUT else "train"


def documents(source: str) -> list[str]:
    """Return the documents of a text file (blank lines between), or of Python's documentation for `demo`."""
    if source == "demo":
        from bertworks.text.python_docs import python_docs

        return ["\n".join(document) for document in python_docs()]
    text = Path(source).read_text(encoding="utf-8")
    return [document.strip() for document in text.split("\n\n") if document.strip()]


def prepare(source: str, folder: Path, vocab_file: str, vocab_size: int, more: list[str]) -> dict[str, Path]:
    """Write the parts, a vocabulary learned from the training part unless there is one, and shards; once.

    Args:
        more: flags of `bert create_pretraining_data`.

    Returns:
        part -> its shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "report.txt").exists():
        found = documents(source)
        for part in PARTS:
            chosen = [document for document in found if part_of(document) == part]
            if not chosen:
                raise SystemExit(f"{source}: too few documents; none is to {part}")
            (folder / f"{part}.txt").write_text("\n\n".join(chosen) + "\n", encoding="utf-8")
    vocab = vocab_file or str(folder / "vocab.txt")
    if not Path(vocab).exists():
        bert(
            "learn_vocab",
            f"--input_file={folder / 'train.txt'}",
            f"--output_file={vocab}",
            f"--vocab_size={vocab_size}",
        )
    shards = {part: folder / f"{part}_shards" for part in PARTS}
    for part, path in shards.items():
        words = (f"--input_file={folder / f'{part}.txt'}", f"--vocab_file={vocab}", f"--output_dir={path}", *more)
        bert("create_pretraining_data", *words)
    return shards


def bert(*words: str, log: Path | None = None, threads: int = 0) -> None:
    """Run `bert WORDS` as a process of its own; what it says goes to `log`. With `threads`, it takes as many."""
    command = [sys.executable, "-m", "bertworks", *words]
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    if log is None:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        said = done.stderr
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"$ bert {' '.join(words)}\n")
            stream.flush()
            done = subprocess.run(
                command, check=False, stdout=stream, stderr=subprocess.STDOUT, text=True, env=environment
            )
        said = log.read_text(encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"bert {' '.join(words)}: ended with {done.returncode}\n{said[-2000:]}")
