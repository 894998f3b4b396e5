# SPDX-License-Identifier: Apache-2.0
"""Which exchanges one end tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.latency.intervals import Arrivals, Receives, Sends
from consumer.latency.turns.state import nothing, step
from consumer.latency.turns.tables import ARRIVED, EARLY, PAUSED, READ, SENT, Totals, closing, join, no_moves
from consumer.latency.turns.tables import moves as seen_at_ends
from support.exchanges import SERVER, Event, Style, dice, talk
from tests.consumer.latency.flows import Event as FlowEvent
from tests.consumer.latency.flows import table
from tests.consumer.latency.turns.oracle import LAST, ends, in_parts, moves, once, proved, rows, scripts

COUNT = 3


def everything(events, client=0):
    return {row for end in range(COUNT) for row in proved(events, end, client=end % 2 == client)}


@given(scripts(COUNT), st.sampled_from([0, 1]))
def test_what_is_told_is_what_looking_at_every_byte_proves(events, client):
    assert set(rows(once(moves(events), COUNT, client).exchanges)) == everything(events, client)


@given(scripts(COUNT), st.data())
def test_with_events_lost_all_that_is_told_is_true_and_all_that_can_be_proved_is_told(events, data):
    """Precision is 1: a hole costs the exchanges next to it and makes no other."""
    kept = [event for event in events if data.draw(st.booleans())]
    told = rows(once(moves(kept), COUNT).exchanges)
    assert set(told) == everything(kept)
    truth = {row[:3] for row in everything(events)}
    assert {row[:3] for row in told} <= truth


@given(scripts(COUNT), st.randoms(use_true_random=False), st.integers(1, 6))
def test_cuts_and_order_change_nothing(events, dice, parts):
    """Moves may come in any stretch and order before their end's time passes them."""
    table, whole = moves(events), once(moves(events), COUNT)
    state, found = in_parts(table, COUNT, dice, parts)
    assert rows(found) == rows(whole.exchanges)
    assert state.runs.end.size <= 3 * COUNT
    assert state.waiting.end.size == 0


@given(scripts(COUNT), st.data())
def test_events_told_twice_make_no_false_exchange(events, data):
    twice = [event for event in events for _ in range(data.draw(st.integers(1, 2)))]
    told = rows(once(moves(twice), COUNT).exchanges)
    assert {row[:3] for row in told} <= {row[:3] for row in everything(events)}
    assert len({row.name for row in told}) == len(told)


def test_a_stream_of_exchanges_is_told_in_full_at_both_ends():
    """Partial and coalesced reads, requests and responses of many calls: only the last waits for the next."""
    chance = dice(1)
    events, truths = talk(0, 200, Style(request_parts=4, response_parts=3), chance)
    told = once(moves(events), 2)
    names = [(truth.request_end, truth.response_begin) for truth in truths[:-1]]
    for end in (0, 1):
        assert [row.name[1:] for row in rows(told.exchanges) if row.name[0] == end] == names
    server = [row for row in rows(told.exchanges) if row.name[0] == SERVER]
    assert [row.answered - row.asked for row in server] == [truth.think for truth in truths[:-1]]
    assert told.unproved.end.size == 0


def test_what_the_server_says_first_is_no_response():
    events, truths = talk(0, 5, Style(greeting=1), dice(2))
    told = [row for row in rows(once(moves(events), 2).exchanges) if row.name[0] == SERVER]
    assert [row.name[1:] for row in told] == [(t.request_end, t.response_begin) for t in truths[:-1]]
    assert truths[0].response_begin > 0


def test_one_way_streams_have_no_exchanges():
    events = [
        Event(end, SENT if end == 0 else READ, at, at + 1, at, at) for at in range(50) for end in (0, 1)
    ]
    state, told = step(nothing(), moves(events), ends(2))
    assert told.exchanges.end.size == told.unproved.end.size == 0
    assert state.runs.end.size == 2


def test_an_interim_response_ends_an_exchange():
    """Expect: 100-continue is two: the head is answered by the interim response, the body by the final."""
    script = [(READ, 0, 10, 1), (SENT, 0, 4, 3), (READ, 10, 90, 6), (SENT, 4, 20, 11), (READ, 90, 95, 12)]
    told = rows(once(moves([Event(1, k, a, b, t, t) for k, a, b, t in script]), 2).exchanges)
    assert [(row.name, row.answered - row.asked) for row in told] == [((1, 10, 0), 2), ((1, 90, 4), 5)]


def test_a_close_proves_the_last_exchange_and_only_with_the_right_total():
    script = [(READ, 0, 10, 1), (SENT, 0, 4, 3)]
    seen = moves([Event(1, k, a, b, t, t) for k, a, b, t in script])
    client = ends(2).client
    for read, expected in ((10, [(1, 10, 0)]), (11, [])):
        one = [np.array([value]) for value in (1, 4, read, 9, 0)]
        totals = Totals(one[0].astype(np.int32), *one[1:])
        told = once(join(seen, closing(totals, client)), 2)
        assert [row.name for row in rows(told.exchanges)] == expected
        assert told.unproved.end.tolist() == [1] * (not expected)


def test_a_client_that_closes_without_an_answer_was_not_answered():
    seen = moves([Event(0, SENT, 0, 10, 1, 1)])
    one = [np.array([value]) for value in (0, 10, 0, 9, 0)]
    totals = Totals(one[0].astype(np.int32), *one[1:])
    told = once(join(seen, closing(totals, ends(2).client)), 2)
    assert told.exchanges.end.size == told.unproved.end.size == 0


def test_bytes_that_came_before_the_answer_was_written_are_of_another_request():
    """The server read one request and answered it while the next one was in its kernel."""
    script = [
        (ARRIVED, 10, 10, 0),
        (READ, 0, 10, 1),
        (ARRIVED, 20, 20, 2),
        (SENT, 0, 4, 3),
        (READ, 10, 20, 4),
    ]
    told = rows(once(moves([Event(1, k, a, b, t, t) for k, a, b, t in script]), 2).exchanges)
    assert [(row.name, row.marks) for row in told] == [((1, 10, 0), EARLY)]


def test_a_request_in_parts_is_one_unless_it_pauses():
    for pause, marks in ((3, 0), (4, PAUSED)):
        script = [(SENT, 0, 5, 0, 2), (SENT, 5, 9, 2 + pause, 3), (READ, 0, 1, 2 + pause + 9, 0)]
        script += [(SENT, 9, 10, 30, 30)]
        told = rows(once(moves([Event(0, k, a, b, t, u) for k, a, b, t, u in script]), 1).exchanges)
        assert [row.marks for row in told] == [marks]


@pytest.mark.parametrize("cut", [False, True], ids=["in one stretch", "in two"])
def test_the_time_of_a_part_that_was_lost_is_no_pause(cut):
    """Its bytes are missing between the two others, so nothing is known of the time between."""
    script = [(READ, 0, 5, 0), (READ, 8, 10, 90), (SENT, 0, 4, 100), (READ, 10, 20, 200)]
    for marks, first in ((0, 8), (PAUSED, 5)):
        script[1] = (READ, first, 10, 90)
        seen = moves([Event(1, k, a, b, t, t) for k, a, b, t in script])
        state, before = step(nothing(), seen, ends(2, settled=50 if cut else LAST))
        _, after = step(state, no_moves(), ends(2))
        told = rows(join(before.exchanges, after.exchanges))
        assert [(row.name, row.marks) for row in told] == [((1, 10, 0), marks)]


def test_time_inside_a_send_that_blocks_is_no_pause():
    script = [(SENT, 0, 5, 0, 50), (SENT, 5, 9, 51, 99), (READ, 0, 1, 101, 101), (SENT, 9, 10, 200, 200)]
    told = rows(once(moves([Event(0, *row) for row in script]), 1).exchanges)
    assert [row.marks for row in told] == [0]


def test_tables_of_flows_are_seen_by_the_right_end():
    """A send is seen by the end that sends its flow; reads and arrivals of the flow by the other."""
    events = [FlowEvent(Sends, 2, 0, 4, 5), FlowEvent(Receives, 2, 0, 4, 8), FlowEvent(Arrivals, 2, 0, 4, 7)]
    sends = table(Sends, events)
    sends = sends._replace(duration=np.array([3]))
    found = seen_at_ends(sends, table(Receives, events), table(Arrivals, events))
    columns = (found.end, found.kind, found.begin, found.stop, found.time, found.until)
    seen = set(zip(*(column.tolist() for column in columns), strict=True))
    assert seen == {(2, SENT, 0, 4, 5, 8), (3, READ, 0, 4, 8, 8), (3, ARRIVED, 4, 4, 7, 7)}
