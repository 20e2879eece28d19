"""Runs a benchmark and writes what it found: Markdown, JSON, a picture, and the files of those it is like."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bertworks import files
from bertworks.benchmark import lambda_labs, nvidia, picture, table
from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.results import BenchmarkReport
from bertworks.benchmark.run import run


def publish(flags: BenchmarkFlags) -> None:
    """Measure, write the files after each contest, and print the tables."""
    typed = sys.argv[1:2] == ["benchmark"]
    words = ["bert", "benchmark", *(sys.argv[2:] if typed else [flags.what])]
    folder = Path(flags.output_dir)
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
