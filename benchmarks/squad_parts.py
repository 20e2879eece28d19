"""SQuAD before and behind the model, beside a slow and plain implementation of the original's rules.

    python -m benchmarks.squad_parts --data_dir=squad --vocab=vocab.txt --output=benchmarks/results/squad_parts.md

Windows: from the file to all sequences at 384/128/64. The peers are those of the tests: slow_squad.py with
slow_tokenizer.py. Answers: from the logits of the dev set's windows, padding's among them, to n best lists, texts and
predictions; peer `slow_answers.py`, which gets its input as it likes it outside of the clock. Logits are random, or
random with a peak of 8 at a random place of each window, as those of a trained model. Processor seconds, one thread, in
turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tests.tasks.squad import slow_answers, slow_squad
from tests.text import slow_tokenizer

from bertworks.cores import processor
from bertworks.tasks.squad import nbest
from bertworks.tasks.squad.documents import SquadExample
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.windows import Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer

LENGTH, STRIDE, QUERY = 384, 128, 64


def main() -> None:
    """Measure and print; write the table where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="the folder of train-v1.1.json and dev-v1.1.json")
    parser.add_argument("--vocab", type=Path, required=True, help="the uncased vocab.txt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="", help="a file for the table")
    flags = parser.parse_args()
    rows: list[tuple[str, float, float]] = []
    for split, training in (("train", True), ("dev", False)):
        path = flags.data_dir / f"{split}-v1.1.json"
        ours, theirs = _in_turns(
            flags.rounds if split == "dev" else 1,
            lambda path=path, training=training: _windows(flags.vocab, path, training),
            lambda path=path, training=training: _slow_windows(flags.vocab, path, training),
        )
        rows.append((f"windows of {split}", ours, theirs))
        print(rows[-1], flush=True)
    for name, peak in (("random", 0.0), ("peaked", 8.0)):
        ours, theirs = _answers(flags.vocab, flags.data_dir / "dev-v1.1.json", peak, flags.rounds)
        rows.append((f"answers of dev, {name} logits", ours, theirs))
        print(rows[-1], flush=True)
    table = "\n".join(
        [
            "# SQuAD before and behind the model\n",
            f"{processor()}, one thread. Made by `benchmarks/squad_parts.py`, which says what is measured.\n",
            "| what | bertworks, s | slow and plain, s | ratio |",
            "|---|---|---|---|",
            *(f"| {name} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |" for name, ours, theirs in rows),
        ]
    )
    print(table)
    if flags.output:
        Path(flags.output).write_text(table + "\n", encoding="utf-8")


def _in_turns(rounds: int, ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, into in zip((ours, theirs), seconds, strict=True):
            start = time.process_time()
            run()
            into.append(time.process_time() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _windows(vocab: Path, path: Path, training: bool) -> int:
    tokenizer, settings = Tokenizer.from_vocab(vocab), WindowSettings(LENGTH, STRIDE, QUERY)
    made = make_windows(tokenizer, SquadReader(path, training).examples(), settings, training)
    return sum(len(windows) for _, windows in made)


def _slow_windows(vocab: Path, path: Path, training: bool) -> int:
    numbers = Tokenizer.from_vocab(vocab).vocab
    read = list(slow_squad.read(path, training=training, version_2_with_negative=False))
    sizes = {"max_seq_length": LENGTH, "doc_stride": STRIDE, "max_query_length": QUERY}
    made = slow_squad.windows(
        read, lambda text: slow_tokenizer.tokenize(text, numbers, lower=True), training=training, **sizes
    )
    return sum(len([numbers[token] for token in window.tokens]) > 0 for window in made)


def _answers(vocab: Path, path: Path, peak: float, rounds: int) -> tuple[float, float]:
    tokenizer, settings = Tokenizer.from_vocab(vocab), WindowSettings(LENGTH, STRIDE, QUERY)
    blocks = list(make_windows(tokenizer, SquadReader(path, False).examples(), settings, training=False))
    draw = np.random.default_rng(0)
    logits = []
    for _, windows in blocks:
        found = draw.standard_normal((len(windows), 2, LENGTH), np.float32)
        lengths = windows.sequences.lengths
        for one, first, length in zip(found, windows.sequences.first.tolist(), lengths.tolist(), strict=True):
            place = int(draw.integers(first, length - 1))
            one[0, place] += peak
            one[1, min(place + 2, length - 2)] += peak
        logits.append(found)
    plain = list(_plain(tokenizer, blocks, logits))

    def ours() -> None:
        for (block, windows), of_block in zip(blocks, logits, strict=True):
            questions = [nbest.Question(example.id, example.document.words) for example in block]
            made = nbest.window_tokens(tokenizer, windows)
            for _ in nbest.find_answers(questions, made, ((a, b) for a, b in of_block), nbest.AnswerSettings()):
                pass

    def theirs() -> None:
        for words, windows, of_windows in plain:
            slow_answers.slow_answer(words, windows, of_windows, 20, 30, True, False, 0.0)

    return _in_turns(rounds, ours, theirs)


def _plain(tokenizer: Tokenizer, blocks: list[tuple[list[SquadExample], Windows]], logits: list[Any]) -> Iterator[Any]:
    """What the slow implementation takes, question by question."""
    for (block, windows), of_block in zip(blocks, logits, strict=True):
        made = list(nbest.window_tokens(tokenizer, windows))
        of_question: dict[int, list[int]] = {}
        for i, window in enumerate(made):
            of_question.setdefault(window.example, []).append(i)
        for number, example in enumerate(block):
            mine = of_question[number]
            yield (
                example.document.words,
                [
                    (
                        made[i].tokens,
                        {j: int(word) for j, word in enumerate(made[i].words.tolist()) if word >= 0},
                        dict(enumerate(made[i].is_max_context.tolist())),
                    )
                    for i in mine
                ],
                [(of_block[i][0].tolist(), of_block[i][1].tolist()) for i in mine],
            )


if __name__ == "__main__":
    main()
