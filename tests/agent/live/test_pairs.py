# SPDX-License-Identifier: Apache-2.0
"""Sends meet reads by byte position, whatever the order and the cut of what comes in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.live.pairs import ROW, Pairs, Split, first_at_or_after, split
from agent.live.source import Step
from schemas.event import Flag
from support import events

KEY = 1 << 32 | 2
WHOLE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
SECOND = 10**9


def rows(*given):
    table = np.zeros(len(given), ROW)
    for at, row in enumerate(given):
        table[at]["key"] = KEY
        for name, value in row.items():
            table[at][name] = value
    return table


def send(begin, end, time_ns, **more):
    base = {"begin": begin, "end": end, "time_ns": time_ns, "call_bytes": end - begin, "flags": WHOLE}
    return {**base, **more}


def read(begin, end, time_ns, **more):
    return {"begin": begin, "end": end, "time_ns": time_ns, **more}


def closed(pairs, sends=(), reads=(), arrivals=(), until_ns=0, *, final=False):
    return pairs.take(Split(rows(*sends), rows(*reads), rows(*arrivals)), until_ns, final=final)


@pytest.fixture
def pairs():
    return Pairs(SECOND // 2, lambda _key: False)


def test_a_step_is_told_apart_by_kind_and_both_ends_name_a_direction_alike():
    table = events.events(events.send(5, 0, 10), events.arrival(6, 10), events.receive(9, 0, 10))
    parts = split(Step(table, np.zeros(3, np.int64), np.zeros(3, np.int64), np.zeros(0), 10))
    assert [part["key"].tolist() for part in parts] == [[KEY]] * 3
    assert [part["end"].tolist() for part in parts] == [[10]] * 3


def test_one_read_of_three_sends_delivers_each(pairs):
    sends = [send(0, 10, 100), send(10, 30, 200), send(30, 35, 300)]
    done = closed(pairs, sends, [read(0, 35, 1000)], [read(0, 35, 900)])
    assert done.delivery_ns.tolist() == [900, 800, 700]
    assert done.wire_ns.tolist() == [800, 700, 600]
    assert done.wait_ns.tolist() == [100, 100, 100]


def test_a_send_in_three_reads_is_delivered_with_the_last(pairs):
    reads = [read(0, 4, 500), read(4, 9, 600), read(9, 12, 700)]
    assert closed(pairs, [send(0, 10, 100)], reads).delivery_ns.tolist() == [600]


def test_a_send_waits_for_its_read_over_steps(pairs):
    assert closed(pairs, [send(0, 10, 100)], until_ns=SECOND // 4).sends.size == 0
    assert closed(pairs, reads=[read(0, 10, SECOND // 3)], until_ns=SECOND // 3).delivery_ns.tolist() == [
        SECOND // 3 - 100
    ]
    assert pairs.waiting == 0


def test_a_read_may_end_before_its_send_does(pairs):
    assert closed(pairs, reads=[read(0, 10, 150)]).sends.size == 0
    assert closed(pairs, [send(0, 10, 100, duration_ns=500)]).delivery_ns.tolist() == [50]


def test_a_read_that_was_lost_costs_its_own_messages_only(pairs):
    sends = [send(0, 10, 100), send(10, 20, 200)]
    done = closed(pairs, sends, [read(10, 20, 900)], until_ns=2 * SECOND)
    assert done.delivery_ns.tolist() == [-1, 700]


def test_an_arrival_after_the_read_is_not_its_own(pairs):
    done = closed(pairs, [send(0, 10, 100)], [read(0, 10, 500)], [read(0, 10, 501)])
    assert (done.delivery_ns.tolist(), done.wire_ns.tolist()) == ([400], [-1])


def test_other_connections_are_never_taken(pairs):
    assert closed(pairs, [send(0, 10, 100)], [read(0, 10, 500, key=KEY + 1)]).sends.size == 0


def test_an_end_that_does_not_know_its_opener_has_no_figure(pairs):
    done = closed(pairs, [send(0, 10, 100)], [read(0, 10, 500, flags=int(Flag.NO_ROLE))])
    assert done.delivery_ns.tolist() == [-1]


def test_patience_depends_on_where_the_receiver_is():
    near, far = Pairs(SECOND // 2, lambda _key: True), Pairs(SECOND // 2, lambda _key: False)
    for pairs in (near, far):
        assert closed(pairs, [send(0, 10, 0)], until_ns=SECOND // 2).sends.size == 0
    assert closed(far, until_ns=SECOND).sends.size == 1
    assert closed(near, until_ns=10 * SECOND).sends.size == 0
    assert closed(near, until_ns=10 * SECOND + 1).sends.size == 1


def test_pieces_of_a_call_are_one_message_with_all_its_bytes(pairs):
    first, last = int(Flag.FIRST_PIECE), int(Flag.LAST_PIECE)
    pieces = [send(0, 10, 100, flags=first), send(50, 55, 100, flags=0), send(90, 93, 100, flags=last)]
    done = closed(pairs, pieces, [read(0, 93, 500)])
    assert (done.sends["call_bytes"].tolist(), done.sends["begin"].tolist()) == ([18], [90])


def test_final_closes_all(pairs):
    assert closed(pairs, [send(0, 10, 100)], final=True).delivery_ns.tolist() == [-1]
    assert pairs.waiting == 0


def test_a_read_waited_since_its_last_byte_came(pairs):
    new = Split(rows(), rows(read(0, 10, 500), read(10, 20, 600)), rows(read(0, 10, 450), read(0, 30, 550)))
    pairs.take(new, 0)
    assert pairs.waits(new.reads).tolist() == [50, 50]
    assert pairs.waits(rows(read(30, 40, 700))).tolist() == [-1]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("agent.live.pairs.LIMIT", 5)
    pairs = Pairs(SECOND, lambda _key: True)
    many = [send(at * 10, at * 10 + 10, at) for at in range(20)]
    assert closed(pairs, many).sends["time_ns"].tolist() == list(range(15))
    assert pairs.waiting == 5


places = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=30)


@given(places, places)
def test_the_first_at_or_after_is_what_a_search_finds(wanted, offered):
    def columns(pairs_):
        return np.array([k for k, _ in pairs_], np.uint64), np.array([p for _, p in pairs_], np.int64)

    def search(key, place):
        fitting = [(p, at) for at, (k, p) in enumerate(offered) if k == key and p >= place]
        return min(fitting)[1] if fitting else -1

    found = first_at_or_after(columns(wanted), columns(offered))
    assert found.tolist() == [search(key, place) for key, place in wanted]


def test_a_step_of_any_size_is_matched_whole_before_anything_is_forgotten(monkeypatch, pairs):
    monkeypatch.setattr("agent.live.pairs.LIMIT", 5)
    places = [(at * 10, at * 10 + 10, at) for at in range(50)]
    done = closed(pairs, [send(*one) for one in places], [read(b, e, t + 1) for b, e, t in places])
    assert done.delivery_ns.tolist() == [1] * 50
