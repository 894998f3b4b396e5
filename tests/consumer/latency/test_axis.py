# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.latency.axis import Points, coordinates, order_by_flow, pieces_of, places

NEAR = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=30)
FAR = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**62)), max_size=30)


def points(pairs: list[tuple[int, int]]) -> Points:
    ordered = sorted(pairs)
    flow = np.array([flow for flow, _ in ordered], dtype=np.int32)
    return Points(flow, (np.array([position for _, position in ordered], dtype=np.int64),))


@pytest.mark.parametrize("positions", [NEAR, FAR])
@given(data=st.data())
def test_coordinates_have_the_order_of_flow_and_position(
    positions: st.SearchStrategy, data: st.DataObject
) -> None:  # type: ignore[type-arg]
    """Across all tables, coordinates compare as (flow, position) do, also where they are ranks."""
    tables = [sorted(data.draw(positions)) for _ in range(3)]
    placed = coordinates([points(pairs) for pairs in tables], 6)
    known = [
        (pair, value)
        for pairs, columns in zip(tables, placed, strict=True)
        for pair, value in zip(pairs, columns[0].tolist(), strict=True)
    ]
    assert [pair for pair, _ in sorted(known, key=lambda one: one[1])] == sorted(pair for pair, _ in known)
    assert len({pair for pair, _ in known}) == len({value for _, value in known})


@pytest.mark.parametrize("positions", [NEAR, FAR])
@given(data=st.data())
def test_flows_never_touch(positions: st.SearchStrategy, data: st.DataObject) -> None:  # type: ignore[type-arg]
    """Between coordinates of two flows at least one number is free, so that their ranges cannot merge."""
    pairs = sorted(data.draw(positions))
    ((placed,),) = coordinates([points(pairs)], 6)
    for (before, one), (after, other) in zip(
        zip(pairs[:-1], placed[:-1].tolist(), strict=True),
        zip(pairs[1:], placed[1:].tolist(), strict=True),
        strict=True,
    ):
        if before[0] != after[0]:
            assert other - one > 1


@pytest.mark.parametrize("flows", [7, 200_000])
def test_the_order_by_flow_is_stable(flows: int) -> None:
    """Rows of one flow keep their order, with flow numbers of 16 bits and of more."""
    flow = np.random.default_rng(3).integers(0, flows, 5_000).astype(np.int32)
    assert order_by_flow(flow, flows).tolist() == np.argsort(flow, kind="stable").tolist()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (40, 40), (3, 200), (200, 3)])
def test_places_are_those_of_a_search(side: str, sizes: tuple[int, int]) -> None:
    """Whichever way they are found: by searches, by searches the other way round, by a merge."""
    random = np.random.default_rng(5)
    for highest in (20, 2**62):
        line, points = (np.sort(random.integers(0, highest, size)) for size in sizes)
        assert places(line, points, side).tolist() == np.searchsorted(line, points, side).tolist()
        random.shuffle(points)
        assert places(line, points, side).tolist() == np.searchsorted(line, points, side).tolist()


def test_flows_of_very_unlike_positions_get_rooms_of_their_own() -> None:
    """A line with as much room for each flow as the widest one needs would be too long here."""
    flow = np.array([0, 1, 1, 2], dtype=np.int32)
    begin = np.array([5, 2**61, 2**61 + 7, 0], dtype=np.int64)
    ((placed,),) = coordinates([Points(flow, (begin,))], 3)
    assert placed.tolist() == [0, 2, 9, 11]


@pytest.mark.parametrize("highest", [100, 2**62])
def test_flows_named_once_a_run_are_placed_as_if_named_for_each_row(highest: int) -> None:
    """Also where coordinates are ranks."""
    random = np.random.default_rng(7)
    flow, length = np.array([3, 1, 4, 1, 5], dtype=np.int32), np.array([2, 1, 3, 1, 2])
    position = random.integers(0, highest, 9)
    every = coordinates([Points(np.repeat(flow, length), (position.copy(),))], 6)
    runs = coordinates([Points(flow, (position.copy(),), length)], 6)
    assert runs[0][0].tolist() == every[0][0].tolist()


def test_runs_between_two_flows_have_their_rows() -> None:
    """The part from one flow to another has just the rows of these flows, in their order."""
    flow = np.random.default_rng(9).integers(0, 9, 200).astype(np.int32)
    found = pieces_of(flow).by_flow(9).between(3, 6).rows()
    order = np.argsort(flow, kind="stable")
    assert found.tolist() == [row for row in order.tolist() if 3 <= flow[row] < 6]
    assert pieces_of(flow).by_flow(9).between(9, 12).rows().size == 0
