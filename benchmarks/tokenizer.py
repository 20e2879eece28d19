"""How fast the tokenizer is, beside those that people use, one thread each, in turns in one run.

    python benchmarks/tokenizer.py --corpus en.txt zh.txt --vocab uncased.txt chinese.txt --output table.md

Cold is a first pass over a corpus with nothing remembered, warm the pass after it. Speeds are megabytes of text per
second of processor time (so that a peer which starts threads pays for them), medians over the rounds. Streams of ids
are compared line by line with those of `tokenizers`, and lines that differ are counted and named.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertworks import Tokenizer
from bertworks.files import write_text

Encode = Callable[[Sequence[str], bytes], Any]  # lines as strings, and the same lines as bytes
_BATCH = 4096


class Contestant(NamedTuple):
    """A tokenizer to measure.

    Attributes:
        name: as the table shows it.
        make: gives an encoder that remembers nothing yet.
        unpack: what the encoder returns, as a list of ids for each line.
    """

    name: str
    make: Callable[[], Encode]
    unpack: Callable[[Any], Iterator[list[int]]]


def main() -> None:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", nargs="+", type=Path, required=True, help="text files, one sentence a line")
    parser.add_argument("--vocab", nargs="+", type=Path, required=True, help="one vocab.txt, or one for each corpus")
    parser.add_argument("--cased", action="store_true", help="keep case and accents")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the table here too")
    flags = parser.parse_args()
    if len(flags.vocab) not in (1, len(flags.corpus)):
        parser.error("--vocab: give one, or as many as --corpus")
    # Read by the Rust libraries when they are imported or first used.
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    vocabs = flags.vocab * (len(flags.corpus) if len(flags.vocab) == 1 else 1)
    report = [_heading(flags.rounds)]
    for corpus, vocab in zip(flags.corpus, vocabs, strict=True):
        report.append(_measured(corpus, vocab, not flags.cased, flags.rounds))
        print(f"{corpus.name} done", file=sys.stderr)
    text = "\n".join(report)
    print(text)
    if flags.output:
        write_text(flags.output, text)


def _contestants(vocab_file: Path, lower: bool, folder: Path) -> list[Contestant]:
    """`tokenizers` first, ours, and those of the others that are installed."""
    import tokenizers

    ours = Tokenizer.from_vocab(vocab_file, lower)
    ours.save(folder)

    def fresh() -> Tokenizer:
        return Tokenizer(ours.tokens, lower)

    def hugging_face(method: str) -> Callable[[], Encode]:
        theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        return lambda: lambda lines, _: getattr(theirs, method)(lines, add_special_tokens=False)

    def encodings(found: Any) -> Iterator[list[int]]:
        return (encoding.ids for encoding in found)

    def flat(found: tuple[Any, Any]) -> Iterator[list[int]]:
        ids, starts = found
        return (ids[begin:end].tolist() for begin, end in pairwise(starts))

    contestants = [
        Contestant("`tokenizers` encode_batch", hugging_face("encode_batch"), encodings),
        Contestant("`tokenizers` encode_batch_fast", hugging_face("encode_batch_fast"), encodings),
        Contestant("**bertworks** encode_batch (strings)", lambda: _method(fresh().encode_batch), flat),
        Contestant("**bertworks** encode_lines (bytes)", lambda: _lines(fresh().encode_lines), flat),
    ]
    if importlib.util.find_spec("nanotoken"):
        import nanotoken

        def nano() -> Encode:
            theirs = nanotoken.Tokenizer(str(folder / "tokenizer.json"))
            return lambda lines, _: theirs.encode_batch(lines, add_special_tokens=False, parallel=False)

        contestants.append(Contestant("nanotoken (Rust)", nano, lambda found: iter(found.to_list())))
    if importlib.util.find_spec("tokie"):
        import tokie

        def toki() -> Encode:
            theirs = tokie.Tokenizer.from_json(str(folder / "tokenizer.json"))
            return lambda lines, _: theirs.encode_batch_flat(lines, add_special_tokens=False)

        def by_lengths(found: tuple[Any, Any]) -> Iterator[list[int]]:
            ids, lengths = found
            return flat((ids, np.concatenate(([0], np.cumsum(lengths.astype(np.int64))))))

        contestants.append(Contestant("tokie (Rust)", toki, by_lengths))
    return contestants


def _method(encode: Callable[[Sequence[str]], Any]) -> Encode:
    return lambda lines, _: encode(lines)


def _lines(encode: Callable[[bytes], Any]) -> Encode:
    return lambda _, block: encode(block)


def _batches(corpus: Path) -> list[tuple[list[str], bytes]]:
    """The lines of a file, some thousands at a time, as strings and as the bytes they are read from."""
    lines = corpus.read_bytes().split(b"\n")
    parts = [lines[begin : begin + _BATCH] for begin in range(0, len(lines), _BATCH)]
    return [([line.decode() for line in part], b"\n".join(part) + b"\n") for part in parts]


def _measured(corpus: Path, vocab_file: Path, lower: bool, rounds: int) -> str:
    """One corpus: the rows of the table, and the lines that differ."""
    batches = _batches(corpus)
    megabytes = corpus.stat().st_size / 1e6
    with tempfile.TemporaryDirectory() as folder:
        contestants = _contestants(vocab_file, lower, Path(folder))
        speeds: dict[str, tuple[list[float], list[float]]] = {one.name: ([], []) for one in contestants}
        for _ in range(rounds):
            for one in contestants:
                encode = one.make()
                for passes in speeds[one.name]:
                    begin = time.process_time()
                    for lines, block in batches:
                        encode(lines, block)
                    passes.append(megabytes / (time.process_time() - begin))
        streams = {one.name: _stream(one, batches) for one in contestants}
    reference = contestants[0].name
    base = [statistics.median(passes) for passes in speeds[reference]]
    tokens = sum(map(len, streams[reference]))
    rows = [
        f"## {corpus.name}: {megabytes:.1f} MB, {len(streams[reference]):,} lines, {tokens:,} tokens\n",
        "| tokenizer | cold MB/s | warm MB/s | cold, ratio | warm, ratio | lines unlike `tokenizers` |",
        "|---|---|---|---|---|---|",
    ]
    for one in contestants:
        cold, warm = (statistics.median(passes) for passes in speeds[one.name])
        differ = _differing(streams[one.name], streams[reference])
        rows.append(
            f"| {one.name} | {cold:.1f} | {warm:.1f} | {cold / base[0]:.1f} | {warm / base[1]:.1f} | {len(differ):,} |"
        )
    differ = _differing(streams[contestants[3].name], streams[reference])
    named = ", ".join(map(str, differ[:20])) + (", ..." if len(differ) > 20 else "")
    same = streams[contestants[2].name] == streams[contestants[3].name]
    rows.append(f"\nOurs differs from `tokenizers` in lines: {named or 'none'}. Both of our ways agree: {same}.\n")
    return "\n".join(rows)


def _stream(one: Contestant, batches: list[tuple[list[str], bytes]]) -> list[list[int]]:
    """The ids of every line."""
    encode = one.make()
    return [ids for lines, block in batches for ids in one.unpack(encode(lines, block))]


def _differing(ours: list[list[int]], theirs: list[list[int]]) -> list[int]:
    """The numbers, from 1 on, of lines that differ."""
    return [number for number, (a, b) in enumerate(zip(ours, theirs, strict=True), 1) if a != b]


def _heading(rounds: int) -> str:
    """What was measured, where and with which versions."""
    names = ("numpy", "tokenizers", "nanotoken", "tokie")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names if importlib.util.find_spec(name)]
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    return (
        "# Tokenizers on one thread\n\n"
        f"{cpu}, Python {platform.python_version()}, {', '.join(versions)}.\n"
        f"Medians of {rounds} rounds in turns, per second of processor time. Made by `benchmarks/tokenizer.py`.\n"
    )


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main()
