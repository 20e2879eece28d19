"""Counter-based chance: frozen values, and the laws that random access rests on."""

from __future__ import annotations

from math import comb

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertworks import draws

KEYS = st.integers(0, 2**64 - 1)


def test_bits_are_those_of_the_published_splitmix64_seeded_with_0() -> None:
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert draws.bits(0, np.arange(4)).tolist() == expected


def test_values_are_frozen() -> None:
    key = draws.key(7)
    assert draws.key(12345, 1, 2).tolist() == [0x6C0F264273006C79]
    assert draws.key(1, np.arange(3)).tolist() == [0x46B73E79F0C37C00, 0x374327C63D0CC8A6, 0xE10CF86AE3079278]
    assert draws.uniform(key, np.arange(3)).tolist() == [0.9153980962857293, 0.3944572910569193, 0.30794958315676235]
    assert draws.integers(key, np.arange(8), -5, 5).tolist() == [4, -2, -2, -4, -5, 4, 2, 1]
    assert draws.permutation(key, 10).tolist() == [4, 3, 2, 1, 8, 7, 9, 6, 5, 0]
    assert draws.half_of(draws.key(7, np.arange(6)), [0, 1, 63, 64, 65, 1000]).tolist() == [0, 0, 27, 29, 36, 501]


@given(KEYS, st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_number_depends_on_its_own_counter_only(key: int, counters: list[int]) -> None:
    together = draws.bits(np.uint64(key), np.array(counters))
    assert together.tolist() == [draws.bits(np.uint64(key), counter).item() for counter in counters]


@given(KEYS, st.integers(-(2**31), 2**31), st.integers(1, 2**32))
def test_integers_stay_inside_their_range(key: int, low: int, span: int) -> None:
    drawn = draws.integers(np.uint64(key), np.arange(50), low, low + span)
    assert low <= drawn.min()
    assert drawn.max() < low + span


@given(KEYS, st.integers(0, 300))
def test_permutation_holds_everything_once(key: int, n: int) -> None:
    assert sorted(draws.permutation(np.uint64(key), n)) == list(range(n))


def test_keys_of_different_parts_differ() -> None:
    keys = draws.key(np.arange(20)[:, None, None], np.arange(20)[:, None], np.arange(20))
    assert len(np.unique(keys)) == 20**3
    assert draws.key(1, 2) != draws.key(2, 1)


def test_uniform_fills_the_unit_interval_evenly() -> None:
    counts = np.histogram(draws.uniform(draws.key(3), np.arange(100_000)), 100, (0, 1))[0]
    assert abs(chi_square(counts, np.full(100, 1000.0)) - 99) < 3 * np.sqrt(2 * 99)


def test_half_of_is_binomial() -> None:
    for n in (1, 5, 64, 70):
        heads = draws.half_of(draws.key(n, np.arange(50_000)), np.full(50_000, n))
        expected = np.array([50_000 * comb(n, k) / 2**n for k in range(n + 1)])
        often = expected >= 5
        counts = np.bincount(heads, minlength=n + 1)
        assert abs(chi_square(counts[often], expected[often]) - often.sum()) < 3 * np.sqrt(2 * often.sum()), n
        assert counts[~often].sum() < 100


@given(KEYS, st.lists(st.integers(0, 200), max_size=20))
def test_half_of_counts_each_alone(key: int, sizes: list[int]) -> None:
    keys = draws.bits(np.uint64(key), np.arange(len(sizes)))
    together = draws.half_of(keys, sizes)
    assert together.tolist() == [draws.half_of(k, n).item() for k, n in zip(keys, sizes, strict=True)]


def test_half_of_millions_of_coins_is_the_same_in_blocks() -> None:
    sizes = np.array([50_000_000, 3, 0, 50_000_000, 50_000_000, 7])
    keys = draws.key(1, np.arange(len(sizes)))
    together = draws.half_of(keys, sizes)
    assert together.tolist() == [draws.half_of(k, n).item() for k, n in zip(keys, sizes, strict=True)]
    assert (np.abs(together - sizes / 2) <= 4 * np.sqrt(sizes) / 2).all()


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    return float(((counts - expected) ** 2 / expected).sum())
