"""`bert benchmark`: the same work side by side, ours and what people use today, in turns in one run."""

from __future__ import annotations

from dataclasses import dataclass

from bertworks.benchmark.flags import BenchmarkFlags


@dataclass(frozen=True, kw_only=True)
class Flags(BenchmarkFlags):
    """Measure speed beside what people use: the same inputs, weights and precision, in turns in one run.

    Peers run at their best documented settings and at their example scripts' defaults. The tables have real and padded
    tokens per second, the share of the matrix-product peak, memory, power where the machine tells it, and how much the
    results differ. WHAT.md, WHAT.json and WHAT.png in --output_dir also say the hardware, versions and the command.
    """


def main(flags: Flags) -> None:
    """Measure, print the tables and write them."""
    from bertworks.benchmark.choices import check

    check(flags)

    from bertworks.benchmark.publish import publish

    publish(flags)
