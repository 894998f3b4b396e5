# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumer.latency import islands as land
from consumer.latency.islands import Islands, Located

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda r: (r[0], r[0] + r[1])), max_size=8
)


def located(ranges: list[tuple[int, int]], touched: int = 0) -> Located:
    begin = np.array([begin for begin, _ in ranges], dtype=np.int64)
    end = np.array([end for _, end in ranges], dtype=np.int64)
    flow = np.zeros(begin.size, dtype=np.int32)
    return Located(Islands(flow, begin, end, np.full(begin.size, touched, dtype=np.int64)), begin, end)


def covered(ranges: list[tuple[int, int]]) -> set[int]:
    return {x for begin, end in ranges for x in range(begin, end)}


def pairs(islands: Islands) -> list[tuple[int, int]]:
    return list(zip(islands.begin.tolist(), islands.end.tolist(), strict=True))


@given(RANGES, RANGES)
def test_a_union_has_the_same_bytes_in_ranges_that_do_not_touch(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    """Merging keeps every byte and leaves sorted ranges with a gap between neighbours."""
    ranges = sorted(other, key=lambda r: r[1])
    low, high = np.array(ranges, dtype=np.int64).reshape(-1, 2).T
    first, last = land.runs(low, high)
    runs = [(ranges[a][0], ranges[b][1]) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    merged = land.union(located(one), located(runs))
    found = pairs(merged.islands)
    assert covered(found) == covered(one) | covered(other)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(found))
    assert merged.low.tolist() == merged.islands.begin.tolist()


@given(RANGES, RANGES)
def test_holes_are_the_bytes_of_a_range_that_no_island_has(
    one: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    """Each range's holes are its bytes outside the islands; it is covered when it has none."""
    matched = land.union(located(one), located([]))
    ranges = located(asked)
    owner, before, after, _, _ = land.holes(matched, ranges.low, ranges.high)
    begin, end = land.bounds(matched.islands, before, after, ranges.low[owner], ranges.high[owner])
    whole = land.covered(matched, ranges.low, ranges.high)
    for number, (low, high) in enumerate(asked):
        mine = [
            (b, e)
            for o, b, e in zip(owner.tolist(), begin.tolist(), end.tolist(), strict=True)
            if o == number
        ]
        assert covered(mine) == set(range(low, high)) - covered(one)
        assert bool(whole[number]) == (not mine)


@given(RANGES, st.sets(st.integers(1, 75)))
def test_an_arrival_is_needless_when_all_bytes_it_stands_for_are_matched(
    ranges: list[tuple[int, int]], positions: set[int]
) -> None:
    """It stands for the bytes above the arrival before it: a message ending there would take it."""
    matched, bytes_matched = land.union(located(ranges), located([])), covered(ranges)
    ordered = sorted(positions)
    answer = land.needless(matched, np.array(ordered, dtype=np.int64))
    before = [0, *ordered[:-1]]
    expected = [set(range(low, high)) <= bytes_matched for low, high in zip(before, ordered, strict=False)]
    assert answer.tolist() == expected
