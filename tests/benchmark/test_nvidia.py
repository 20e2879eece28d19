"""NVIDIA's lines and tables."""

from __future__ import annotations

import re

from bertworks.benchmark.nvidia import pages
from tests.benchmark.entries import entry, report


def rows(page: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]


def test_the_grid_of_inference() -> None:
    cells = [
        entry((seconds, 3 * seconds), contest=f"{n}", sequences=n, precision=precision)
        for precision, seconds in (("fp32", 0.01), ("bf16", 0.005))
        for n in (1, 2)
    ]
    files = pages(report(*cells, kind="latency"))
    table = files["nvidia.md"]
    assert "BERT-BASE FP32" in table
    exact, mixed = table.split("BERT-BASE BF16")
    titles, _, one, two = rows(exact)
    assert titles == [
        "Sequence Length", "Batch Size", "Throughput-Average(seq/sec)", "Latency-Average(ms)",
        "Latency-50%(ms)", "Latency-90%(ms)", "Latency-95%(ms)", "Latency-99%(ms)",
    ]  # fmt: skip
    assert one[:4] == ["128", "1", "50.00", "20.00"]
    assert two[:3] == ["128", "2", "100.00"]
    titles, _, one, _ = rows(mixed)
    assert one[titles.index("Throughput speedup (FP32 to mixed precision)")] == "2.00"
    log = files["nvidia.log"]
    # What finetune_inference_benchmark.sh cuts out: what follows "= " of these lines.
    assert re.findall(r"Latency Average \(ms\) = (.*)", log) == ["20.00", "20.00", "10.00", "10.00"]
    assert re.findall(r"Throughput Average \(sentences/sec\) = (.*)", log)[:2] == ["50.00", "100.00"]
    assert len(re.findall(r"Latency Confidence Level (?:50|90|95|99|100) \(ms\) = [\d.]+", log)) == 20


def test_a_cell_that_was_measured_in_one_precision_only() -> None:
    cells = [
        entry((1.0,), contest=contest, sequences=int(contest), precision=precision)
        for contest, precision in (("1", "fp32"), ("1", "bf16"), ("8", "bf16"))
    ]
    titles, _, one, eight = rows(pages(report(*cells, kind="latency"))["nvidia.md"].split("BERT-BASE BF16")[1])
    place = titles.index("Throughput speedup (FP32 to mixed precision)")
    assert (one[place], eight[place]) == ("1.00", "")


def test_the_table_of_training() -> None:
    entries = [
        entry((seconds,), model="large", precision=precision, name=name, settings=settings)
        for name, settings in (("bertworks", "packed"), ("transformers", "its best: sdpa"))
        for precision, seconds in (("fp32", 2.0), ("bf16", 1.0))
    ]
    files = pages(report(*entries, kind="train"))
    ours, theirs = files["nvidia.md"].split("transformers (its best)")
    for table in (ours, theirs):
        titles, _, row = rows(table)
        assert row[:4] == ["1", "large", "32", "128"]
        assert row[titles.index("Throughput - FP32(sequences/sec)")] == "16.0"
        assert row[titles.index("Throughput - mixed precision(sequences/sec)")] == "32.0"
        assert row[-1] == "2.00"
    assert files["nvidia.log"].count("training_sequences_per_second : ") == 4
