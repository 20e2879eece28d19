"""`bert compare`: runs side by side, from what they left in their output folders. Nothing is computed by a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bertworks.errors import InputError
from bertworks.flags import REQUIRED, CommandFlags, flag


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Compare runs: which flags differ, what the results are, and which rows of the dev set only one gets right.

    bert compare out-1 out-2
    """

    runs: str = flag(
        REQUIRED,
        "The output folders, two or more; with commas between, or one after the other.",
        group="Input",
        path=True,
        positional="several",
    )
    show: int = flag(5, "How many rows to show that only one of two runs gets right.", group="Output", lowest=0)
    format: Literal["table", "json"] = flag("table", "A table for people, or JSON.", group="Output")


def main(flags: Flags) -> None:
    """Read the runs and print the comparison."""
    import json

    from bertworks import files
    from bertworks.run_folders import compared, table

    folders = files.expand(flags.runs, "--runs")
    if len(folders) < 2:
        raise InputError(f"--runs={flags.runs}: is one run; give two or more")
    found = compared(folders)
    print(json.dumps(found, indent=2, ensure_ascii=False) if flags.format == "json" else table(found, flags.show))
