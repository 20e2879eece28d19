"""Entries and reports with times that a test chooses."""

from __future__ import annotations

from dataclasses import replace

from bertworks.benchmark.contest import Turn
from bertworks.benchmark.machine import Machine
from bertworks.benchmark.results import BenchmarkReport, Entry

MACHINE = Machine(
    date="2026-11-30 10:00",
    processor="A Processor",
    instructions=("avx2",),
    cores=4,
    usable=2,
    threads=2,
    gpu="",
    system="Linux",
    versions={"Python": "3.11"},
    command="bert benchmark train",
    commit="abc",
)
BASE = Entry(contest="32 sequences", name="bertworks", version="1", settings="packed", precision="fp32", model="base")


def turns(*seconds: tuple[float, ...], peak: float | None = None) -> tuple[Turn, ...]:
    return tuple(Turn(seconds=one, peak=peak, memory=10**6, value=5.9) for one in seconds)


def entry(*seconds: tuple[float, ...], peak: float | None = None, **changes: object) -> Entry:
    amounts = {"sequences": 32, "tokens": 4096, "padded_tokens": 4096, "operations": 1e9, "longest": 128}
    return replace(BASE, turns=turns(*seconds, peak=peak), **{**amounts, **changes})


def report(*entries: Entry, kind: str = "train", **changes: object) -> BenchmarkReport:
    made = BenchmarkReport(
        kind=kind, title="A step", about=("About.",), machine=MACHINE, rounds=2, power="not measured", entries=entries
    )
    return replace(made, **changes)
