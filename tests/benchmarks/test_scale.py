"""The page of what was computed on paper."""

from pathlib import Path

import pytest

from benchmarks import scale

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_script_writes() -> None:
    assert (ROOT / "docs" / "scale.md").read_text(encoding="utf-8") == scale.page()


def test_measured_figures_are_in_their_tables() -> None:
    rate, where = scale.MEASURED["preparation, bytes of text per second and core"]
    table = (ROOT / where.partition(":")[0]).read_text(encoding="utf-8")
    assert f"{rate / 1e6:.2f}" in table


def test_one_gpu_sums_nothing_and_more_gpus_sum_longer() -> None:
    times = [scale.all_reduce_seconds(scale.BASE, gpus) for gpus in (1, 8, 64, 256)]
    assert times[0] == 0
    assert times == sorted(times)


@pytest.mark.parametrize("every", [10, 1000])
def test_without_failures_nothing_is_lost_and_with_them_time_is(every: int) -> None:
    calm = scale.simulated_run(256, 1000, 1.0, every, hours=1e12)
    assert (calm.failures, calm.useful) == (0, 1.0)
    rough = scale.simulated_run(256, 1000, 1.0, every, hours=20)
    assert rough.failures > 0
    assert rough.days > calm.days
