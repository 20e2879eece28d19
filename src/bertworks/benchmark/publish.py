"""Runs a benchmark and writes what it found: Markdown, JSON, a picture, and the files of those it is like."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bertworks import files
from bertworks.benchmark import lambda_labs, memory_table, nvidia, picture, table
from bertworks.benchmark.choices import names
from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.results import BenchmarkReport
from bertworks.benchmark.run import run
from bertworks.errors import InputError
from bertworks.model.device import choose_device
from bertworks.model.free_memory import free_memory


def publish(flags: BenchmarkFlags) -> None:
    """Measure, write the files after each contest, and print the tables."""
    typed = sys.argv[1:2] == ["benchmark"]
    words = ["bert", "benchmark", *(sys.argv[2:] if typed else [flags.what])]
    folder = Path(flags.output_dir)
    files.check_writable(folder)
    if flags.what == "memory":
        _publish_batches(flags, words, folder)
        return
    for report in run(flags, words):
        pages = pages_of(report, flags)
        for name, text in pages.items():
            files.write_text(folder / name, text)
        picture.draw(report, folder / f"{flags.what}.png")
    if flags.like == "nvidia":
        print(pages["nvidia.log"], pages["nvidia.md"], sep="\n")
    table.show(report)
    more = f" and {len(pages) - 2} files like those of {flags.like}" if flags.like else ""
    print(f"Wrote {flags.what}.md, {flags.what}.json and {flags.what}.png{more} to {folder}")


def _publish_batches(flags: BenchmarkFlags, words: Sequence[str], folder: Path) -> None:
    """Compute the largest batches, and write and print their table."""
    device = choose_device(flags.device)
    memory = free_memory(device) if flags.gb is None else int(flags.gb * 2**30)
    if memory is None:
        raise InputError("--gb: this system does not say how much memory is free; give it")
    sizes = names(flags.size) if flags.was_given("size") else ["base", "large"]
    rows = memory_table.largest_batches(sizes, memory, device.type)
    pages = memory_table.pages(rows, memory, device.type, shlex.join(words))
    for name, text in pages.items():
        files.write_text(folder / name, text)
    print(pages["memory.md"])
    print(f"Wrote {', '.join(pages)} to {folder}")


def pages_of(report: BenchmarkReport, flags: BenchmarkFlags) -> dict[str, str]:
    """Return the texts of all files, by their names."""
    pages: dict[str, str] = {}
    if flags.like == "lambda":
        pages = lambda_labs.pages(report, report.machine.gpu.partition(",")[0] or report.machine.processor)
    elif flags.like == "nvidia":
        pages = nvidia.pages(report)
    pages[f"{flags.what}.md"] = table.markdown(report)
    pages[f"{flags.what}.json"] = json.dumps(report.to_json(), indent=1) + "\n"
    return pages
