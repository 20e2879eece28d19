"""The table of largest batches."""

from __future__ import annotations

import json
from pathlib import Path

from bertworks import cli
from bertworks.benchmark.memory_table import LENGTHS, WAYS, largest_batches
from bertworks.config import BertConfig
from bertworks.model.memory import step_bytes


def test_the_largest_batch_fits_and_the_next_does_not() -> None:
    memory = 12 * 2**30
    (row, *_) = largest_batches(["base"], memory, "cpu")
    config = BertConfig.from_size("base", 30522)
    for way, options in WAYS.items():
        fits, above = (
            step_bytes(config, 64 * count, count, device="cpu", **options).total for count in (row[way], row[way] + 1)
        )
        assert fits <= memory < above


def test_the_table_stands_beside_the_originals(tmp_path: Path) -> None:
    assert cli.main(["benchmark", "memory", "--gb=12", "--device=cpu", f"--output_dir={tmp_path}"]) == 0
    found = json.loads((tmp_path / "memory.json").read_text())
    assert found["memory"] == 12 * 2**30
    rows = {(row["model"], row["tokens"]): row for row in found["rows"]}
    assert list(rows) == [(size, length) for size in ("base", "large") for length in LENGTHS]
    assert rows["large", 512]["original"] == 0
    assert rows["large", 512]["bf16, checkpointing"] >= 15
    page = (tmp_path / "memory.md").read_text()
    assert page.count("\n| ") == 2 + 12
    assert "12 GiB (cpu), computed" in page


def test_other_sizes_have_no_batch_of_the_original(tmp_path: Path) -> None:
    words = ["benchmark", "memory", "--size=2/32", "--device=cpu", f"--output_dir={tmp_path}"]
    assert cli.main(words) == 0
    found = json.loads((tmp_path / "memory.json").read_text())
    assert {row["original"] for row in found["rows"]} == {None}
    assert found["memory"] > 0
