# SPDX-License-Identifier: Apache-2.0
"""What is kept between stretches: little, whole in a snapshot, and never the reason for a false exchange."""

import numpy as np
import pytest

from consumer.latency.turns import state as turns
from consumer.latency.turns.tables import READ, SENT, join, no_exchanges, take
from support.exchanges import Event, Style, dice, talk
from tests.consumer.latency.turns.oracle import ends, moves, once, rows

CONNECTIONS = 6
COUNT = 2 * CONNECTIONS


@pytest.fixture(scope="module")
def world():
    """All moves, in order of time, of a few connections; and the exchanges of an endless memory."""
    chance = dice(4)
    style = Style(request_parts=3, response_parts=2, pipelined=0.1)
    events = [event for number in range(CONNECTIONS) for event in talk(number, 60, style, chance)[0]]
    seen = moves(sorted(events, key=lambda event: event.time))
    return seen, rows(once(seen, COUNT).exchanges)


def stretches(seen, size=97):
    for first in range(0, seen.end.size, size):
        part = take(seen, np.arange(first, min(first + size, seen.end.size)))
        yield part, int(part.time[-1])


def test_a_snapshot_between_any_two_stretches_changes_nothing(world):
    seen, expected = world
    state, found = turns.nothing(), no_exchanges()
    for part, settled in [*stretches(seen), (take(seen, np.arange(0)), 2**62)]:
        state = turns.restored({name: column.copy() for name, column in turns.arrays(state).items()})
        state, told = turns.step(state, part, ends(COUNT, settled))
        found = join(found, told.exchanges)
    assert rows(found) == expected


def test_the_state_does_not_grow_with_the_stream(world):
    seen, _ = world
    state = turns.nothing()
    for part, settled in stretches(seen):
        state, _ = turns.step(state, part, ends(COUNT, settled))
        assert np.bincount(state.runs.end).max() <= 3
        assert state.waiting.end.size <= 2, "those of the last instant"


def test_what_comes_late_is_counted_and_makes_no_false_exchange(world):
    seen, expected = world
    dice = np.random.default_rng(5)
    held = dice.random(seen.end.size) < 0.1
    state, first = turns.step(turns.nothing(), take(seen, ~held), ends(COUNT))
    _, second = turns.step(state, take(seen, held), ends(COUNT))
    assert sorted(second.late.tolist()) == sorted(seen.end[held].tolist())
    assert second.exchanges.end.size == 0
    told = rows(first.exchanges)
    assert 0 < len(told) < len(expected)
    assert {row[:3] for row in told} <= {row[:3] for row in expected}


def test_ends_not_heard_for_longest_are_forgotten_and_counted(world):
    """Forgetting at any time costs the exchange under way, and what is told stays true."""
    seen, expected = world
    state, found, gone = turns.nothing(), no_exchanges(), 0
    for part, settled in stretches(seen):
        state, told = turns.step(state, part, ends(COUNT, settled))
        state, evicted = turns.bounded(state, 4, 1)
        assert np.unique(state.runs.end).size <= 4
        assert state.waiting.end.size <= 1
        oldest = state.touched[np.unique(state.runs.end)].min(initial=2**62)
        assert (state.touched[evicted.ends] <= oldest).all()
        gone += evicted.ends.size
        found = join(found, told.exchanges)
    assert gone > 0
    assert 0 < len(rows(found)) < len(expected)
    assert {row[:3] for row in rows(found)} <= {row[:3] for row in expected}


def test_moves_that_wait_are_bounded_and_counted():
    events = [Event(0, SENT, at, at + 1, 10 * at, 10 * at) for at in range(20)]
    state, told = turns.step(turns.nothing(), moves(events), ends(2, settled=0))
    assert told.exchanges.end.size == 0
    state, evicted = turns.bounded(state, 2, 15)
    assert evicted.moves.tolist() == [0] * 5
    assert state.waiting.begin.tolist() == list(range(5, 20))


def test_ends_get_other_numbers_and_go_on(world):
    seen, expected = world
    half = seen.end.size // 2
    state, first = turns.step(turns.nothing(), take(seen, np.arange(half)), ends(COUNT, int(seen.time[half])))
    number = np.arange(COUNT, dtype=np.int32) - 2
    state = turns.renumbered(state, np.maximum(number, -1))
    rest = take(seen, np.arange(half, seen.end.size))
    rest = take(rest, rest.end >= 2)
    _, second = turns.step(state, rest._replace(end=rest.end - np.int32(2)), ends(COUNT - 2))
    told = rows(first.exchanges._replace(end=first.exchanges.end - np.int32(2))) + rows(second.exchanges)
    wanted = [row._replace(name=(row.name[0] - 2, *row.name[1:])) for row in expected]
    assert sorted(row for row in told if row.name[0] >= 0) == [row for row in wanted if row.name[0] >= 0]


def test_ends_that_are_not_whole_are_left_out():
    script = [(READ, 0, 10, 1), (SENT, 0, 4, 3), (READ, 10, 90, 6)]
    seen = moves([Event(end, k, a, b, t, t) for end in (1, 3) for k, a, b, t in script])
    known = ends(4)._replace(whole=np.array([True, True, False, False]))
    _, told = turns.step(turns.nothing(), seen, known)
    assert told.exchanges.end.tolist() == [1]
    assert told.thinned == 3


def test_more_ends_may_come_with_each_stretch():
    script = [(READ, 0, 10, 1), (SENT, 0, 4, 3), (READ, 10, 90, 6)]
    state, found = turns.nothing(), []
    for number in (1, 4000, 70_001):
        seen = moves([Event(number, k, a, b, t, t) for k, a, b, t in script])
        state, told = turns.step(state, seen, ends(number + 1, client=1 - number % 2))
        found += told.exchanges.end.tolist()
    assert found == [1, 4000, 70_001]


def test_no_argument_is_changed(world):
    seen, _ = world
    before = [column.copy() for column in seen]
    state, _ = turns.step(turns.nothing(), take(seen, np.arange(300)), ends(COUNT, int(seen.time[300])))
    kept = {name: column.copy() for name, column in turns.arrays(state).items()}
    turns.bounded(turns.step(state, seen, ends(COUNT))[0], 3, 3)
    assert all((a == b).all() for a, b in zip(before, seen, strict=True))
    assert all((kept[name] == column).all() for name, column in turns.arrays(state).items())
