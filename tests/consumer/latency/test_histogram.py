# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.latency import histogram
from consumer.latency.histogram import BUCKETS, Parts, Runs, bucket_of, fill
from schemas.histogram import SCALE, upper_bounds

VALUES = st.one_of(
    st.integers(1, 2**53),
    st.integers(0, 52).map(lambda power: 2**power),
    st.integers(1, 52).map(lambda power: 2**power + 1),
    st.integers(1, 52).map(lambda power: 2**power - 1),
)


def exact_bucket(value: int) -> int:
    """Smallest i with value <= 2^((i + 1) / 32), in integers: value^32 <= 2^(i + 1)."""
    return int((value ** (1 << SCALE) - 1).bit_length() - 1)


def buckets(*values: int) -> list[int]:
    return bucket_of(np.array(values, dtype=np.int64)).tolist()


@given(st.lists(VALUES, min_size=1))
def test_the_bucket_of_every_integer_is_exact(values: list[int]) -> None:
    """No rounding of a logarithm puts a value at a bound into the neighbouring bucket."""
    assert buckets(*values) == [exact_bucket(value) for value in values]


def test_every_value_around_every_bound_is_exact() -> None:
    """The integers beside each of the bounds below 2^53 are on the right side of it."""
    bounds = np.floor(upper_bounds(np.arange(53 * 32, dtype=np.int32), SCALE)).astype(np.int64)
    values = [int(v) for bound in bounds for v in (bound - 1, bound, bound + 1) if 0 < v < 2**53]
    assert buckets(*values) == [exact_bucket(value) for value in values]


@given(st.lists(st.integers(1, 2**63 - 1), min_size=2))
def test_buckets_rise_with_values_over_all_of_int64(values: list[int]) -> None:
    """Beyond 2^53, where floats are coarser than integers, the order still holds."""
    found = buckets(*sorted(values))
    assert found == sorted(found)
    assert found[0] >= -1
    assert found[-1] < BUCKETS - 1


def naive(rows: list[tuple[int, int, bool]], groups: int) -> list[dict[str, object]]:
    answer = []
    for group in range(groups):
        mine = [(value, has) for of, value, has in rows if of == group]
        values = [value for value, has in mine if has]
        counts: dict[int, int] = {}
        for value in values:
            if value > 0:
                counts[exact_bucket(value)] = counts.get(exact_bucket(value), 0) + 1
        answer.append(
            {
                "n": len(values),
                "seen": len(mine),
                "negative": sum(value < 0 for value in values),
                "total": sum(values),
                "least": min(values, default=2**63 - 1),
                "greatest": max(values, default=-(2**63)),
                "buckets": dict(sorted(counts.items())),
            }
        )
    return answer


def as_dicts(parts: Parts) -> list[dict[str, object]]:
    answer: list[dict[str, object]] = []
    for group in range(parts.n.size):
        cut = slice(int(parts.offsets[group]), int(parts.offsets[group + 1]))
        names = ("n", "seen", "negative", "total", "least", "greatest")
        one: dict[str, object] = {name: int(getattr(parts, name)[group]) for name in names}
        one["buckets"] = dict(zip(parts.buckets[cut].tolist(), parts.counts[cut].tolist(), strict=True))
        answer.append(one)
    return answer


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-(10**12), 10**12) | st.integers(-2, 3), st.booleans()),
    min_size=1,
)


def filled(rows: list[tuple[int, int, bool]], groups: int) -> Parts:
    group = np.array([row[0] for row in rows], dtype=np.int64)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    runs = Runs(starts, np.diff(starts, append=group.size), group[starts])
    has = np.array([row[2] for row in rows], dtype=bool)
    return fill(runs, groups, np.array([row[1] for row in rows], dtype=np.int64), has)


@given(ROWS)
def test_groups_are_filled_as_one_value_after_the_other_would(rows: list[tuple[int, int, bool]]) -> None:
    """Any order of groups, negatives, zeros and rows without a value give what plain Python gives."""
    assert as_dicts(filled(rows, 5)) == naive(rows, 5)


def test_so_many_groups_that_counting_is_by_sorting_give_the_same() -> None:
    """Where a cell for each group and bucket would be too much, the answer does not change."""
    generator = np.random.default_rng(1)
    groups, powers = generator.integers(0, 9_000, 2_000), generator.integers(0, 52, 2_000)
    rows = [(group, 2**power, True) for group, power in zip(groups.tolist(), powers.tolist(), strict=True)]
    assert as_dicts(filled(rows, 9_000)) == naive(rows, 9_000)


def test_more_groups_than_32_bits_can_sort_give_the_same() -> None:
    """The last of 2^21 groups are as good as the first of 5."""
    rows = [(4, 7, True), (2, 2**52, True), (0, 1, True), (2, 2**62, True), (4, 7, True), (3, -5, True)]
    many, few = 1 << 21, filled(rows, 5)
    beyond = filled([(many - 5 + group, value, has) for group, value, has in rows], many)
    assert not beyond.offsets[: many - 4].any()
    np.testing.assert_array_equal(beyond.offsets[many - 5 :], few.offsets)
    np.testing.assert_array_equal(beyond.buckets, few.buckets)
    np.testing.assert_array_equal(beyond.counts, few.counts)


@pytest.mark.parametrize("groups", [1, 3, 20])
@pytest.mark.parametrize("least", [1, -1000])
def test_values_of_several_blocks_are_all_counted(groups: int, least: int) -> None:
    """Neither the last values of a block nor those of the last, shorter block are left out.

    Of 3 groups each bucket has its own counter, for 20 the buckets are sorted.
    """
    generator = np.random.default_rng(2)
    values = generator.integers(least, 2_000, 2 * histogram._BLOCK + 77)
    rows = [(row * groups // values.size, value, True) for row, value in enumerate(values.tolist())]
    assert as_dicts(filled(rows, groups)) == naive(rows, groups)


@pytest.mark.parametrize("other", [1030, -7])
@pytest.mark.parametrize("extreme", [2**40, 1031, 1029, 0, -8, -6])
@pytest.mark.parametrize("block", [0, 1, 2])
def test_the_least_and_the_greatest_are_found_in_every_block(other: int, extreme: int, block: int) -> None:
    """Also where nothing else in a block is positive, and where both are in one bucket."""
    values = np.full(2 * histogram._BLOCK + 77, other)
    values[block * histogram._BLOCK + 70] = extreme
    rows = [(0, value, True) for value in values.tolist()]
    assert as_dicts(filled(rows, 1)) == naive(rows, 1)


@pytest.mark.parametrize("value", [0, -1, -(2**62)])
def test_zero_and_negatives_are_kept_out_of_buckets_and_never_dropped(value: int) -> None:
    """A zero is what n leaves after negatives and buckets; a negative has its own count."""
    (one,) = as_dicts(filled([(0, value, True), (0, 5, True)], 1))
    assert one["n"] == 2
    assert one["negative"] == int(value < 0)
    assert one["buckets"] == {exact_bucket(5): 1}
    assert one["least"] == value
